"""What kind of picture it is: the network's probabilities, weighed by what else was found in it (Bayes' rule)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
MIN_CHARACTERS: Final = 2
"""A line with fewer is as often a shape that looks like a letter."""
NO_TEXT: Final[Mapping[str, float]] = {
    "photo": 0.81,
    "illustration": 0.84,
    "code_2d": 0.27,
    "meme": 0.10,
    "screenshot": 0.07,
    "document": 0.06,
    "chart": 0.06,
}
"""Share of pictures of a kind in which no line is read. Measured on 1,428 pictures of the sources that the network
learned from, as a mean over a kind's sources and one more of which nothing is known (0.3): kinds with few sources are
trusted less. Pictures without a line were 0.90 of photos (6 sources), 0.91 of illustrations (7), 0.24 of codes (1), 0
of memes (2), 0.04 of screenshots (7), 0.01 of documents (5) and 0.02 of charts (7). How many lines there are is no
evidence here: it differs more between sources than between kinds."""


@dataclass(frozen=True)
class Kind:
    """How probable each kind is.

    Attributes:
        scores: probability of each kind, 0-1; 0 for all where a network says nothing at all.
        source: network and version that they come from, "" outside a server.
    """

    scores: Mapping[str, float]
    source: str = ""

    def with_codes(self, codes: Sequence[Mapping[str, Any]], width: int, height: int) -> Kind:
        """After a look for codes, which speak for or against `code_2d`.

        Args:
            codes: from `images.codes`, in pixels of the full picture.
            width: of the full picture.
            height: likewise.
        """
        return self._weighed({CODE: _evidence(codes, width * height)})

    def with_text(self, lines: Sequence[Mapping[str, Any]] | None) -> Kind:
        """After reading. A picture without a line is hardly a meme, a document, a screenshot or a chart.

        Args:
            lines: what was read; None where nothing was, which says nothing.
        """
        if lines is None or any(len(line["text"]) >= MIN_CHARACTERS for line in lines):
            return self
        return self._weighed(NO_TEXT)

    def best(self) -> dict[str, Any]:
        """The most probable kind as RESULT has it: `name`, `score` 0-1 and `source`."""
        name = max(self.scores, key=self.scores.__getitem__)
        return {"name": name, "score": round(self.scores[name], 4), "source": self.source}

    def _weighed(self, likelihoods: Mapping[str, float]) -> Kind:
        """Bayes' rule; a kind without a likelihood keeps its weight."""
        found = {name: score * likelihoods.get(name, 1.0) for name, score in self.scores.items()}
        total = sum(found.values())
        return replace(self, scores={name: score / total for name, score in found.items()}) if total > 0 else self


def _evidence(codes: Sequence[Mapping[str, Any]], pixels: int) -> float:
    large = [code for code in codes if _area(code["quad"]) >= MIN_SHARE * pixels]
    if not large:
        return UNSEEN if not codes else 1.0
    return SEEN if all(code["format"] == UNREAD for code in large) else DECODED


def _area(quad: Sequence[Sequence[float]]) -> float:
    """Shoelace formula, in square pixels."""
    x, y = np.asarray(quad, np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
