"""How many scans a JPEG has: each is a pass over the whole picture, so a small file of thousands costs minutes."""

from __future__ import annotations

import re
from typing import Final

_SCAN: Final = b"\xff\xda"
_END: Final = 0xD9
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a length: TEM, RSTn, SOI (ITU-T T.81 table B.1)."""
_NEXT: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker within coded data, where 0xFF is followed by 0x00 or is a restart (T.81 B.1.1.5)."""


def count_scans(data: bytes, enough: int) -> int:
    """Scans of a JPEG, counted no further than just beyond `enough`.

    Segments are stepped over: metadata may hold the same two bytes. A file that breaks off is counted up to there.
    """
    if data.count(_SCAN) <= enough:
        return data.count(_SCAN)
    scans, at = 0, 2
    while at + 4 <= len(data) and data[at] == 0xFF and scans <= enough:
        marker = data[at + 1]
        if marker == _END:
            break
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SCAN[1]:
            scans += 1
            found = _NEXT.search(data, at)
            at = found.start() if found else len(data)
    return scans
