"""What a list says about each hash, in a few bytes an entry: Python strings would take ten times as much."""

from __future__ import annotations

from array import array
from typing import Final

MAX_SHARED: Final = 65_536
"""Different values of a column that are recognised when they come again; sources and notes seldom have more."""


class Column:
    """Strings by row, as UTF-8 in one block; values that come again share their place."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._starts = array("I")
        self._lengths = array("H")
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        """Rows."""
        return len(self._starts)

    def append(self, value: str) -> None:
        """Add a row of at most 65,535 bytes.

        Raises:
            OverflowError: the value is longer, or all different values take more than 4 GB.
        """
        place = self._places.get(value)
        raw = value.encode() if place is None else b""
        self._lengths.append(len(raw) if place is None else self._lengths[place])
        if place is not None:
            self._starts.append(self._starts[place])
            return
        self._starts.append(len(self._block))
        self._block += raw
        if len(self._places) < MAX_SHARED:
            self._places[value] = len(self) - 1

    def close(self) -> None:
        """Forget what only `append` needs."""
        self._places = {}

    def __getitem__(self, row: int) -> str:
        """The value of a row."""
        start = self._starts[row]
        return self._block[start : start + self._lengths[row]].decode()
