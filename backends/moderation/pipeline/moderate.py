"""One item through every stage: preprocess, then the branches at once, then the policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from moderation import contract
from moderation.errors import InputError, StageError
from moderation.pipeline import stages
from moderation.pipeline.content import Kind
from moderation.pipeline.gates import Act
from moderation.pipeline.items import Item
from moderation.pipeline.run import Run, stage_of
from moderation.safety.vote import Finding, vote
from moderation.taxonomy import Taxonomy
from moderation.taxonomy.scores import categories

LISTED_SCORE: Final = 0.05
"""A safety-classifier has a score for every label; smaller ones are not worth a line in RESULT and reach no policy."""


async def moderate(item: Item, run: Run) -> dict[str, Any]:
    """RESULT of one item, without `request_id`.

    Raises:
        InputError: the image or the profile is refused.
        StageError: the preprocessor did not answer.
        DeadlineError: time was up or the caller gone.
    """
    started = time.perf_counter()
    views, info = await stages.preprocess(run, item.image)
    indexes, codes = info.pop("frame_indexes"), info.pop("codes")
    kind = asyncio.ensure_future(
        _known(run, contract.CLASSIFIER, stages.classify(run, views["CLASSIFIER_PIXELS"], codes, info))
    )
    detected, judged, text, seen_first = await asyncio.gather(
        _gated(run, contract.SAFETY, kind, lambda _: stages.detect(run, views["SAFETY_PIXELS"], info)),
        _gated(run, contract.SAFETY_CLASSIFIER, kind, lambda _: stages.judge(run, views["TEXT_PIXELS"])),
        _gated(run, contract.OCR, kind, lambda act: stages.read(run, views["TEXT_PIXELS"], info, act)),
        kind,
    )
    content_type = None if seen_first is None else seen_first.with_text(text).best()
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
    verdict = await stages.decide(run, signals)
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
            **{m: str(v) for m, v in run.release.versions.items() if stage_of(m) not in run.unknown},
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


async def _gated(run: Run, stage: str, kind: Awaitable[Kind | None], work: Callable[[Act], Awaitable[Any]]) -> Any:
    """A branch that may be spared by the kind of picture; it waits for the kind only where a gate asks for it.

    A stage that the release does not list is neither called nor skipped nor unknown.
    """
    if stage not in run.release.versions:
        return None
    act: Act = "run"
    if run.release.gates.waits(stage):
        seen = await kind
        act = run.release.gates.act(stage, None if seen is None else seen.best())
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
