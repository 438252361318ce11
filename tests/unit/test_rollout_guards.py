"""When a version on trial goes on, waits, or has to go; the numbers behind it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import contract
from moderation.deploy.scrape import Page
from moderation.errors import ConfigError
from moderation.rollout import guards, stats
from moderation.rollout.guards import Arm, Limits, Looks
from moderation.rollout.state import Rollout, Store, decide, replace, to_page, to_series

POLICY = contract.DECISION_LOGIC
LIMITS = Limits()
NOTHING = Looks()


def arm(allow: int, block: int = 0, errors: int = 0, slow: int = 0) -> Arm:
    total = allow + block
    return Arm({"allow": allow, "block": block}, errors, {0.05: total - slow, 0.1: total - slow, math.inf: total})


def rollout(**changes: Any) -> Rollout:
    told: dict[str, Any] = {"model": POLICY, "stable": 1, "trial": 2, "steps": (5.0, 100.0), "hold_s": 60, "since": 0}
    return Rollout(**{**told, "limits": LIMITS, **changes})


def page(trial: dict[str, int], stable: dict[str, int], errors: int = 0, shadow: dict[str, int] | None = None) -> Page:
    """What servers show that have decided so since they started."""
    lines = [
        f'moderation_arm_decisions_total{{model="{POLICY}",version="{version}",decision="{decision}"}} {count}'
        for version, counts in ((2, trial), (1, stable))
        for decision, count in counts.items()
    ]
    lines.append(f'moderation_arm_errors_total{{model="{POLICY}",version="2"}} {errors}')
    for said, count in (shadow or {}).items():
        lines.append(
            f'moderation_shadow_decisions_total{{model="{POLICY}",version="2",live="allow",shadow="{said}"}} {count}'
        )
    return Page.parse("\n".join(lines))


def test_versions_alike_break_nothing() -> None:
    """Promise: chance alone does not send a version back."""
    assert guards.broken(arm(95, 5), arm(1900, 100), Looks({("allow", "allow"): 100}), LIMITS) == []
    assert guards.broken(arm(18, 2), arm(1900, 100), NOTHING, LIMITS) == []
    assert guards.broken(arm(0), arm(0), NOTHING, LIMITS) == []
    assert guards.broken(arm(10, errors=2), arm(1000), NOTHING, LIMITS) == []


@pytest.mark.parametrize(
    ("trial", "shadow", "words"),
    [
        (arm(0, errors=3), NOTHING, "errors: 3 of 3 items, stable 0 of 2000"),
        (arm(70, 30), NOTHING, "block went from 5.0% to 30.0%"),
        (arm(100, slow=40), NOTHING, "40 of 100 items took longer than 50 ms"),
        (arm(0), Looks({("allow", "allow"): 80, ("allow", "block"): 20}), "20 of 100 items in the shadow"),
        (arm(0), Looks({("allow", "error"): 30}), "30 of 30 items in the shadow"),
    ],
)
def test_each_guard_breaks_on_its_damage(trial: Arm, shadow: Looks, words: str) -> None:
    """Promise: the sentence has the numbers of both versions and the limit."""
    found = guards.broken(trial, arm(1900, 100), shadow, LIMITS)
    assert any(words in sentence and "the limit is" in sentence for sentence in found), found


def test_every_trial_of_a_server_is_judged_at_once() -> None:
    """Promise: the check after an upgrade sees what `moderation rollout` sees, with the stage and the version."""
    assert guards.all_broken(page({"allow": 50}, {"allow": 900}), LIMITS) == []
    (fault,) = guards.all_broken(page({}, {"allow": 900}, errors=5), LIMITS)
    assert fault.startswith(f"{POLICY} 2: errors: 5 of 5 items, stable 0 of 900")
    assert guards.all_broken(Page({}), LIMITS) == []


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_intervals_hold_their_estimate(a: int, more_a: int, b: int, more_b: int) -> None:
    """Promise: an interval holds what was seen, lies in its range, and turns over with its versions."""
    found = stats.difference(a, a + more_a, b, b + more_b)
    if not math.isnan(found.value):
        assert -1 <= found.low <= found.value + 1e-9
        assert found.value - 1e-9 <= found.high <= 1
        other = stats.difference(b, b + more_b, a, a + more_a)
        assert other.low == pytest.approx(-found.high)


def test_numbers_are_those_of_the_literature() -> None:
    """Promise: Newcombe 1998, table II, example a, method 10; Fleiss' sample size as statistics programs give it."""
    found = stats.difference(56, 70, 48, 80)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    assert stats.needed(0.05, 0.05) == 435
    assert stats.needed(0.05, 0.0) == 0


