"""Lists beside a policy: `lists/<name>.txt`, UTF-8, one entry a line, `#` at the start of a line is a comment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from moderation.policy.search import entry_faults
from moderation.policy.source import suggest
from moderation.text.domains import domain_fault

MAX_TERM = 200
"""Characters of a term; longer ones are never found as a whole in recognised text."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Lists:
    """Reads each list once.

    Attributes:
        contents: bytes of the lists that were asked for, by file name.
        faults: faults inside list files, one line each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.contents: dict[str, bytes] = {}
        self.faults: list[str] = []

    def terms(self, name: str, missing: Callable[[str], None]) -> list[str]:
        """Each entry; `missing` is told when there is no such list."""
        entries = self._entries(name, missing)
        for line, entry in entries:
            if len(entry) > MAX_TERM:
                self.fault(name, line, f"has {len(entry)} characters; a term may have {MAX_TERM}")
        terms = [entry for _, entry in entries]
        for index, why in entry_faults(terms):
            self.fault(name, entries[index][0], f"{terms[index][:MAX_TERM]!r} {why}")
        return terms

    def domains(self, name: str, missing: Callable[[str], None]) -> Iterator[str]:
        """Each entry that is a domain."""
        for line, entry in self._entries(name, missing):
            if fault := domain_fault(entry):
                self.fault(name, line, f"{entry[:80]!r} {fault}")
            else:
                yield entry

    def digests(self, name: str, missing: Callable[[str], None]) -> Iterator[str]:
        """Each entry, in lower case, that is a SHA-256."""
        for line, entry in self._entries(name, missing):
            if _DIGEST.fullmatch(entry.lower()):
                yield entry.lower()
            else:
                self.fault(name, line, f"is {entry[:80]!r}; a SHA-256 has 64 characters 0-9 and a-f")

    def fault(self, name: str, line: int, text: str) -> None:
        """Note a fault inside a list."""
        self.faults.append(f"lists/{name}.txt:{line}: {text}")

    def _entries(self, name: str, missing: Callable[[str], None]) -> list[tuple[int, str]]:
        path = self._folder / f"{name}.txt"
        try:
            content = path.read_bytes()
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fault(name, content.count(b"\n", 0, error.start) + 1, "is not UTF-8; save the file as UTF-8")
            return []
        except OSError as error:
            known = sorted(found.stem for found in self._folder.glob("*.txt"))
            have = ", ".join(known) or "none"
            missing(f"is `{name}`: lists/{name}.txt: {error.strerror}; lists here: {have}{suggest(name, known)}")
            return []
        self.contents[f"lists/{path.name}"] = content
        lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
        entries = [(number, line) for number, line in lines if line and not line.startswith("#")]
        if not entries:
            self.fault(name, 1, "has no entries; add some or take the list out of the policy")
        return entries
