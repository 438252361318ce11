"""What one decision, one refusal or one request adds to the metrics. Pure: serving/metrics.py hands it to Triton."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from moderation.errors import AccessError, InputError, OverloadError, triton_code
from moderation.pipeline.run import STAGE_KEYS, stage_of
from moderation.telemetry import distributions
from moderation.telemetry.catalogue import CATALOGUE

if TYPE_CHECKING:
    from moderation.rollout.answer import Answer
    from moderation.rollout.shadow import Seen


class Sample(NamedTuple):
    """One step of a counter, or one value of a histogram or gauge."""

    name: str
    value: float
    labels: Mapping[str, str]


def of_result(result: Mapping[str, Any]) -> Iterator[Sample]:
    """Samples of one RESULT with a decision."""
    reasons, image = result["reasons"], result["image"]
    yield Sample(
        "moderation_decisions_total",
        1,
        {
            "decision": result["decision"],
            "policy": result["versions"]["policy"],
            "triggered_by": reasons[0]["triggered_by"] if reasons else "none",
        },
    )
    for rule, action in {(reason["rule"], reason["action"]) for reason in reasons}:
        yield Sample("moderation_rules_total", 1, {"rule": rule, "action": action})
    for stage, milliseconds in result["timings_ms"].items():
        yield Sample("moderation_stage_seconds", milliseconds / 1e3, {"stage": stage})
    for model in result["unknown"]:
        yield Sample("moderation_stage_failures_total", 1, {"model": model})
    for model in result["skipped"]:
        yield Sample("moderation_stage_skipped_total", 1, {"model": model})
    yield Sample("moderation_image_bytes", float(image["bytes"]), {"format": image["format"]})
    yield Sample("moderation_image_pixels", float(image["width"] * image["height"]), {"format": image["format"]})
    for signal, place in distributions.of_result(result):
        yield Sample("moderation_distribution_total", 1, {"signal": signal, "bin": place})


def of_answer(answer: Answer) -> Iterator[Sample]:
    """Samples of the versions that an item met, beside those of its RESULT; what testers asked for is left out."""
    for model in answer.plan.stable:
        if stage_of(model) in answer.result["unknown"]:
            continue
        arm = {"model": model, "version": str(answer.plan.versions[model])}
        yield Sample("moderation_arm_decisions_total", 1, {**arm, "decision": answer.result["decision"]})
        for of, key in (("stage", STAGE_KEYS[model]), ("total", "total")):
            if key in answer.result["timings_ms"]:
                yield Sample("moderation_arm_seconds", answer.result["timings_ms"][key] / 1e3, {**arm, "of": of})
    yield from of_failed(answer.failed)


def of_failed(versions: Iterable[tuple[str, int]]) -> Iterator[Sample]:
    """Samples of an item that versions of some stages could not answer."""
    for model, version in versions:
        yield Sample("moderation_arm_errors_total", 1, {"model": model, "version": str(version)})


def of_shadow(seen: Seen) -> Sample:
    """Sample of what a shadow said of an item, or did not."""
    arm = {"model": seen.model, "version": str(seen.version)}
    if seen.dropped is not None:
        return Sample("moderation_shadow_dropped_total", 1, {**arm, "why": seen.dropped})
    return Sample("moderation_shadow_decisions_total", 1, {**arm, "live": seen.live, "shadow": seen.shadow})


def of_routes(fault: str | None) -> Sample:
    """Sample of a change of the routes."""
    return Sample("moderation_routes_reads_total", 1, {"outcome": "refused" if fault else "taken"})


def of_error(error: Exception) -> Sample:
    """Sample of one item that got no decision."""
    if isinstance(error, InputError):
        return Sample("moderation_bad_input_total", 1, {"reason": error.reason})
    return Sample("moderation_errors_total", 1, {"code": triton_code(error)})


def of_refusal(error: AccessError | OverloadError) -> Sample:
    """Sample of one request that was not let in."""
    name = "moderation_denied_total" if isinstance(error, AccessError) else "moderation_limited_total"
    return Sample(name, 1, {"reason": error.reason})


def of_audit(records: int, lost: int) -> Iterator[Sample]:
    """Samples of decisions that were handed to the audit log, and of those that it lost."""
    yield Sample("moderation_audit_records_total", records, {})
    yield Sample("moderation_audit_lost_total", lost, {})


def of_request(seconds: float, error: Exception | None) -> Sample:
    """Sample of one request.

    Args:
        seconds: from its arrival in the entry model to its answer.
        error: that it was answered with, if it was.
    """
    return Sample("moderation_request_seconds", seconds, {"outcome": outcome(error)})


def outcome(error: Exception | None) -> str:
    """`answered`, `refused` (what the caller sent, is or asked too much of) or `failed` (ours)."""
    if error is None:
        return "answered"
    over_quota = isinstance(error, OverloadError) and error.reason != "capacity"
    return "refused" if over_quota or triton_code(error) == "INVALID_ARG" else "failed"


def summed(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same for Prometheus in fewer samples: one sum for each counter, the last value of each gauge."""
    single: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    for sample in samples:
        kind = CATALOGUE[sample.name].kind
        if kind == "histogram":
            yield sample
            continue
        key = sample.name, tuple(sorted(sample.labels.items()))
        before = single[key].value if kind == "counter" and key in single else 0.0
        single[key] = sample._replace(value=before + sample.value)
    yield from single.values()
