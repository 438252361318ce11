"""Search of all terms of a profile at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from moderation.policy.text import TermIndex


@dataclass(frozen=True)
class Source:
    """Where terms come from: a list, or the terms that stand in a rule itself."""

    key: str
    name: str
    terms: tuple[str, ...]


class TextSearch:
    """Finds terms, and says which source they are from."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._index = TermIndex()
        self.names: dict[str, str] = {}
        for source in sources:
            self.names[source.key] = source.name
            for term in source.terms:
                self._index.add(source.key, term)

    def search(self, pieces: Sequence[str]) -> list[tuple[str, str, int]]:
        """Source, term and piece of each term that is found."""
        if not self.names:
            return []
        return [(hit.list_name, hit.term, hit.piece) for hit in self._index.search(pieces)]
