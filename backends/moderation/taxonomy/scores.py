"""Scores of labels and of the names above them."""

from __future__ import annotations

from collections.abc import Iterable

from moderation.taxonomy.taxonomy import parents


def categories(found: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The greatest score below each name.

    Args:
        found: (label, score 0-1), any number for a label.

    Returns:
        Score by name, for every label and every parent of it, sorted by name.
    """
    best: dict[str, float] = {}
    for label, score in found:
        for name in (*parents(label), label):
            best[name] = max(score, best.get(name, 0.0))
    return dict(sorted(best.items()))
