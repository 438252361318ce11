"""Fuzzy entries: words with one or two typing errors.

Two words that are at most d errors apart become equal when at most d letters are taken out of each (the deletion
neighbourhood of SymSpell and FastSS). The index keeps a 64-bit number for every way to take letters out of every
term; a search makes the same numbers for the words of the text, all at once with NumPy, and only words that share a
number are compared letter by letter (`rapidfuzz`, errors are wrong, missing, extra and swapped letters). A term of
several words is compared with as many words of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA

from moderation.text.characters import Codes, Places, to_codes, to_text
from moderation.text.normalize import INSIDE, Reading
from moderation.text.terms import Form, forms, merged

MIN_LETTERS: Final = {1: 5, 2: 8}
"""Letters that a term needs for each distance: shorter ones are one error away from innocent words."""
MAX_LETTERS: Final = 24
MAX_WORDS: Final = 4
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers never vanish modulo 2⁶⁴
_INVERSE: Final = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_SPARSENESS: Final = 8  # places of the first sieve for each number in the index

Hashes = npt.NDArray[np.uint64]


def fuzzy_fault(form: Form, distance: int) -> str | None:
    """Why a fuzzy entry is refused, in words, or None."""
    if distance not in MIN_LETTERS:
        return f"has distance {distance}; allowed: 1 or 2"
    least, letters = MIN_LETTERS[distance], len(form.letters)
    if not least <= letters <= MAX_LETTERS:
        return f"has {letters} letters; fuzzy with {distance} typing errors needs {least} to {MAX_LETTERS}"
    if form.words > MAX_WORDS:
        return f"has {form.words} words; fuzzy allows {MAX_WORDS}"
    return None


class FuzzyIndex:
    """Fuzzy terms by number, ready for searching. Immutable.

    Args:
        terms: as the lists spell them, with the errors that each forgives, in the order of their numbers.
    """

    def __init__(self, terms: Sequence[tuple[str, int]]) -> None:
        spelled = [
            (number, distance, merged(form.letters), form.words)
            for number, ((_, distance), ways) in enumerate(zip(terms, forms([term for term, _ in terms]), strict=True))
            for form in ways
        ]
        self._terms = [(number, distance, letters) for number, distance, letters, _ in spelled]
        self._words = sorted({words for *_, words in spelled})
        self._reach = max((distance for _, distance, _, _ in spelled), default=0)
        lengths = np.asarray([len(letters) for _, _, letters, _ in spelled], np.intp)
        codes = to_codes("".join(letters for _, _, letters, _ in spelled))
        distances = np.asarray([distance for _, distance, _, _ in spelled], np.intp)
        numbers, owners = _numbers(codes, np.cumsum(lengths) - lengths, lengths, distances)
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._owners = numbers[order], owners[order].astype(np.uint32)
        bits = max(int(numbers.size * _SPARSENESS).bit_length(), 10)
        self._shift = np.uint64(64 - bits)
        self._seen = np.zeros(1 << bits, bool)
        self._seen[numbers >> self._shift] = True

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._terms)

    def search(self, reading: Reading) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of every occurrence."""
        text = merged(to_text(reading.codes))
        starts, lengths = self._windows(reading)
        distances = np.where(lengths >= MIN_LETTERS[2] - 2, self._reach, 1)
        numbers, windows = _numbers(to_codes(text), starts, lengths, distances)
        likely = self._seen[numbers >> self._shift]
        numbers, windows = numbers[likely], windows[likely]
        low = np.searchsorted(self._numbers, numbers, "left")
        high = np.searchsorted(self._numbers, numbers, "right")
        pairs = {
            (window, owner)
            for window, a, b in zip(windows.tolist(), low.tolist(), high.tolist(), strict=True)
            for owner in self._owners[a:b].tolist()
        }
        for window, owner in sorted(pairs):
            number, distance, term = self._terms[owner]
            start = int(starts[window])
            end = start + int(lengths[window])
            if OSA.distance(text[start:end], term, score_cutoff=distance) <= distance:
                yield number, start, end

    def _windows(self, reading: Reading) -> tuple[Places, Places]:
        """Start and length of as many words in a row as terms have."""
        bounds = np.flatnonzero(reading.cuts != INSIDE)
        starts = np.concatenate([bounds[:-words] for words in self._words])
        lengths = np.concatenate([bounds[words:] - bounds[:-words] for words in self._words])
        fit = (lengths >= MIN_LETTERS[1] - 1) & (lengths <= MAX_LETTERS + self._reach)
        return starts[fit], lengths[fit]


@cache
def _ways() -> tuple[Places, Places, Places]:
    """Every way to take up to two letters out of a word.

    Returns:
        Rows of two positions, in order; a position behind the word takes nothing. And for each distance and length of
        word the first of its rows, and their number.
    """
    rows: list[tuple[int, ...]] = []
    first = np.zeros((3, MAX_LETTERS + 3), np.intp)
    count = np.zeros_like(first)
    for distance in range(3):
        for length in range(MAX_LETTERS + 3):
            first[distance, length] = len(rows)
            for taken in range(min(distance, length) + 1):
                rows += ((*way, length, length)[:2] for way in combinations(range(length), taken))
            count[distance, length] = len(rows) - first[distance, length]
    return np.asarray(rows, np.intp), first, count


def _numbers(codes: Codes, starts: Places, lengths: Places, distances: Places) -> tuple[Hashes, Places]:
    """A number for every way to take up to `distances` letters out of each window, and whose each is.

    The number of the letters c₀…cₙ is Σ cᵢ·Bⁱ modulo 2⁶⁴; prefix sums give that of any part of the text.
    """
    powers, inverse = _powers(codes.size)
    sums = np.zeros(codes.size + 1, np.uint64)
    np.cumsum(codes * powers[:-1], out=sums[1:])
    rows, first, count = _ways()
    counts = count[distances, lengths]
    window = np.repeat(np.arange(starts.size), counts)
    row = np.arange(window.size) + np.repeat(first[distances, lengths] - np.cumsum(counts) + counts, counts)
    start, end = starts[window], (starts + lengths)[window]
    one, two = start + rows[row, 0], start + rows[row, 1]

    def part(a: Places, b: Places, moved: int) -> Hashes:
        """Of letters a..b, with their places counted from the start of the window and moved to the left."""
        number: Hashes = (sums[b] - sums[np.minimum(a, b)]) * inverse[start + moved]
        return number

    return part(start, one, 0) + part(one + 1, two, 1) + part(np.minimum(two + 1, end), end, 2), window


def _powers(size: int) -> tuple[Hashes, Hashes]:
    """Powers of B from 0 to `size`, and of its inverse to `size` + 1."""
    powers = np.full(size + 1, _BASE, np.uint64)
    inverse = np.full(size + 3, _INVERSE, np.uint64)
    powers[0] = inverse[0] = 1
    return np.multiply.accumulate(powers), np.multiply.accumulate(inverse)
