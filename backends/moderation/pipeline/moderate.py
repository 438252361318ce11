"""One item through every stage: preprocess, then the branches at once, then the policy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.errors import DeadlineError, InputError, StageError
from moderation.images.views import View
from moderation.models.labels import Classes
from moderation.pipeline.content import content_type as content_type_of
from moderation.pipeline.gates import Act
from moderation.pipeline.items import Item
from moderation.pipeline.release import Release
from moderation.safety.decode import decode as decode_safety
from moderation.safety.vote import Finding, Opinion, vote
from moderation.taxonomy import Taxonomy
from moderation.taxonomy.scores import categories

Array = npt.NDArray[Any]

STAGE_KEYS: Final = {
    contract.PREPROCESSOR: "preprocess",
    contract.CLASSIFIER: "classifier",
    contract.SAFETY: "safety",
    contract.SAFETY_CLASSIFIER: "safety_classifier",
    contract.OCR: "ocr",
    contract.DECISION_LOGIC: "policy",
}
"""Names of the stages in `timings_ms` and in the metrics."""
INLINE_FAULTS: Final = {"faults": "inline"}
"""Parameter that asks a stage for refusals as data; see `serving.adapter.wants_inline_faults`."""
CHECK_FIRST: Final = {"check_first": "true"}
"""Parameter that asks the ocr-engine for a cheap look before it reads; see `ocr.read`."""
LISTED_SCORE: Final = 0.05
"""A safety-classifier has a score for every label; smaller ones are not worth a line in RESULT and reach no policy."""
_NONE: Final[Mapping[str, str]] = {}


class Call(Protocol):
    """Calls one version of one model; raises InputError or StageError."""

    def __call__(
        self,
        model: str,
        version: int,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        parameters: Mapping[str, str],
    ) -> Awaitable[dict[str, Array]]:
        """Outputs by name."""


@dataclass(frozen=True)
class Labels:
    """What the manifests say of the networks; no classes where the model is not there.

    Attributes:
        view: what the safety-classifier sees of a picture.
    """

    safety: Classes = field(default_factory=Classes)
    classifier: Classes = field(default_factory=Classes)
    safety_classifier: Classes = field(default_factory=Classes)
    view: View | None = None


@dataclass
class Run:
    """One item on its way: what is known, what is not, and how long it took.

    Attributes:
        deadline: `time.monotonic()` after which the caller no longer waits.
        cancelled: whether the caller has gone.
        subject: attributes of the caller, for the policy.
    """

    call: Call
    release: Release
    labels: Labels
    deadline: float
    cancelled: Callable[[], bool]
    subject: Mapping[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    async def stage(
        self, model: str, inputs: Mapping[str, Array], outputs: Sequence[str], parameters: Mapping[str, str] = _NONE
    ) -> dict[str, Array]:
        """Call a stage, unless time is up.

        Raises:
            DeadlineError: before the call.
        """
        if time.monotonic() > self.deadline:
            raise DeadlineError(f"the deadline passed before {model}; raise `deadline_ms` or send less at once")
        if self.cancelled():
            raise DeadlineError(f"the caller cancelled before {model}")
        started = time.perf_counter()
        try:
            return await self.call(model, self.release.versions[model], inputs, outputs, parameters)
        finally:
            key = STAGE_KEYS[model]
            self.timings[key] = self.timings.get(key, 0.0) + (time.perf_counter() - started) * 1e3

    def source(self, model: str) -> str:
        """`model:version`, as evidence names it."""
        return f"{model}:{self.release.versions[model]}"


async def moderate(item: Item, run: Run) -> dict[str, Any]:
    """RESULT of one item, without `request_id`.

    Raises:
        InputError: the image or the profile is refused.
        StageError: the preprocessor did not answer.
        DeadlineError: time was up or the caller gone.
    """
    started = time.perf_counter()
    views = await run.stage(
        contract.PREPROCESSOR,
        {"IMAGE": _text(item.image).reshape(1)},
        ["SAFETY_PIXELS", "CLASSIFIER_PIXELS", "TEXT_PIXELS", "INFO"],
        INLINE_FAULTS,
    )
    info = json.loads(views["INFO"].reshape(-1)[0])
    if "fault" in info:
        raise InputError.from_fault(info["fault"])
    indexes, codes = info.pop("frame_indexes"), info.pop("codes")
    kind = asyncio.ensure_future(
        _known(run, contract.CLASSIFIER, _classify(run, views["CLASSIFIER_PIXELS"], codes, info))
    )
    detected, judged, text, content_type = await asyncio.gather(
        _gated(run, contract.SAFETY, kind, lambda _: _detect(run, views["SAFETY_PIXELS"], info)),
        _gated(run, contract.SAFETY_CLASSIFIER, kind, lambda _: _judge(run, views["TEXT_PIXELS"])),
        _gated(run, contract.OCR, kind, lambda act: _read(run, views["TEXT_PIXELS"], info, act)),
        kind,
    )
    opinions = [opinion for opinion in (detected, judged) if opinion is not None]
    found = [finding for opinion in opinions for finding in opinion.findings]
    for finding in (*found, *(text or ()), *codes):
        finding["frame"] = indexes[finding["frame"]]
    weighed = vote(opinions, run.release.votes)
    voted = [finding for finding in weighed if finding["score"] >= LISTED_SCORE]
    signals = {
        "profile": item.profile,
        "labels": voted,
        "content_type": content_type,
        "text": text or [],
        "caption": item.caption,
        "codes": codes,
        "image": info,
        "subject": run.subject,
        "unknown": sorted(run.unknown),
    }
    verdict = await _decide(run, signals)
    run.timings["total"] = (time.perf_counter() - started) * 1e3
    policy = verdict["policy"]
    return {
        "decision": verdict["decision"],
        "severity": verdict["severity"],
        "reasons": verdict["reasons"],
        "labels": list(_listed(found, weighed)),
        "categories": categories((label["name"], label["score"]) for label in voted),
        "content_type": content_type,
        "text": signals["text"],
        "codes": codes,
        "matches": verdict["matches"],
        "image": info,
        "versions": {
            **{m: str(v) for m, v in run.release.versions.items() if m not in run.unknown},
            "policy": f"{policy['version']}@{policy['profile']}",
            "taxonomy": Taxonomy.load().version,
        },
        "unknown": sorted(run.unknown),
        "skipped": sorted(run.skipped),
        "timings_ms": {k: round(v, 2) for k, v in run.timings.items()},
    }


def _listed(found: Sequence[Finding], weighed: Sequence[Finding]) -> Iterator[Finding]:
    """Findings for RESULT. Where a vote changed one, with what the policy saw: decisions can be replayed."""
    for finding, seen in zip(found, weighed, strict=True):
        if seen == finding:
            if finding["score"] >= LISTED_SCORE:
                yield finding
        elif seen["score"] >= LISTED_SCORE:
            yield {**finding, "vote": {"score": seen["score"], "source": seen["source"]}}
        elif finding["score"] >= LISTED_SCORE:
            yield {**finding, "vote": None}  # too little was left of it


async def _gated(run: Run, stage: str, kind: Awaitable[Any], work: Callable[[Act], Awaitable[Any]]) -> Any:
    """A branch that may be spared by the kind of picture; it waits for the kind only where a gate asks for it.

    A stage that the release does not list is neither called nor skipped nor unknown.
    """
    if stage not in run.release.versions:
        return None
    act = run.release.gates.act(stage, await kind) if run.release.gates.waits(stage) else "run"
    if act == "skip":
        run.skipped.append(stage)
        return None
    return await _known(run, stage, work(act))


async def _known(run: Run, model: str, work: Awaitable[Any]) -> Any:
    """A branch's answer, or None and the model's name among the unknown."""
    try:
        return await work
    except (StageError, InputError):
        # a stage that refuses the preprocessor's own pixels is as sick as one that fails
        run.unknown.append(model)
        return None


async def _classify(
    run: Run, pixels: Array, codes: Sequence[Mapping[str, Any]], info: Mapping[str, Any]
) -> dict[str, Any]:
    """The content type; an animation is what most of its frames are."""
    found = await run.stage(contract.CLASSIFIER, {"PIXELS": pixels}, ["PROBABILITIES"])
    scores = run.labels.classifier.scores(found["PROBABILITIES"].mean(axis=0), contract.CLASSIFIER)
    name, score = content_type_of(scores, codes, info["width"], info["height"])
    return {"name": name, "score": round(score, 4), "source": run.source(contract.CLASSIFIER)}


async def _detect(run: Run, pixels: Array, info: Mapping[str, Any]) -> Opinion:
    """What the safety-detector found where."""
    found = await run.stage(contract.SAFETY, {"PIXELS": pixels}, ["CANDIDATES"])
    source, classes = run.source(contract.SAFETY), run.labels.safety
    findings = [
        {**label, "source": source, "frame": frame}
        for frame, candidates in enumerate(found["CANDIDATES"])
        for label in decode_safety(candidates, classes.labels, info["width"], info["height"])
    ]
    return Opinion(source, classes.names(), findings)


async def _judge(run: Run, frames: Array) -> Opinion:
    """What the safety-classifier thinks of each frame as a whole.

    Its view is made here and not by the preprocessor: the frames are here anyway, so that releases without this network
    pay nothing, and its size needs no setting beside its manifest.
    """
    model = contract.SAFETY_CLASSIFIER
    view, classes, source = run.labels.view, run.labels.safety_classifier, run.source(model)
    if view is None:
        raise StageError(f"{model} is not built")
    pixels = await asyncio.to_thread(lambda: np.stack([view.apply(frame) for frame in frames]))
    found = await run.stage(model, {"PIXELS": pixels}, ["SCORES"])
    findings = [
        {"name": name, "score": round(score, 4), "box": None, "source": source, "frame": frame}
        for frame, values in enumerate(found["SCORES"])
        for name, score in classes.scores(values, model).items()
    ]
    return Opinion(source, classes.names(), findings)


async def _read(run: Run, frames: Array, info: Mapping[str, Any], act: Act) -> list[dict[str, Any]]:
    """Text of every examined frame; a line that stands still is reported once, at its first frame."""
    settings = CHECK_FIRST if act == "check" else _NONE
    answers = await asyncio.gather(
        *(run.stage(contract.OCR, {"PIXELS": frame}, ["TEXT", "SCORE", "QUAD"], settings) for frame in frames)
    )
    height, width = frames.shape[1:3]
    scale = np.array([info["width"] / width, info["height"] / height])
    lines: list[dict[str, Any]] = []
    seen: set[str] = set()
    for frame, answer in enumerate(answers):
        texts = [t.decode() for t in answer["TEXT"].reshape(-1)]
        for text, score, quad in zip(texts, answer["SCORE"], answer["QUAD"], strict=True):
            if frame and text in seen:
                continue
            corners = (quad * scale).round(1).tolist()
            lines.append({"text": text, "score": round(float(score), 4), "quad": corners, "frame": frame})
        seen.update(texts)
    return lines


async def _decide(run: Run, signals: Mapping[str, Any]) -> dict[str, Any]:
    """The policy's verdict; without a policy a person has to look."""
    payload = _text(json.dumps(signals, ensure_ascii=False).encode())
    try:
        found = await run.stage(contract.DECISION_LOGIC, {"SIGNALS": payload}, ["VERDICT"], INLINE_FAULTS)
    except StageError:
        run.unknown.append(contract.DECISION_LOGIC)
        return {
            "decision": "review",
            "severity": 4,
            "reasons": [
                {
                    "rule": "policy-unavailable",
                    "action": "review",
                    "severity": 4,
                    "triggered_by": "unknown",
                    "message": "The policy did not answer, so a person has to decide.",
                    "evidence": {"stage": contract.DECISION_LOGIC},
                }
            ],
            "matches": [],
            "policy": {"version": "none", "profile": signals["profile"] or "default"},
        }
    verdict: dict[str, Any] = json.loads(found["VERDICT"].reshape(-1)[0])
    if "fault" in verdict:
        raise InputError.from_fault(verdict["fault"])
    return verdict


def _text(value: bytes) -> Array:
    """One BYTES element, shape [1, 1]."""
    out = np.empty((1, 1), dtype=np.object_)
    out[0, 0] = value
    return out
