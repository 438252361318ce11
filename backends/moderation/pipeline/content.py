"""What kind of picture it is: the network's probabilities, and the codes that were found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from moderation.images.codes import UNREAD

CODE: Final = "code_2d"
MIN_SHARE: Final = 0.02
"""Share of the picture from which a code says what the picture is about; a small one is part of a page or a product."""
DECODED: Final = 300.0
SEEN: Final = 40.0
UNSEEN: Final = 0.3
"""Likelihood ratios of a code's presence. Measured: of 626 pictures without codes 7 had bars of that size that were
none, and of 225 (documents, photos, memes) none had a decoded code; of 86 with codes 66 were decoded and 16 seen."""


def content_type(
    scores: Mapping[str, float], codes: Sequence[Mapping[str, Any]], width: int, height: int
) -> tuple[str, float]:
    """The most probable kind, by Bayes' rule with the codes as evidence for or against `code_2d`.

    Args:
        scores: calibrated probability of each kind.
        codes: from `images.codes`, in pixels of the full picture.
        width: of the full picture.
        height: likewise.

    Returns:
        Kind and its probability, 0-1.
    """
    found = dict(scores)
    if CODE in found:
        before = found[CODE]
        after = before * _evidence(codes, width * height)
        total = sum(found.values()) - before + after
        found = {name: score / total for name, score in {**found, CODE: after}.items()} if total > 0 else found
    best = max(found, key=found.__getitem__)
    return best, found[best]


def _evidence(codes: Sequence[Mapping[str, Any]], pixels: int) -> float:
    large = [code for code in codes if _area(code["quad"]) >= MIN_SHARE * pixels]
    if not large:
        return UNSEEN if not codes else 1.0
    return SEEN if all(code["format"] == UNREAD for code in large) else DECODED


def _area(quad: Sequence[Sequence[float]]) -> float:
    """Shoelace formula, in square pixels."""
    x, y = np.asarray(quad, np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
