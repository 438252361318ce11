"""Lists beside a policy, in `lists/`.

`<name>.txt`: UTF-8, one entry a line, `#` at the start of a line is a comment: terms, domains or hashes.
`<name>.csv`: hashes with `hash,id,source,note` (`moderation.hashes.lists`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from moderation.errors import PolicyError
from moderation.hashes.lists import HashEntry, HashList, read
from moderation.hashes.sha256 import Sha256Index
from moderation.policy.search import entry_faults
from moderation.policy.source import suggest
from moderation.text.domains import domain_fault
from moderation.text.entries import MAX_TERM

if TYPE_CHECKING:
    from moderation.hashes.pdq import PdqIndex

Missing = Callable[[str], None]
"""Is told why a list cannot be used."""
_Index = TypeVar("_Index")


class Lists:
    """Reads each list once.

    Attributes:
        contents: bytes of the lists that were asked for, by file name; of lists of hashes the digest of the file.
        faults: faults inside list files, one line each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sha256: dict[str, Sha256Index | None] = {}
        self._pdq: dict[str, PdqIndex | None] = {}
        self.contents: dict[str, bytes] = {}
        self.faults: list[str] = []

    def terms(self, name: str, missing: Missing) -> list[str]:
        """Each entry that can be searched for; `missing` is told when there is no such list."""
        entries = self._entries(name, missing)
        for line, entry in entries:
            if len(entry) > MAX_TERM:
                self._fault(name, line, f"has {len(entry)} characters; a term may have {MAX_TERM}")
        terms = [entry for _, entry in entries]
        bad = dict(entry_faults(terms))
        for index, why in bad.items():
            self._fault(name, entries[index][0], f"{terms[index][:MAX_TERM]!r} {why}")
        return [term for index, term in enumerate(terms) if index not in bad]

    def domains(self, name: str, missing: Missing) -> Iterator[str]:
        """Each entry that is a domain."""
        for line, entry in self._entries(name, missing):
            if fault := domain_fault(entry):
                self._fault(name, line, f"{entry[:80]!r} {fault}")
            else:
                yield entry

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
                    self.contents[f"lists/{path.name}"] = found.version.encode()
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

    def _fault(self, name: str, line: int, text: str) -> None:
        self.faults.append(f"lists/{name}.txt:{line}: {text}")

    def _entries(self, name: str, missing: Missing) -> list[tuple[int, str]]:
        path = self._find(name, missing, (".txt",))
        if path is None:
            return []
        try:
            content = path.read_bytes()
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = path.read_bytes().count(b"\n", 0, error.start) + 1
            self._fault(name, line, "is not UTF-8; save the file as UTF-8")
            return []
        except OSError as error:
            self._fault(name, 1, f"cannot be read: {error.strerror}")
            return []
        self.contents[f"lists/{path.name}"] = content
        lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
        entries = [(number, line) for number, line in lines if line and not line.startswith("#")]
        if not entries:
            self._fault(name, 1, "has no entries; add some or take the list out of the policy")
        return entries


def pdq_index(hashes: Sequence[str]) -> PdqIndex:
    """An index of hashes that stand in a rule itself."""
    from moderation.hashes.pdq import PdqIndex  # see `Lists.pdq`

    return PdqIndex.from_entries(HashEntry(value) for value in hashes)
