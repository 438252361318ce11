"""Distributions that are watched for drift: where one decision falls in each.

Signals are `decision`, `content_type` and `score/<topic>` for the greatest score of each topic of the taxonomy. A score
has ten bins of equal width, named by their lower bound; a topic that was looked for and not found counts as 0.
A signal that is unknown falls in no bin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from moderation import contract
from moderation.taxonomy import Taxonomy

BINS: Final = tuple(f"{tenth / 10:.1f}" for tenth in range(10))
JUDGES: Final = (contract.SAFETY, contract.SAFETY_CLASSIFIER)


def score_bin(score: float) -> str:
    """Name of the bin of a score 0-1."""
    return BINS[min(int(score * 10), 9)]


def topics() -> tuple[str, ...]:
    """Topics of the taxonomy, in the order of the file."""
    return tuple(name for name in Taxonomy.load().labels if "/" not in name)


def of_result(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(signal, bin) of one RESULT with a decision."""
    yield "decision", result["decision"]
    if result["content_type"] is not None:
        yield "content_type", result["content_type"]["name"]
    if any(judge in result["versions"] for judge in JUDGES):
        for topic in topics():
            yield f"score/{topic}", score_bin(result["categories"].get(topic, 0.0))
