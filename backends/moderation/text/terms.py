"""Words, phrases and prefixes: one Aho-Corasick automaton for all of them.

The automaton (`ahocorasick_rs`) runs over a reading of the text, which has no separators; a look at the seams between
words then rejects what is only a part of other words. In patterns and text alike l and BAR are written i, and what
was found is compared letter by letter afterwards, so that `k1ll` and `b1tcoin` need no readings of their own.

Why this library: on 60,000 patterns of 14 letters it takes 14 MB, pyahocorasick 27 and daachorse 29; all need 0.1 ms
for a text of 1,000 characters.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

import numpy as np
from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from moderation.text import characters
from moderation.text.characters import BAR, END_MARKS, SIGNS
from moderation.text.normalize import INSIDE, SEPARATED, Reading, readings

SPACED_MIN: Final = 6
"""Letters from which a spaced-out term is found inside a longer run of single letters.

A shorter one must be the whole run, otherwise `c l a s s` would contain a three-letter insult.
"""
_BATCH: Final = 5_000
"""Terms that are normalised together; a few megabytes of work space."""
_REMEMBERED: Final = 4_096
"""Terms whose forms are kept after they were needed."""
_UNBARRED: Final = str.maketrans({"l": "i", BAR: "i"})
_BARS: Final = frozenset("il" + BAR)


@dataclass(frozen=True, slots=True)
class Form:
    """A term as a reading spells it: its letters and what lies before each (see `Reading`)."""

    letters: str
    cuts: bytes

    @property
    def words(self) -> int:
        """How many words it has."""
        return 1 + self.cuts.count(SEPARATED, 1)


def merged(letters: str) -> str:
    """Letters with everything that may be an i or an l written as i."""
    return letters.translate(_UNBARRED)


def forms(terms: Sequence[str]) -> Iterator[list[Form]]:
    """For each term the ways to spell it, at most two; none when it has no letter and no digit."""
    for at in range(0, len(terms), _BATCH):
        yield from _forms(terms[at : at + _BATCH])


def _forms(terms: Sequence[str]) -> list[list[Form]]:
    starts = np.fromiter(accumulate((len(term) + 1 for term in terms), initial=0), np.intp)
    found: list[list[Form]] = [[] for _ in terms]
    ways = readings("\n".join(terms))
    for way, reading in enumerate(ways):
        letters, cuts = characters.to_text(reading.codes), reading.cuts.tobytes()
        bounds = np.searchsorted(reading.first, starts).tolist()
        for term, known, start, end in zip(terms, found, bounds, bounds[1:], strict=False):
            # The plain reading drops signs: `a$$` would be just `a`.
            if start == end or (way == 0 and len(ways) > 1 and _has_sign(term)):
                continue
            form = Form(letters[start:end], cuts[start:end])
            if form not in known:
                known.append(form)
    return found


def _has_sign(term: str) -> bool:
    if term.isalnum():
        return False
    body = unicodedata.normalize("NFKC", term).rstrip().rstrip(END_MARKS)
    return any(sign in body for sign in SIGNS)


class TermIndex:
    """Terms by number, ready for searching. Immutable.

    Args:
        terms: as the lists spell them, in the order of their numbers.
        prefixes: numbers of those that may be the beginning of a longer word.
    """

    def __init__(self, terms: Sequence[str], prefixes: frozenset[int]) -> None:
        self._terms = terms
        self._prefixes = prefixes
        owners: dict[str, list[int]] = {}
        for number, spelled in enumerate(forms(terms)):
            for pattern in {merged(form.letters) for form in spelled}:
                owners.setdefault(pattern, []).append(number)
        self._first = array("I", accumulate(map(len, owners.values()), initial=0))
        self._owners = array("I", chain.from_iterable(owners.values()))
        self._open = frozenset(
            pattern for pattern, numbers in enumerate(owners.values()) if prefixes.intersection(numbers)
        )
        self._automaton = AhoCorasick(
            owners, matchkind=MatchKind.Standard, store_patterns=False, implementation=Implementation.ContiguousNFA
        )
        self._remembered: dict[int, list[Form]] = {}

    def search(self, reading: Reading) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of every occurrence."""
        letters, cuts = characters.to_text(reading.codes), reading.cuts.tobytes()
        plausible = [
            (number, start, end)
            for pattern, start, end in self._automaton.find_matches_as_indexes(merged(letters), overlapping=True)
            if cuts[start] and (cuts[end] or pattern in self._open)
            for number in self._owners[self._first[pattern] : self._first[pattern + 1]]
        ]
        if not plausible:
            return
        spelled_out = self._forms({number for number, _, _ in plausible})
        for number, start, end in plausible:
            prefix = number in self._prefixes
            if not (cuts[end] or prefix):
                continue
            spelled = letters[start:end]
            for form in spelled_out[number]:
                if _same(spelled, form.letters) and _is_whole(cuts, start, end, form, prefix):
                    while prefix and cuts[end] == INSIDE:
                        end += 1
                    yield number, start, end
                    break

    def _forms(self, numbers: set[int]) -> dict[int, list[Form]]:
        """The forms of these terms at least; searches in other threads may add to them."""
        if len(self._remembered) > _REMEMBERED:
            self._remembered = {}
        known = self._remembered
        new = [number for number in numbers if number not in known]
        known |= zip(new, forms([self._terms[number] for number in new]), strict=True)
        return known


def _same(text: str, term: str) -> bool:
    """Whether the letters agree; a BAR on either side agrees with i and l."""
    return text == term or (
        len(text) == len(term)
        and all(a == b or (BAR in (a, b) and a in _BARS and b in _BARS) for a, b in zip(text, term, strict=True))
    )


def _is_whole(cuts: bytes, start: int, end: int, form: Form, prefix: bool) -> bool:
    """Whether characters start..end are the term and not parts of other words.

    A separator inside a word of the term counts only between single letters (`f r e e`); a separator that the term
    has and the text lacks does no harm (`freebitcoin`: text recognition loses spaces).
    """
    spaced = False
    for p in range(start + 1, end):
        if cuts[p] != SEPARATED or form.cuts[p - start] != INSIDE:
            continue
        if not (cuts[p - 1] and cuts[p + 1]):
            return False
        spaced = True
    if not spaced or end - start >= SPACED_MIN:
        return True
    return not (start > 0 and cuts[start - 1]) and not (end < len(cuts) - 1 and cuts[end + 1]) and bool(cuts[end])
