"""Lists beside a policy, in `lists/`.

`<name>.txt`: terms and domains (`moderation.text.lists`), and hashes, one a line.
`<name>.csv`: hashes with `hash,id,source,note` (`moderation.hashes.lists`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from moderation.errors import PolicyError
from moderation.hashes.lists import HashEntry, HashList, read
from moderation.hashes.sha256 import Sha256Index
from moderation.policy.source import suggest
from moderation.text.domains import DomainEntry
from moderation.text.entries import Entry
from moderation.text.lists import DomainList, TermList, read_domains, read_terms

if TYPE_CHECKING:
    from moderation.hashes.pdq import PdqIndex

Missing = Callable[[str], None]
"""Is told why a list cannot be used."""
_Index = TypeVar("_Index")
_List = TypeVar("_List", TermList, DomainList)


class Lists:
    """Reads each list once.

    Attributes:
        versions: SHA-256 of each list that was asked for, by file name.
        faults: faults inside list files, one line each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sha256: dict[str, Sha256Index | None] = {}
        self._pdq: dict[str, PdqIndex | None] = {}
        self.versions: dict[str, str] = {}
        self.faults: list[str] = []

    def terms(self, name: str, missing: Missing) -> tuple[Entry, ...]:
        """Entries that can be searched for; `missing` is told when there is no such list."""
        found = self._read(name, missing, read_terms)
        return () if found is None else found.entries

    def domains(self, name: str, missing: Missing) -> tuple[DomainEntry, ...]:
        """Entries that are domains."""
        found = self._read(name, missing, read_domains)
        return () if found is None else found.entries

    def _read(self, name: str, missing: Missing, read_list: Callable[[Path], _List]) -> _List | None:
        path = self._find(name, missing, (".txt",))
        if path is None:
            return None
        try:
            found = read_list(path)
        except OSError as error:
            self.faults.append(f"lists/{path.name}:1: cannot be read: {error.strerror}")
            return None
        self.versions[f"lists/{path.name}"] = found.version
        self.faults += found.faults
        return found

    def sha256(self, name: str, missing: Missing) -> Sha256Index | None:
        """The index of a list of SHA-256 digests; None when the list is at fault."""
        return self._hashes(name, missing, self._sha256, Sha256Index)

    def pdq(self, name: str, missing: Missing) -> PdqIndex | None:
        """The index of a list of PDQ hashes; None when the list is at fault."""
        from moderation.hashes.pdq import PdqIndex  # faiss takes a moment to import, and few policies need it

        return self._hashes(name, missing, self._pdq, PdqIndex)

    def _hashes(
        self, name: str, missing: Missing, known: dict[str, _Index | None], make: Callable[[HashList], _Index]
    ) -> _Index | None:
        if name not in known:
            known[name] = None
            path = self._find(name, missing, (".csv", ".txt"))
            try:
                if path is not None:
                    found = read(path)
                    self.versions[f"lists/{path.name}"] = found.version
                    known[name] = make(found)
            except PolicyError as error:
                self.faults += [f"lists/{fault}" for fault in error.faults]
        return known[name]

    def _find(self, name: str, missing: Missing, endings: Sequence[str]) -> Path | None:
        """The file of a list."""
        for ending in endings:
            path = self._folder / f"{name}{ending}"
            if path.is_file():
                return path
        known = sorted(found.stem for ending in endings for found in self._folder.glob(f"*{ending}"))
        have = ", ".join(known) or "none"
        wanted = " or ".join(f"lists/{name}{ending}" for ending in endings)
        missing(f"is `{name}`: {wanted} is not there; lists here: {have}{suggest(name, known)}")
        return None


def pdq_index(hashes: Sequence[str]) -> PdqIndex:
    """An index of hashes that stand in a rule itself."""
    from moderation.hashes.pdq import PdqIndex  # see `Lists.pdq`

    return PdqIndex.from_entries(HashEntry(value) for value in hashes)
