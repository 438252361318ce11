"""Looking up pictures that look alike: PDQ hashes within a Hamming distance.

A flat index of `faiss` compares the hash with every entry. That is exact, takes the same time whatever is in the list
(a million near-duplicates, plain pictures) and is quick enough: tests/bench/results/hashes.md has the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import faiss
import numpy as np

from moderation.errors import ConfigError
from moderation.hashes.lists import BYTES, HashEntry, HashList, digest_of, from_entries, read

MAX_DISTANCE: Final = 31
"""Bits of 256 that may differ in pictures that are the same (PDQ reference, ThreatExchange pdq/README)."""
MIN_QUALITY: Final = 50
"""Lowest quality of a hash that says anything about its picture (reference: above 49); the caller's rule to apply."""
_BITS: Final = 8 * BYTES


@dataclass(frozen=True, slots=True)
class PdqMatch:
    """A listed picture that looks alike.

    Attributes:
        id: its name at the source, or its hash.
        distance: bits of 256 that differ.
        source, note: as the list says.
    """

    id: str
    distance: int
    source: str
    note: str


class PdqIndex:
    """A list of PDQ hashes. Immutable: to reload, load a new one and put it in the place of the old.

    Args:
        entries: the list.
    """

    def __init__(self, entries: HashList) -> None:
        self._index = faiss.IndexBinaryFlat(_BITS)
        self._index.add(entries.digests)
        self._ids, self._sources, self._notes = entries.ids, entries.sources, entries.notes
        self.version = entries.version
        self.duplicates = entries.duplicates

    @classmethod
    def from_entries(cls, entries: Iterable[HashEntry]) -> PdqIndex:
        """An index of entries; see `lists.from_entries`."""
        return cls(from_entries(entries))

    @classmethod
    def load(cls, path: Path) -> PdqIndex:
        """An index of a list file; see `lists.read`."""
        return cls(read(path))

    def __len__(self) -> int:
        """Entries."""
        return len(self._ids)

    def search(self, pdq: str, max_distance: int = MAX_DISTANCE, limit: int = 10) -> list[PdqMatch]:
        """The nearest entries, best first; equal distances in the order of the list.

        Args:
            pdq: 64 hexadecimal digits.
            max_distance: bits that may differ, 0-256.
            limit: entries at most; 1 or more.

        Raises:
            ConfigError: `pdq` is no hash.
        """
        raw = digest_of(pdq)
        if raw is None:
            raise ConfigError(f"{pdq[:80]!r} is no PDQ hash; it has {2 * BYTES} characters 0-9 and a-f")
        # One query is work for one thread; a second one would only be waited for, 140 ms on busy cores (measured).
        # The setting belongs to the calling thread, so it is made at every call.
        faiss.omp_set_num_threads(1)
        query = np.frombuffer(raw, np.uint8).reshape(1, BYTES)
        distances, rows = self._index.search(query, min(limit, len(self)))
        near = sorted(
            (int(distance), int(row))
            for distance, row in zip(distances[0], rows[0], strict=True)
            if distance <= max_distance
        )
        found = [
            PdqMatch(self._ids[row] or self._hash(row), distance, self._sources[row], self._notes[row])
            for distance, row in near
        ]
        return list(dict.fromkeys(found))

    def _hash(self, row: int) -> str:
        digest: bytes = self._index.reconstruct(row).tobytes()
        return digest.hex()
