"""Reading hash lists.

Two formats, both UTF-8; blank lines and lines that begin with `#` are skipped:

    hash,id,source,note                                  CSV: the first line names the columns. Only `hash` must be
    f8f8…07,bank-17,partner,"seen in May, 2026"          there; the order is free.

    f8f8…07                                              plain: one hash a line

A hash is 64 hexadecimal digits: a SHA-256, or a PDQ hash as its reference implementation prints it.
"""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from moderation.errors import PolicyError
from moderation.hashes.records import Column

Digests = npt.NDArray[np.uint8]
"""[n, 32]."""

BYTES: Final = 32
COLUMNS: Final = ("hash", "id", "source", "note")
MAX_FIELD: Final = 1_000
"""Bytes of an id, a source or a note."""
MAX_SHOWN: Final = 100
"""Faults and duplicates that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class HashEntry:
    """One entry of a hash list.

    Attributes:
        hash: 64 hexadecimal digits.
        id: its name at the source; empty: the hash itself.
        source: where it came from.
        note: anything a reader of the decision should know.
    """

    hash: str
    id: str = ""
    source: str = ""
    note: str = ""


@dataclass(frozen=True)
class HashList:
    """A list in memory.

    Attributes:
        digests: one row an entry.
        ids, sources, notes: by row.
        version: SHA-256 of the file, in hex; empty for lists that came from no file. Same version, same answers.
        duplicates: a sentence for each entry that repeats hash and id of an earlier one. They do no harm.
    """

    digests: Digests
    ids: Column
    sources: Column
    notes: Column
    version: str = ""
    duplicates: tuple[str, ...] = ()


def digest_of(text: str) -> bytes | None:
    """The 32 bytes that 64 hexadecimal digits stand for, or None."""
    if len(text) != 2 * BYTES:
        return None
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if len(raw) == BYTES else None


class _Sentences:
    """Sentences of which the first are kept and the rest is counted."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._count = 0

    def add(self, sentence: str) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            self._kept.append(sentence)

    def all(self) -> tuple[str, ...]:
        more = self._count - len(self._kept)
        return (*self._kept, f"and {more} more") if more else tuple(self._kept)


def from_entries(entries: Iterable[HashEntry]) -> HashList:
    """A list made of entries.

    Raises:
        PolicyError: entries that are no hashes or have too long fields; `faults` names them by number from 1.
    """
    faults = _Sentences()
    rows = ((number, (e.hash, e.id, e.source, e.note)) for number, e in enumerate(entries, start=1))
    return _collect(rows, "entry ", faults, lambda: "")


def read(path: Path) -> HashList:
    """Read a list file.

    Raises:
        PolicyError: `faults` has one line for each fault (the first 100): file, line, what is wrong.
    """
    faults = _Sentences()
    content = hashlib.sha256()
    try:
        with path.open("rb") as file:
            rows = _rows(_lines(file, content.update), path.name, faults)
            return _collect(rows, f"{path.name}:", faults, content.hexdigest)
    except OSError as error:
        faults.add(f"{path.name}:1: cannot be read: {error.strerror}")
        raise _refusal(faults) from None


def _refusal(faults: _Sentences) -> PolicyError:
    found = faults.all()
    return PolicyError("\n  ".join(("the hash list is refused:", *found)), found)


def _lines(file: BinaryIO, seen: Callable[[bytes], None]) -> Iterator[str]:
    """Lines as text, comments as blank lines; what is not UTF-8 becomes characters that no hash has."""
    for number, raw in enumerate(file):
        seen(raw)
        line = raw.decode("utf-8-sig" if number == 0 else "utf-8", "replace")
        yield "\n" if line.startswith("#") else line


def _rows(lines: Iterator[str], name: str, faults: _Sentences) -> Iterator[tuple[int, Sequence[str]]]:
    """Line number and the fields of COLUMNS, of each entry."""
    reader = csv.reader(lines)
    order: list[int] | None = None
    width = 1
    try:
        for fields in reader:
            if not any(fields):
                continue
            if order is None:
                header = [field.strip().lower() for field in fields]
                order = [0]
                if "hash" in header:
                    order = [header.index(column) if column in header else len(header) for column in COLUMNS]
                    width = len(header)
                    if unknown := [field for field in header if field not in COLUMNS]:
                        allowed = ", ".join(COLUMNS)
                        faults.add(f"{name}:{reader.line_num}: has the column `{unknown[0][:40]}`; allowed: {allowed}")
                    continue
            if len(fields) > width:
                faults.add(
                    f"{name}:{reader.line_num}: has {len(fields)} fields; {width} expected (quotes around commas?)"
                )
                continue
            padded = [field.strip() for field in fields] + [""] * (width + 1 - len(fields))
            yield reader.line_num, [padded[at] for at in order]
    except csv.Error as error:
        faults.add(f"{name}:{reader.line_num}: cannot be read as CSV: {error}")


def _collect(
    rows: Iterable[tuple[int, Sequence[str]]], place: str, faults: _Sentences, version: Callable[[], str]
) -> HashList:
    digests = bytearray()
    numbers = array("I")
    columns = (Column(), Column(), Column())
    for number, (text, *fields) in rows:
        raw = digest_of(text)
        if raw is None:
            faults.add(f"{place}{number}: is {text[:80]!r}; a hash has {2 * BYTES} characters 0-9 and a-f")
            continue
        if too_long := [field for field in fields if len(field.encode()) > MAX_FIELD]:
            faults.add(f"{place}{number}: has a field of {len(too_long[0].encode())} bytes; the limit is {MAX_FIELD}")
            continue
        digests += raw
        numbers.append(number)
        for column, field in zip(columns, [*fields, "", "", ""], strict=False):
            column.append(field)
    if not digests and not faults.all():
        faults.add(f"{place}1: has no entries; add some or take the list out of the policy")
    if faults.all():
        raise _refusal(faults)
    for column in columns:
        column.close()
    table = np.frombuffer(bytes(digests), np.uint8).reshape(-1, BYTES)
    return HashList(table, *columns, version(), _duplicates(table, columns[0], numbers, place))


def sort_order(digests: Digests) -> npt.NDArray[np.intp]:
    """Rows in an order that puts equal digests side by side, earlier rows first."""
    words = np.ascontiguousarray(digests).view(">u8")
    order: npt.NDArray[np.intp] = np.lexsort(words.T[::-1])
    return order


def _duplicates(digests: Digests, ids: Column, numbers: array[int], place: str) -> tuple[str, ...]:
    order = sort_order(digests)
    same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    repeats: list[tuple[int, int]] = []
    first: dict[str, int] = {}
    for at in np.flatnonzero(same).tolist():
        earlier, later = int(order[at]), int(order[at + 1])
        if not (at and same[at - 1]):
            first = {ids[earlier]: earlier}
        known = first.setdefault(ids[later], later)
        if known != later:
            repeats.append((later, known))
    found = _Sentences()
    for later, earlier in sorted(repeats):
        found.add(f"{place}{numbers[later]}: repeats {place}{numbers[earlier]}")
    return found.all()
