"""Leaves the few layers in FP32 that INT8 harms most, where a network as a whole does not pass its judgement.

Each activation is quantised alone, and how far the answers move says how much it harms; the worst are left out, twice
as many each time, until the judgement passes. The idea is that of NNCF's accuracy control, which takes them back one
after another from a network that is quantised as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from moderation.quantise.judge import Delta
from moderation.quantise.ranges import Activation, Ranges

MOST: Final = 0.25
"""Share of the activations that may be left out; with more of them INT8 is no longer worth it."""
Judgement = Callable[[Ranges], list[Delta]]


def relax(ranges: Ranges, alone: Judgement, judgement: Judgement) -> tuple[Ranges, list[Delta]]:
    """Ranges that pass, with as many activations as can be; or the last that were tried.

    Args:
        ranges: of all activations.
        alone: distances that rank single activations, on samples that were calibrated with.
        judgement: distances that decide, on samples that were held out.
    """
    found = judgement(ranges)
    if passes(found):
        return ranges, found
    order = sorted(ranges.activations, key=lambda a: -_harm(ranges, a, alone))
    count, tried, most = 2, ranges, int(MOST * len(order))
    while not passes(found) and count <= most:
        left_out = order[:count]
        tried = ranges.model_copy(
            update={
                "activations": [a for a in ranges.activations if a not in left_out],
                "made_with": f"{ranges.made_with}; {count} of {len(order)} activations harm most and stay in FP32",
            }
        )
        found = judgement(tried)
        count *= 2
    return tried, found


def passes(deltas: list[Delta]) -> bool:
    """Every distance within its limit."""
    return all(delta.passes for delta in deltas)


def _harm(ranges: Ranges, activation: Activation, alone: Judgement) -> float:
    only = ranges.model_copy(update={"activations": [activation], "weights": [], "biases": []})
    return max(delta.value / delta.limit for delta in alone(only))
