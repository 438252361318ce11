"""Distributions that are watched for drift: where one decision falls in each.

Signals are `decision`, `content_type`, `image_pixels`, `text_length` (characters read in the picture) and
`score/<topic>` for the greatest score of each topic of the taxonomy. A score has ten bins of equal width; bins of
numbers are named by their lower bound. A topic that was looked for and not found counts as 0. A signal that is unknown
falls in no bin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from moderation import contract
from moderation.taxonomy import Taxonomy

BINS: Final = tuple(f"{tenth / 10:.1f}" for tenth in range(10))
PIXELS: Final = (0, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
CHARACTERS: Final = (0, 1, 20, 100, 500, 2_000)
CATEGORIES: Final = ("decision", "content_type")
"""Signals whose bins have no order."""
JUDGES: Final = (contract.SAFETY, contract.SAFETY_CLASSIFIER)


def score_bin(score: float) -> str:
    """Name of the bin of a score 0-1."""
    return BINS[min(int(score * 10), 9)]


def bin_below(value: int, bounds: tuple[int, ...]) -> str:
    """Name of the bin of a number: the greatest bound that is not above it."""
    return str(max(bound for bound in bounds if bound <= value))


def topics() -> tuple[str, ...]:
    """Topics of the taxonomy, in the order of the file."""
    return tuple(name for name in Taxonomy.load().labels if "/" not in name)


def of_result(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(signal, bin) of one RESULT with a decision."""
    yield "decision", result["decision"]
    if result["content_type"] is not None:
        yield "content_type", result["content_type"]["name"]
    yield "image_pixels", bin_below(result["image"]["width"] * result["image"]["height"], PIXELS)
    if contract.OCR in result["versions"]:
        yield "text_length", bin_below(sum(len(line["text"]) for line in result["text"]), CHARACTERS)
    if any(judge in result["versions"] for judge in JUDGES):
        for topic in topics():
            yield f"score/{topic}", score_bin(result["categories"].get(topic, 0.0))
