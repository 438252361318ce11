"""Looking up files that are the same, bit by bit: SHA-256 digests in sorted order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moderation.errors import ConfigError
from moderation.hashes.lists import BYTES, HashEntry, HashList, digest_of, from_entries, read, sort_order


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """A listed file.

    Attributes:
        id: its name at the source, or its digest.
        source, note: as the list says.
    """

    id: str
    source: str
    note: str


class Sha256Index:
    """A list of SHA-256 digests. Immutable: to reload, load a new one and put it in the place of the old.

    Args:
        entries: the list.
    """

    def __init__(self, entries: HashList) -> None:
        order = sort_order(entries.digests)
        self._digests = np.ascontiguousarray(entries.digests[order])
        self._heads = np.ascontiguousarray(self._digests[:, :8]).view(">u8").ravel().astype(np.uint64)
        self._rows = order.astype(np.uint32)
        self._ids, self._sources, self._notes = entries.ids, entries.sources, entries.notes
        self.version = entries.version
        self.duplicates = entries.duplicates

    @classmethod
    def from_entries(cls, entries: Iterable[HashEntry]) -> Sha256Index:
        """An index of entries; see `lists.from_entries`."""
        return cls(from_entries(entries))

    @classmethod
    def load(cls, path: Path) -> Sha256Index:
        """An index of a list file; see `lists.read`."""
        return cls(read(path))

    def __len__(self) -> int:
        """Entries."""
        return len(self._ids)

    def search(self, sha256: str) -> list[ExactMatch]:
        """The entries of a digest in the order of the list; several when sources name it differently.

        Args:
            sha256: 64 hexadecimal digits.

        Raises:
            ConfigError: `sha256` is no digest.
        """
        raw = digest_of(sha256)
        if raw is None:
            raise ConfigError(f"{sha256[:80]!r} is no SHA-256; it has {2 * BYTES} characters 0-9 and a-f")
        head = np.uint64(int.from_bytes(raw[:8], "big"))
        start, end = (int(np.searchsorted(self._heads, head, side)) for side in ("left", "right"))
        rows = [int(self._rows[at]) for at in range(start, end) if self._digests[at].tobytes() == raw]
        found = [ExactMatch(self._ids[row] or raw.hex(), self._sources[row], self._notes[row]) for row in rows]
        return list(dict.fromkeys(found))