def test_a_step_lasts_its_time_and_its_items() -> None:
    """Promise: no step ends before both are there; then the next one begins, and the last one ends the rollout."""
    start = rollout().looked({"a": page({}, {})})
    seen = start.looked({"a": page({"allow": 60}, {"allow": 900})})
    assert decide(start, 61).why[0] == "0 of 50 items seen"
    assert decide(seen, 59).why == ("1 s of 60 s left",)
    assert decide(seen, 61).act == "step"
    alone = start.looked({"a": page({"allow": 60}, {"allow": 9})})
    assert decide(alone, 61).why == ("9 of 20 items of the stable version seen",), "nobody to compare with"
    assert decide(seen.model_copy(update={"step": 1}), 61).act == "finish"


def test_a_broken_guard_sends_back_at_once() -> None:
    """Promise: damage does not wait for the end of a step."""
    seen = rollout().looked({"a": page({}, {})}).looked({"a": page({}, {"allow": 900}, errors=5)})
    coming = decide(seen, 1)
    assert coming.act == "roll_back"
    assert "errors: 5 of 5 items" in coming.why[0]


def test_the_shadow_comes_before_the_first_share() -> None:
    """Promise: in the shadow the items of the shadow count."""
    start = rollout(step=-1, shadow=20).looked({"a": page({}, {})})
    assert start.weight == 0
    agreed = start.looked({"a": page({}, {}, shadow={"allow": 60})})
    assert decide(agreed, 61).act == "step"
    apart = start.looked({"a": page({}, {}, shadow={"allow": 40, "block": 20})})
    assert decide(apart, 61).act == "roll_back"


def test_what_was_counted_outlives_a_restart_of_a_server() -> None:
    """Promise: a counter that begins anew adds to what was seen; servers add up; an absent one counts later."""
    seen = rollout().looked({"a": page({"allow": 100}, {}), "b": page({}, {})})
    seen = seen.looked({"a": page({"allow": 110}, {}), "b": page({"allow": 5}, {})})
    seen = seen.looked({"b": page({"allow": 6}, {})})
    seen = seen.looked({"a": page({"allow": 3}, {}), "b": page({"allow": 6}, {})})
    assert guards.arm(to_page(seen.gained), POLICY, 2).items == 10 + 6 + 3


def test_the_state_outlives_whoever_wrote_it(tmp_path: Path) -> None:
    """Promise: what one process keeps another one reads, whole, with its history; a broken file is said to be one."""
    store = Store(tmp_path / "routes.yaml")
    assert store.all() == []
    first = rollout().becomes(5, "5 %: started").looked({"a": page({"allow": 4}, {}, shadow={"block": 1})})
    store.put(first)
    store.put(first.becomes(9, "rolled back: errors", phase="rolled_back"))
    store.put(rollout(trial=3))
    again = Store(tmp_path / "routes.yaml")
    assert [(r.trial, r.phase, r.weight) for r in again.all()] == [(2, "rolled_back", 0), (3, "running", 5)]
    assert [event.what for event in again.all()[0].history] == ["5 %: started", "rolled back: errors"]
    assert again.running(POLICY) == rollout(trial=3)
    replace(store.path, "{")
    with pytest.raises(ConfigError, match="cannot be used"):
        again.all()


def test_series_survive_the_file() -> None:
    """Promise: histograms with their open end are read back as they were."""
    text = f'moderation_arm_seconds_bucket{{model="{POLICY}",version="2",of="stage",le="+Inf"}} 7'
    back = to_page(to_series(Page.parse(text)))
    assert guards.arm(back, POLICY, 2).seconds == {math.inf: 7}
