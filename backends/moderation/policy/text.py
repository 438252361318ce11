"""The old name of the term search: lists of words and phrases only. Use `moderation.text.matching`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from moderation.text.matching import Entry, Hit, Matcher, faults

__all__ = ["Hit", "TermIndex"]


@dataclass
class TermIndex:
    """Terms of some lists; made ready at the first search."""

    _entries: list[Entry] = field(default_factory=list)
    _matcher: Matcher | None = None

    def add(self, list_name: str, term: str) -> bool:
        """Add a term; False when nothing of it is left to look for (it has no letter and no digit)."""
        entry = Entry(list_name, term)
        if faults([entry]):
            return False
        self._entries.append(entry)
        self._matcher = None
        return True

    def search(self, pieces: Sequence[str]) -> list[Hit]:
        """As `Matcher.search`."""
        if self._matcher is None:
            self._matcher = Matcher(self._entries)
        return self._matcher.search(pieces)
