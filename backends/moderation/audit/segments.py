"""The files of a log: their names, and reading them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from moderation.audit.record import Record, parse
from moderation.errors import InputError

SUFFIX: Final = ".jsonl"
MAX_LINE: Final = 1024 * 1024
"""Bytes of a line; a record has a few thousand."""


def path_of(folder: Path, number: int) -> Path:
    """File of a segment."""
    return folder / f"{number:08d}{SUFFIX}"


def numbers(folder: Path) -> list[int]:
    """Segments that are there, oldest first."""
    return sorted(int(p.stem) for p in folder.glob(f"*{SUFFIX}") if p.stem.isdigit())


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of a segment; one without a newline at its end is torn and comes without it."""
    with path.open("rb") as file:
        yield from enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1)


def records(path: Path) -> Iterator[Record]:
    """Records of a segment.

    Raises:
        InputError: a line is none.
    """
    for number, line in lines(path):
        try:
            yield parse(line)
        except InputError as error:
            raise InputError(f"{path.name}:{number}: {error.message}", reason=error.reason) from None


def last_sound(path: Path) -> tuple[Record | None, int]:
    """The last complete record of a segment and the bytes up to its end: a crash can tear the last line."""
    last, size = None, 0
    for _, line in lines(path):
        if not line.endswith(b"\n"):
            break
        try:
            record = parse(line)
        except InputError:
            break
        last, size = record, size + len(line)
    return last, size
