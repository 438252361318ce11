"""What a decision adds to the metrics, what drift is, and what the machine gives."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import contract
from moderation.errors import AccessError, ConfigError, DeadlineError, InputError, OverloadError, StageError
from moderation.rollout.answer import Answer
from moderation.rollout.plan import Plan
from moderation.rollout.shadow import Seen
from moderation.telemetry import distributions, machine, record
from moderation.telemetry.catalogue import CATALOGUE
from moderation.telemetry.reference import Reference, psi

POLICY = contract.DECISION_LOGIC
RESULT: dict[str, Any] = {
    "decision": "block",
    "reasons": [
        {"rule": "weapons", "action": "block", "triggered_by": "pixels"},
        {"rule": "weapons", "action": "block", "triggered_by": "pixels"},
        {"rule": "threats", "action": "review", "triggered_by": "ocr_text"},
    ],
    "categories": {"weapons": 0.97, "weapons/gun": 0.97, "nudity": 0.34},
    "content_type": {"name": "photo", "score": 0.9},
    "image": {"bytes": 1234, "width": 20, "height": 10, "format": "jpeg"},
    "versions": {"safety-detector": "1", "policy": "1@balanced"},
    "unknown": ["ocr-engine"],
    "skipped": ["text-detector"],
    "timings_ms": {"preprocess": 2.0, "total": 30.0},
}


def of(result: dict[str, Any], name: str) -> list[tuple[float, dict[str, str]]]:
    """Value and labels of each sample of one metric."""
    return [(s.value, dict(s.labels)) for s in record.of_result(result) if s.name == name]


def test_a_decision_is_counted_with_what_triggered_it() -> None:
    """Promise: the strongest reason names the trigger; a rule that matched twice counts once."""
    assert of(RESULT, "moderation_decisions_total") == [
        (1, {"decision": "block", "policy": "1@balanced", "triggered_by": "pixels"})
    ]
    rules = [labels for _, labels in of(RESULT, "moderation_rules_total")]
    assert sorted(r["rule"] for r in rules) == ["threats", "weapons"]
    assert of({**RESULT, "reasons": []}, "moderation_decisions_total")[0][1]["triggered_by"] == "none"


def test_stages_without_a_signal_and_spared_stages_are_counted_apart() -> None:
    """Promise: a failure never looks like a picture that needed less work."""
    assert of(RESULT, "moderation_stage_failures_total") == [(1, {"model": "ocr-engine"})]
    assert of(RESULT, "moderation_stage_skipped_total") == [(1, {"model": "text-detector"})]
    assert (0.03, {"stage": "total"}) in of(RESULT, "moderation_stage_seconds")


def test_a_score_falls_in_one_bin_and_a_topic_not_found_in_the_lowest() -> None:
    """Promise: every decision falls once in each distribution, so shares add up."""
    found = dict(distributions.of_result(RESULT))
    assert found["score/weapons"] == "0.9"
    assert found["score/nudity"] == "0.3"
    assert found["score/violence"] == "0.0"
    assert (found["decision"], found["content_type"]) == ("block", "photo")


def test_an_unknown_signal_falls_in_no_bin() -> None:
    """Promise: a network that is down does not look like a world without unsafe pictures."""
    blind = {**RESULT, "versions": {"policy": "1@balanced"}, "content_type": None}
    assert dict(distributions.of_result(blind)) == {"decision": "block", "image_pixels": "0"}


@given(st.floats(0, 1))
def test_every_score_has_a_bin_that_holds_it(score: float) -> None:
    """Promise: bins cover 0 to 1, ends included."""
    low = float(distributions.score_bin(score))
    assert low - 1e-9 <= score <= low + 0.1 + 1e-9


def test_every_sample_is_in_the_catalogue_with_its_labels() -> None:
    """Promise: the catalogue is the whole truth about names and labels."""
    samples = [
        *record.of_result(RESULT),
        *machine.Meter(os.getpid()).samples(),
        *Reference(1, {"decision": {"allow": 1.0}}).samples(),
        record.of_error(InputError("no", reason="empty")),
        record.of_error(StageError("no")),
        record.of_request(1.0, None),
        record.of_refusal(AccessError("no", reason="missing")),
        record.of_refusal(OverloadError("no", reason="rate")),
        *record.of_audit(1, 0),
        *record.of_answer(Answer(RESULT, Plan({POLICY: 1}, stable={POLICY: 1}), ((POLICY, 2),))),
        record.of_shadow(Seen(POLICY, 2, "id", "allow", "block")),
        record.of_shadow(Seen(POLICY, 2, "id", "allow", "", "busy")),
        record.of_routes(None),
    ]
    assert {s.name for s in samples} == set(CATALOGUE)
    for sample in samples:
        assert set(sample.labels) == set(CATALOGUE[sample.name].labels), sample.name


@given(
    st.lists(
        st.builds(
            record.Sample,
            st.sampled_from(["moderation_rules_total", "moderation_image_bytes", "moderation_cpu_cores_used"]),
            st.integers(0, 9).map(float),
            st.sampled_from([{"rule": "a", "action": "block"}, {"action": "block", "rule": "a"}, {"rule": "b"}]),
        )
    )
)
def test_fewer_samples_say_the_same(samples: list[record.Sample]) -> None:
    """Promise: sums of counters, last values of gauges and every value of a histogram survive."""
    sent = list(record.summed(samples))

    def values(given: list[record.Sample], name: str) -> dict[frozenset[tuple[str, str]], list[float]]:
        found: dict[frozenset[tuple[str, str]], list[float]] = {}
        for sample in given:
            if sample.name == name:
                found.setdefault(frozenset(sample.labels.items()), []).append(sample.value)
        return found

    counters = values(samples, "moderation_rules_total")
    assert values(sent, "moderation_rules_total") == {labels: [sum(steps)] for labels, steps in counters.items()}
    gauges = values(samples, "moderation_cpu_cores_used")
    assert values(sent, "moderation_cpu_cores_used") == {labels: steps[-1:] for labels, steps in gauges.items()}
    assert values(sent, "moderation_image_bytes") == values(samples, "moderation_image_bytes")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "answered"),
        (InputError("no", reason="empty"), "refused"),
        (DeadlineError("late"), "failed"),
        (OverloadError("full"), "failed"),
        (StageError("no"), "failed"),
        (ValueError("ours"), "failed"),
    ],
)
def test_only_the_callers_own_faults_spare_the_availability(error: Exception | None, expected: str) -> None:
    """Promise: what counts against the objective is what we did not deliver."""
    assert record.outcome(error) == expected


shares = st.lists(st.floats(0.001, 1), min_size=2, max_size=10).map(
    lambda parts: {str(i): part / math.fsum(parts) for i, part in enumerate(parts)}
)


@given(shares, shares)
def test_psi_is_zero_for_no_change_and_never_negative(current: dict[str, float], reference: dict[str, float]) -> None:
    """Promise: the index has its mathematical properties, whatever the distributions."""
    assert psi(current, current) == 0
    assert psi(current, reference) >= 0
    assert psi(current, reference) == pytest.approx(psi(reference, current))


def test_psi_of_a_known_case() -> None:
    """Promise: the usual formula. (0.6-0.5)·ln(1.2) + (0.4-0.5)·ln(0.8) = 0.0405."""
    assert psi({"a": 0.6, "b": 0.4}, {"a": 0.5, "b": 0.5}) == pytest.approx(0.04055, abs=1e-5)
    assert math.isfinite(psi({"a": 1.0}, {"b": 1.0}))


def test_a_reference_survives_its_file(tmp_path: Path) -> None:
    """Promise: what is captured is what is compared with; bins named like numbers stay text."""
    reference = Reference(500, {"score/nudity": {"0.0": 0.9, "0.1": 0.1}, "decision": {"allow": 1.0}})
    (tmp_path / "reference.yaml").write_text(reference.dump())
    assert Reference.load(tmp_path) == reference
    assert Reference.load(tmp_path / "nothing") is None


def test_all_faults_of_a_reference_are_named_at_once(tmp_path: Path) -> None:
    """Promise: one message, not one after the other."""
    (tmp_path / "reference.yaml").write_text(
        "decisions: 0\nsignals: {decision: {allow: 0.5}, content_type: 3, x: {a: 2}}\nmore: 1\n"
    )
    with pytest.raises(ConfigError) as error:
        Reference.load(tmp_path)
    for part in ("decisions is 0", "decision adds up to 0.500", "content_type is a int", "no number", "`more`"):
        assert part in error.value.message


def test_cores_are_those_of_the_control_group(tmp_path: Path) -> None:
    """Promise: cost is counted per core that was given, not per core of the node."""
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert machine.cores_available(tmp_path) == 0.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.cores_available(tmp_path) == len(os.sched_getaffinity(0))


def test_children_count_as_cores_used() -> None:
    """Promise: the Python processes of a server are in its cores, not only the server."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        meter = machine.Meter(parent.pid)
        time.sleep(1.5)
        used = next(s.value for s in meter.samples() if s.name == "moderation_cpu_cores_used")
        assert 0.05 < used < 1.3
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()
