"""What each stage is asked and what its answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from moderation import contract
from moderation.errors import InputError, StageError
from moderation.pipeline.content import Kind
from moderation.pipeline.gates import Act
from moderation.pipeline.run import Array, Run
from moderation.safety.decode import decode as decode_safety
from moderation.safety.vote import Opinion

INLINE_FAULTS: Final = {"faults": "inline"}
"""Parameter that asks a stage for refusals as data; see `serving.adapter.wants_inline_faults`."""
CHECK_FIRST: Final = {"check_first": "true"}
"""Parameter that asks the ocr-engine for a cheap look before it reads; see `ocr.read`."""


async def preprocess(run: Run, image: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    """Pixels for each network, and the facts about the image.

    Raises:
        InputError: the image is refused.
    """
    views = await run.stage(
        contract.PREPROCESSOR,
        {"IMAGE": _text(image).reshape(1)},
        ["SAFETY_PIXELS", "CLASSIFIER_PIXELS", "TEXT_PIXELS", "INFO"],
        {**INLINE_FAULTS, **run.image_limits},
    )
    info: dict[str, Any] = json.loads(views.pop("INFO").reshape(-1)[0])
    if "fault" in info:
        raise InputError.from_fault(info["fault"])
    return views, info


async def classify(run: Run, pixels: Array, codes: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> Kind:
    """What kind of picture it is, before anything is read; an animation is what most of its frames are."""
    found = await run.stage(contract.CLASSIFIER, {"PIXELS": pixels}, ["PROBABILITIES"])
    scores = run.labels.classifier.scores(found["PROBABILITIES"].mean(axis=0), contract.CLASSIFIER)
    return Kind(scores, run.source(contract.CLASSIFIER)).with_codes(codes, info["width"], info["height"])


async def detect(run: Run, pixels: Array, info: Mapping[str, Any]) -> Opinion:
    """What the safety-detector found where."""
    found = await run.stage(contract.SAFETY, {"PIXELS": pixels}, ["CANDIDATES"])
    source, classes = run.source(contract.SAFETY), run.labels.safety
    findings = [
        {**label, "source": source, "frame": frame}
        for frame, candidates in enumerate(found["CANDIDATES"])
        for label in decode_safety(candidates, classes.labels, info["width"], info["height"])
    ]
    return Opinion(source, classes.names(), findings)


async def judge(run: Run, frames: Array) -> Opinion:
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


async def read(run: Run, frames: Array, info: Mapping[str, Any], act: Act) -> list[dict[str, Any]]:
    """Text of every examined frame; a line that stands still is reported once, at its first frame."""
    readers = {model: str(run.release.versions[model]) for model in contract.READERS if model in run.release.versions}
    settings = {**readers, **CHECK_FIRST} if act == "check" else readers
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


async def decide(run: Run, signals: Mapping[str, Any]) -> dict[str, Any]:
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
