"""Finding the entries of many lists in a text in one pass. Time grows with the text, hardly with the entries."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain

from moderation.errors import PolicyError
from moderation.text import characters
from moderation.text.entries import Entry, Hit
from moderation.text.fuzzy import FuzzyIndex, fuzzy_fault
from moderation.text.normalize import readings, spellings, stretched
from moderation.text.patterns import PatternSet, pattern_fault
from moderation.text.terms import TermIndex, forms

__all__ = ["Entry", "Hit", "Matcher", "faults"]

_GAP = "\n"


def faults(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """Index and sentence for each entry that cannot be searched for."""
    found: list[tuple[int, str]] = []
    for index, (entry, spelled) in enumerate(zip(entries, forms([entry.term for entry in entries]), strict=True)):
        fault = None
        if entry.kind == "regex":
            fault = pattern_fault(entry.term)
        elif not spelled:
            fault = "has no letter and no digit; there is nothing to look for"
        elif entry.kind == "fuzzy":
            fault = fuzzy_fault(spelled[0], entry.distance)
        if fault:
            found.append((index, fault))
    return found


class Matcher:
    """Entries of some lists, ready for searching. Immutable.

    Args:
        entries: in any order; the same entry twice is the same as once.
        checked: whether `faults` was asked before and named none; for a hundred thousand terms it takes seconds.

    Raises:
        PolicyError: entries that `faults` names.
    """

    def __init__(self, entries: Iterable[Entry], *, checked: bool = False) -> None:
        every = list(dict.fromkeys(entries))
        found = [] if checked else faults(every)
        refused = tuple(f"{every[i].list_name}: {every[i].term!r} {why}" for i, why in found)
        if refused:
            raise PolicyError("\n  ".join(("some entries cannot be searched for:", *refused)), refused)
        terms = [entry for entry in every if entry.kind not in ("regex", "fuzzy")]
        regexes = [entry for entry in every if entry.kind == "regex"]
        fuzzies = [entry for entry in every if entry.kind == "fuzzy"]
        self._entries = [*terms, *regexes, *fuzzies]
        prefixes = frozenset(i for i, entry in enumerate(terms) if entry.kind == "prefix")
        self._terms = TermIndex([entry.term for entry in terms], prefixes)
        self._patterns = PatternSet([entry.term for entry in regexes])
        self._fuzzy = FuzzyIndex([(entry.term, entry.distance) for entry in fuzzies])
        self._offsets = (0, len(terms), len(terms) + len(regexes))

    def search(self, pieces: Sequence[str]) -> list[Hit]:
        """Every entry that occurs, each once, where it occurs first; it may run over several pieces.

        Args:
            pieces: parts of one text in reading order, such as the lines of a page.

        Returns:
            Hits in the order of the text; equal starts by list and term.
        """
        best: dict[int, tuple[int, int]] = {}
        for entry, start, end in self._occurrences(_GAP.join(pieces)):
            if entry not in best or start < best[entry][0]:
                best[entry] = (start, end)
        starts = list(accumulate((len(piece) + 1 for piece in pieces), initial=0))
        hits = [self._hit(entry, start, end, starts) for entry, (start, end) in best.items()]
        return sorted(hits, key=lambda hit: (hit.piece, hit.start, hit.list_name, hit.term, hit.kind))

    def _hit(self, entry: int, start: int, end: int, starts: list[int]) -> Hit:
        what = self._entries[entry]
        piece, last = bisect_right(starts, start) - 1, bisect_right(starts, end - 1) - 1
        return Hit(what.list_name, what.term, what.kind, piece, start - starts[piece], end - starts[last], last)

    def _occurrences(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Entry, start and end in the text, of everything that is found."""
        first_term, first_regex, first_fuzzy = self._offsets
        if self._patterns:
            for spelling in spellings(text, lone=False):
                spelled = characters.to_text(spelling.codes)
                for number, start, end in self._patterns.search(spelled):
                    # The gaps between pieces belong to none of them.
                    end -= len(spelled[start:end]) - len(spelled[start:end].rstrip(_GAP))
                    start += len(spelled[start:end]) - len(spelled[start:end].lstrip(_GAP))
                    if start < end:
                        yield first_regex + number, int(spelling.first[start]), int(spelling.last[end - 1]) + 1
        for base in readings(text):
            if self._fuzzy:
                for number, start, end in self._fuzzy.search(base):
                    yield first_fuzzy + number, int(base.first[start]), int(base.last[end - 1]) + 1
            for reading in chain((base,), stretched(base)):
                for number, start, end in self._terms.search(reading):
                    yield first_term + number, int(reading.first[start]), int(reading.last[end - 1]) + 1
