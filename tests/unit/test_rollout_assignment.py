"""Who sees which version: in proportion, always the same, and never back."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from moderation.rollout.assignment import choose, position

CALLERS = [f"subject {n}" for n in range(2_000)]
SALTS = st.text(max_size=10)
VERSIONS = st.lists(st.integers(1, 1_000), min_size=2, max_size=5, unique=True)


@st.composite
def shares(draw: st.DrawFn) -> dict[int, float]:
    versions = draw(VERSIONS)
    weights = draw(st.lists(st.floats(0, 100), min_size=len(versions), max_size=len(versions)))
    assume(sum(weights) > 0)
    return {version: 100 * weight / sum(weights) for version, weight in zip(versions, weights, strict=True)}


@given(shares(), SALTS)
def test_shares_are_what_the_weights_say(weights: dict[int, float], salt: str) -> None:
    """Promise: each version gets its share of the callers, within six standard deviations."""
    counts = Counter(choose(weights, salt, caller) for caller in CALLERS)
    for version, weight in weights.items():
        share = min(weight / 100, 1.0)
        assert abs(counts[version] - share * len(CALLERS)) <= 6 * (share * (1 - share) * len(CALLERS)) ** 0.5 + 1


@given(shares(), SALTS, st.text())
def test_a_caller_sees_the_same_version_again(weights: dict[int, float], salt: str, caller: str) -> None:
    """Promise: neither time nor the order of the file matters, and a version without a share is never seen."""
    first = choose(weights, salt, caller)
    assert weights[first] > 0
    assert choose(dict(reversed(weights.items())), salt, caller) == first


@given(shares(), SALTS, st.data())
def test_raising_a_share_moves_nobody_back(weights: dict[int, float], salt: str, data: st.DataObject) -> None:
    """Promise: while one version's share grows at the cost of the others, whoever saw it goes on to see it, and of the
    others callers move to it alone."""
    growing = data.draw(st.sampled_from(sorted(weights)))
    old = weights[growing]
    assume(old < 100)
    new = data.draw(st.floats(old, 100))
    others = {v: w * (100 - new) / (100 - old) for v, w in weights.items() if v != growing}
    assume(all(w == 0 or others[v] > 1e-9 for v, w in weights.items() if v != growing) or new == 100)
    after = {growing: new, **others}
    for caller in CALLERS[:300]:
        before, now = choose(weights, salt, caller), choose(after, salt, caller)
        assert now in (before, growing)


def test_five_percent_are_among_the_ten() -> None:
    """Promise: the common case in plain numbers."""
    five = {c for c in CALLERS if choose({1: 95, 2: 5}, "", c) == 2}
    ten = {c for c in CALLERS if choose({1: 90, 2: 10}, "", c) == 2}
    assert five < ten
    assert 0.03 < len(five) / len(CALLERS) < 0.07


def test_the_first_callers_of_one_release_are_not_those_of_the_next() -> None:
    """Promise: nobody is always the one who tries new versions."""
    first = {c for c in CALLERS if choose({1: 90, 2: 10}, "", c) == 2}
    second = {c for c in CALLERS if choose({2: 90, 3: 10}, "", c) == 3}
    assert len(first & second) < len(first) / 4


@given(SALTS)
def test_positions_are_uniform(salt: str) -> None:
    """Promise: the number behind each draw lies anywhere between 0 and 1, ends excluded (Kolmogorov-Smirnov)."""
    found = sorted(position(salt, caller) for caller in CALLERS)
    assert 0 < found[0] < found[-1] < 1
    distance = max(abs((rank + 0.5) / len(found) - value) for rank, value in enumerate(found))
    assert distance < 2.7 / len(found) ** 0.5  # chance of more: below 1 in a million
