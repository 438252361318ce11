"""Shares and their differences: intervals, and how many items a difference needs to be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

Z: Final = 1.959963984540054
"""Normal quantile of 97.5 %: intervals hold the truth 95 times in 100."""
Z_POWER: Final = 0.8416212335729143
"""Normal quantile of 80 %, the usual power of an experiment."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that holds the truth 95 times in 100."""

    value: float
    low: float
    high: float


def share(count: int, total: int) -> Interval:
    """A share with its Wilson score interval (Wilson 1927); of nothing it may be anything."""
    if total == 0:
        return Interval(math.nan, 0.0, 1.0)
    p, z2 = count / total, Z * Z
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    return Interval(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def difference(count: int, total: int, count_before: int, total_before: int) -> Interval:
    """A share minus another one, with Newcombe's hybrid score interval (Newcombe 1998, method 10)."""
    a, b = share(count, total), share(count_before, total_before)
    if total == 0 or total_before == 0:
        return Interval(math.nan, -1.0, 1.0)
    d = a.value - b.value
    low = d - math.hypot(a.value - a.low, b.high - b.value)
    high = d + math.hypot(a.high - a.value, b.value - b.low)
    return Interval(d, max(-1.0, low), min(1.0, high))


def needed(before: float, change: float) -> int:
    """Items that each of two versions must see so that a change of a share is noticed 8 times in 10.

    Two-sided, 5 % (Fleiss, Statistical Methods for Rates and Proportions, without correction for continuity).

    Args:
        before: the share, 0-1.
        change: what is added to it, not 0; the sum is kept between 0 and 1.
    """
    after = min(1.0, max(0.0, before + change))
    mean = (before + after) / 2
    spread = Z * math.sqrt(2 * mean * (1 - mean))
    spread += Z_POWER * math.sqrt(before * (1 - before) + after * (1 - after))
    return math.ceil((spread / (after - before)) ** 2) if after != before else 0
