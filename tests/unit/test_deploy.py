"""What a deployment runs beside the server: probes, drain, analysis."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import contract
from moderation.deploy import analyse, probe
from moderation.deploy.analyse import Limits, Traffic
from moderation.deploy.drain import drain, requests
from moderation.deploy.scrape import Page
from moderation.errors import ConfigError
from moderation.launcher import heartbeat
from moderation.launcher.heartbeat import Beat
from moderation.samples import EXPECTED

WELL = Beat(0.3, {})


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# probes


@pytest.mark.parametrize("kind", ["ready", "alive"])
def test_a_server_that_answers_passes(kind: str) -> None:
    """Promise: a healthy launcher and a 200 are enough."""
    assert not probe.judge(kind, lambda _: True, WELL)


def test_a_dead_python_process_is_seen_at_once_and_forgiven_for_a_while() -> None:
    """Promise: no requests while it is replaced; a restart only when replacing it did not work."""
    healing, lost = Beat(0.1, {contract.OCR: 2.0}), Beat(0.1, {contract.OCR: probe.HEAL_S + 1})
    assert contract.OCR in probe.judge("ready", lambda _: True, healing)
    assert not probe.judge("alive", lambda _: True, healing)
    assert contract.OCR in probe.judge("alive", lambda _: True, lost)


@pytest.mark.parametrize("kind", ["ready", "alive"])
def test_a_launcher_that_hangs_or_never_began_fails(kind: str) -> None:
    """Promise: HTTP alone convinces nobody."""
    assert "silent" in probe.judge(kind, lambda _: True, Beat(probe.STALE_S + 1, {}))
    assert "not written" in probe.judge(kind, lambda _: True, None)


def test_each_probe_asks_its_own_path() -> None:
    """Promise: an unloaded entry model makes a pod not ready, and is no reason to restart it."""
    asked: list[str] = []

    def answers(path: str) -> bool:
        asked.append(path)
        return path == "/v2/health/live"

    assert contract.ENTRY in probe.judge("ready", answers, WELL)
    assert not probe.judge("alive", answers, WELL)
    assert len(asked) == 2


def test_a_probe_of_another_kind_is_refused() -> None:
    """Promise: a typing error in a manifest does not pass for health."""
    with pytest.raises(ValueError, match="allowed: ready, alive"):
        probe.judge("live", lambda _: True, WELL)


def test_a_heartbeat_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Promise: ages are seconds, whoever reads; half a file is no heartbeat."""
    file = tmp_path / "beat"
    assert heartbeat.read(file) is None
    heartbeat.beat(file, {"a": time.monotonic() - 5})
    found = heartbeat.read(file)
    assert found is not None
    assert found.age_s < 2
    assert found.troubled["a"] == pytest.approx(5, abs=1)
    file.write_text('{"at": 1')
    assert heartbeat.read(file) is None
    assert not list(tmp_path.glob("beat.*"))


# drain


def test_a_quiet_server_drains_in_the_shortest_time() -> None:
    """Promise: no second longer than needed."""
    clock = Clock()
    done = drain(lambda: 7.0, at_least_s=8, quiet_s=2, at_most_s=45, clock=clock, sleep=clock.sleep)
    assert done.quiet
    assert done.seconds == pytest.approx(8, abs=0.5)


def test_a_drain_outlasts_the_last_request() -> None:
    """Promise: proxies that learn late are still served: it ends `quiet` seconds after the last request."""
    clock = Clock()

    def count() -> float:
        return float(int(min(clock.now, 20)))  # one a second until second 20

    done = drain(count, at_least_s=5, quiet_s=3, at_most_s=45, clock=clock, sleep=clock.sleep)
    assert done.quiet
    assert done.seconds == pytest.approx(23, abs=1)


def test_a_drain_ends_under_endless_traffic() -> None:
    """Promise: a client that never goes away cannot hold up an upgrade."""
    clock = Clock()
    done = drain(lambda: clock.now, at_least_s=5, quiet_s=3, at_most_s=45, clock=clock, sleep=clock.sleep)
    assert not done.quiet
    assert done.seconds == pytest.approx(45, abs=0.5)


def test_a_server_that_is_gone_has_nothing_to_drain() -> None:
    """Promise: a crash is not waited for beyond the shortest time."""
    clock = Clock()
    assert drain(lambda: None, at_least_s=5, quiet_s=3, at_most_s=45, clock=clock, sleep=clock.sleep).quiet
    assert clock.now < 6


@given(st.lists(st.floats(0, 60), max_size=30), st.floats(0, 20), st.floats(0.5, 10), st.floats(20, 60))
def test_a_drain_keeps_its_bounds(arrivals: list[float], least: float, quiet: float, most: float) -> None:
    """Promise: never shorter than `at_least`, never longer than `at_most`, and quiet means quiet."""
    clock = Clock()

    def count() -> float:
        return float(sum(a <= clock.now for a in arrivals))

    done = drain(count, at_least_s=least, quiet_s=quiet, at_most_s=most, clock=clock, sleep=clock.sleep)
    assert least <= done.seconds <= most + 0.3
    if done.quiet:
        assert not [a for a in arrivals if done.seconds - quiet + 0.3 < a <= done.seconds]


def test_bounds_that_contradict_are_refused() -> None:
    """Promise: names both."""
    with pytest.raises(ConfigError, match="9 s of drain is above at most 8 s"):
        drain(lambda: 0.0, at_least_s=9, quiet_s=1, at_most_s=8)


