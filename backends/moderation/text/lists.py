"""Reading list files: UTF-8 text, one entry a line; blank lines and lines that begin with `#` are skipped.

A term list holds words and phrases. Case, accents, spacing, look-alike letters, digits for letters and stretched
letters make no difference, and nothing is found inside other words. A word before a colon asks for something else:

    free bitcoin            a word or a phrase, as it is
    prefix: crypto          every word that begins so: cryptocoin, cryptos
    fuzzy: bitcoin          with one typing error: bitcion, bitcon (5 letters or more)
    fuzzy 2: cryptocurrency with up to two (8 letters or more)
    regex: \\bbuy \\d+ likes  a regular expression (RE2), for people who know them
    phrase: regex: a book   a phrase that would otherwise mean one of these

A domain list holds one domain a line (`evil.com`), which stands for everything below it too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, cast, get_args

from moderation.text.domains import DomainEntry, domain_fault
from moderation.text.entries import MAX_TERM, Entry, Kind
from moderation.text.matching import faults as entry_faults

_MARKED: Final = re.compile(r"([A-Za-z]{3,12})(?:\s?(\d{1,2}))?\s?:\s*(.*)")
_NEARNESS: Final = 0.8


@dataclass(frozen=True)
class TermList:
    """A file of terms.

    Attributes:
        entries: those without faults.
        faults: a sentence for each fault, with file and line.
        version: SHA-256 of the file, in hex.
    """

    entries: tuple[Entry, ...]
    faults: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class DomainList:
    """A file of domains; attributes as in `TermList`."""

    entries: tuple[DomainEntry, ...]
    faults: tuple[str, ...]
    version: str


def read_terms(path: Path) -> TermList:
    """Read a term list; the list is named as the file without its ending.

    Raises:
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    lines = _Lines(path, content)
    numbered: list[tuple[int, Entry]] = []
    for number, line in lines:
        entry = parse_term(path.stem, line)
        if isinstance(entry, str):
            lines.fault(number, entry)
        else:
            numbered.append((number, entry))
    bad = dict(entry_faults([entry for _, entry in numbered]))
    for at, why in bad.items():
        lines.fault(numbered[at][0], f"{numbered[at][1].term!r} {why}")
    good = tuple(entry for at, (_, entry) in enumerate(numbered) if at not in bad)
    return TermList(good, lines.faults(), hashlib.sha256(content).hexdigest())


def read_domains(path: Path) -> DomainList:
    """Read a domain list; the list is named as the file without its ending.

    Raises:
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    lines = _Lines(path, content)
    good: list[DomainEntry] = []
    for number, line in lines:
        if why := domain_fault(line):
            lines.fault(number, f"{line[:80]!r} {why}")
        else:
            good.append(DomainEntry(path.stem, line))
    return DomainList(tuple(good), lines.faults(), hashlib.sha256(content).hexdigest())


def parse_term(list_name: str, line: str) -> Entry | str:
    """One line of a term list as an entry, or what is wrong with it."""
    kind, distance, term = "phrase" if " " in line else "word", 0, line
    if marked := _MARKED.fullmatch(line):
        mark, number, rest = marked[1].lower(), marked[2], marked[3]
        if mark in get_args(Kind):
            if number and mark != "fuzzy":
                return f"has a number after `{mark}`; only fuzzy takes one (`fuzzy 2: …`)"
            kind, term = mark, rest
            distance = int(number or 1) if kind == "fuzzy" else 0
        elif near := get_close_matches(mark, get_args(Kind), 1, _NEARNESS):
            return (
                f"begins with `{mark}:`; did you mean `{near[0]}:`? If it is the phrase itself, write `phrase: {line}`"
            )
    if not term:
        return f"has nothing after `{kind}:`"
    if len(term) > MAX_TERM:
        return f"has {len(term)} characters; a term may have {MAX_TERM}"
    return Entry(list_name, term, cast(Kind, kind), distance)


class _Lines:
    """Numbered entries of a file, and its faults."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._name = f"lists/{path.name}"
        self._content = content
        self._faults: list[tuple[int, str]] = []

    def __iter__(self) -> Iterator[tuple[int, str]]:
        try:
            text = self._content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fault(self._content.count(b"\n", 0, error.start) + 1, "is not UTF-8; save the file as UTF-8")
            return
        count = 0
        for number, line in enumerate(text.split("\n"), start=1):
            entry = line.strip()
            if entry and not entry.startswith("#"):
                count += 1
                yield number, entry
        if not count:
            self.fault(1, "has no entries; add some or take the list out of the policy")

    def fault(self, line: int, text: str) -> None:
        self._faults.append((line, text))

    def faults(self) -> tuple[str, ...]:
        return tuple(f"{self._name}:{line}: {text}" for line, text in sorted(self._faults))
