"""Which candidate is really faster.

A single short measurement ranks noise: of one sweep on this project's machine the winner did 188 requests a second, and
104 when it was measured again. So every candidate is measured several times, in turn with what is there now, and only
differences within a round count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from moderation.tune.space import Judge


@dataclass(frozen=True)
class Round:
    """Rate and p95 of every candidate in one round, the present settings first."""

    rates: Sequence[float]
    p95_ms: Sequence[float]


@dataclass(frozen=True)
class Verdict:
    """What the rounds say.

    Attributes:
        winner: index of the candidate to use; 0 is what is there now.
        gains: median over the rounds of each candidate's rate ÷ the present one's, minus 1.
        wins: rounds in which each candidate was faster than the present one.
        why: one sentence.
    """

    winner: int
    gains: Sequence[float]
    wins: Sequence[int]
    why: str


def decide(rounds: Sequence[Round], rules: Judge) -> Verdict:
    """The fastest candidate, if it is reliably faster and within the limit.

    A candidate replaces the present settings when its median gain is above `margin`, it was faster in four rounds of
    five, and its median p95 is within `p95_ms`. Present settings that are themselves beyond the limit are replaced by
    the fastest candidate within it, reliably faster or not.
    """
    count = len(rounds[0].rates)
    gains = [median(r.rates[i] / r.rates[0] for r in rounds) - 1 for i in range(count)]
    wins = [sum(r.rates[i] > r.rates[0] for r in rounds) for i in range(count)]
    slow = [median(r.p95_ms[i] for r in rounds) for i in range(count)]
    allowed = [i for i in range(count) if not rules.p95_ms or slow[i] <= rules.p95_ms]
    reliable = [i for i in allowed if i and gains[i] > rules.margin and wins[i] >= 0.8 * len(rounds)]
    if reliable:
        best = max(reliable, key=lambda i: gains[i])
        why = f"{100 * gains[best]:+.0f} % in the median, faster in {wins[best]} of {len(rounds)} rounds"
    elif 0 not in allowed and allowed:
        best = max(allowed, key=lambda i: gains[i])
        why = f"what is there has a p95 of {slow[0]:.0f} ms, beyond {rules.p95_ms:.0f} ms; this has {slow[best]:.0f} ms"
    else:
        best = 0
        why = "no candidate is reliably faster than what is there"
        if not allowed:
            why = f"nobody is within {rules.p95_ms:.0f} ms at the 95th percentile; {why}"
    return Verdict(best, gains, wins, why)