# metrics

PAGE = """# HELP moderation_decisions_total Decisions.
# TYPE moderation_decisions_total counter
moderation_decisions_total{decision="allow",policy="1"} 90
moderation_decisions_total{decision="block",policy="1"} 10
moderation_stage_seconds_bucket{stage="total",le="0.1"} 50
moderation_stage_seconds_bucket{stage="total",le="0.15"} 95
moderation_stage_seconds_bucket{stage="total",le="+Inf"} 100
moderation_stage_seconds_bucket{stage="ocr",le="+Inf"} 400
nv_inference_request_success{model="content-moderation-ensemble",version="1"} 100
nv_inference_request_failure{model="content-moderation-ensemble",reason="OTHER",version="1"} 3
nv_inference_pending_request_count{model="content-moderation-ensemble",version="1"} 2
nv_inference_request_success{model="ocr-engine",version="1"} 70
moderation_odd{text="a\\"b,c={}"} 1.5e3
"""


def test_a_metrics_page_is_read() -> None:
    """Promise: names, labels with any text, sums and quantiles."""
    page = Page.parse(PAGE)
    assert page.total("moderation_decisions_total") == 100
    assert page.total("moderation_decisions_total", decision="block") == 10
    assert page.total("moderation_odd") == 1500
    assert page.quantile("moderation_stage_seconds", 0.95, stage="total") == 0.15
    assert page.quantile("moderation_stage_seconds", 0.96, stage="total") == math.inf
    assert math.isnan(page.quantile("moderation_stage_seconds", 0.95, stage="none"))
    assert requests(page) == 105


def test_what_counters_gained_survives_a_restart() -> None:
    """Promise: a counter that fell began anew; pods add up."""
    before, after = Page.parse("a_total 100\nb_total 5"), Page.parse("a_total 3\nb_total 9\nc_total 2")
    gained = after.since(before)
    assert [gained.total(f"{name}_total") for name in "abc"] == [3, 4, 2]
    assert (gained + gained).total("c_total") == 4


# analysis


def test_traffic_is_judged_against_every_limit() -> None:
    """Promise: all findings at once, each with value and limit."""
    limits = Limits(errors=0.01, unknown=0.05, p95_ms=150)
    assert analyse.judge(Traffic(100, 1, 5, 150.0), limits) == []
    bad = analyse.judge(Traffic(100, 2, 6, 250.0), limits)
    assert len(bad) == 3
    assert "2.00% of 100 requests failed; the limit is 1.00%" in bad[0]
    assert "250 ms; the limit is 150 ms" in bad[2]


def test_too_few_requests_say_nothing() -> None:
    """Promise: one failed request of three takes no release back; the golden images decide then."""
    assert analyse.judge(Traffic(analyse.ENOUGH - 1, 9, 9, 9e9), Limits()) == []


def test_traffic_is_what_counters_gained() -> None:
    """Promise: decisions and errors are requests; the percentile is that of whole decisions."""
    seen = analyse.traffic(Page.parse(PAGE + 'moderation_errors_total{code="INTERNAL"} 25\n'))
    assert (seen.requests, seen.errors, seen.unknown) == (125, 25, 0)
    assert seen.p95_ms == pytest.approx(150)


def test_a_result_is_held_against_the_expected_decision() -> None:
    """Promise: a wrong decision names the rules that made it; a silent stage counts whatever the decision."""
    result: dict[str, Any] = {"decision": "block", "reasons": [{"rule": "threats"}], "unknown": []}
    assert analyse.faults_of(result, "block") == []
    assert analyse.faults_of(result, None) == []
    assert analyse.faults_of(result, "allow") == ["decided block where allow is expected (threats)"]
    assert analyse.faults_of({**result, "unknown": ["ocr-engine"]}, "block") == ["no signal from ocr-engine"]


def test_golden_images_are_samples_or_a_folder(tmp_path: Path) -> None:
    """Promise: drawn samples by default; a folder's faults all at once."""
    assert {g.name: g.expected for g in analyse.golden_images(None)} == EXPECTED
    assert {g.expected for g in analyse.golden_images(None, any_decision=True)} == {None}
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "expected.yaml").write_text("a.jpg: allow\n")
    (image,) = analyse.golden_images(tmp_path)
    assert (image.name, image.data, image.expected) == ("a.jpg", b"a", "allow")
    (tmp_path / "expected.yaml").write_text("a.jpg: maybe\nb.jpg: block\n")
    with pytest.raises(ConfigError, match=r"2 fault\(s\)") as refused:
        analyse.golden_images(tmp_path)
    assert "`maybe` is no decision" in refused.value.message
    assert "b.jpg: no such file" in refused.value.message


def test_a_service_without_pods_is_an_error() -> None:
    """Promise: nothing to look at is not a pass."""
    with pytest.raises(ConfigError, match="leads to no pod"):
        analyse.addresses("no-such-service.invalid", 8000)


def test_a_pod_that_does_not_answer_is_found() -> None:
    """Promise: each image without a decision is a finding, not an exception."""
    golden = analyse.golden_images(None)
    found = analyse.analyse({"http://127.0.0.1:9": "http://127.0.0.1:9/metrics"}, golden, Limits(), watch_s=0.1)
    assert len(found.findings) == len(golden) + 1
    assert "went away" in found.findings[-1]
