"""Regular expressions of list authors, over text that strangers wrote: RE2, whose time is linear in the text.

Expressions see the text folded (small letters, no accents, no invisible characters) with its separators, and once more
with disguises undone; in the latter a `1`, `!` or `|` inside a word is an i and then an l. Accents in an expression are
dropped too; apostrophes are not in the text (write `dont`). `^` and `$` are the ends of the whole text, after `(?m)`
those of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import re2

from moderation.text.characters import BAR, plain

MAX_MEMORY: Final = 1 << 20
"""Bytes that one compiled expression may take; `(a{500}){500}` would take more."""
SET_MEMORY: Final = 16 << 20
"""Default for all expressions of a matcher together, in bytes."""
_ALWAYS: Final = "^"


def _options(memory: int) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = memory
    options.log_errors = False
    return options


def _compiled(pattern: str) -> Any:
    return re2.compile(_folded(pattern), _options(MAX_MEMORY))


def _folded(pattern: str) -> str:
    """The expression with its letters as they stand in folded text."""
    return "".join(char if char.isascii() else plain(char) or char for char in pattern)


def pattern_fault(pattern: str) -> str | None:
    """Why an expression is refused, in words, or None."""
    try:
        compiled = _compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args else "unknown"
        return f"is no regular expression (RE2 syntax: no look-around, no back-references): {reason}"
    if compiled.search("") is not None:
        return "matches empty text, and so everything"
    return None


class PatternSet:
    """Expressions by number, ready for searching: one pass says which occur, and only those are located. Immutable.

    Args:
        patterns: without faults, in the order of their numbers.
        memory: bytes that all may take together; with too few they are searched one by one, which is only slower.
    """

    def __init__(self, patterns: Sequence[str], memory: int = SET_MEMORY) -> None:
        self._compiled = [_compiled(pattern) for pattern in patterns]
        together = re2.Set.SearchSet(_options(memory))
        # A set that runs out of memory in a search answers nothing at all: an expression that always occurs shows it.
        for pattern in (*patterns, _ALWAYS):
            together.Add(_folded(pattern))
        self._set: Any = together
        try:
            together.Compile()
        except re2.error:  # too large
            self._set = None

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._compiled)

    def search(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of the first occurrence of each expression that occurs."""
        for letter in ("i", "l") if BAR in text else ("i",):
            read = text.replace(BAR, letter)
            for number in self._occurring(read):
                found = self._compiled[number].search(read)
                if found is not None and found.end() > found.start():
                    yield number, found.start(), found.end()

    def _occurring(self, text: str) -> Sequence[int]:
        every = range(len(self._compiled))
        numbers = (self._set and self._set.Match(text)) or ()
        return [number for number in numbers if number < len(every)] if len(every) in numbers else every
