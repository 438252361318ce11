"""What lists ask for, and what the search answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal["word", "phrase", "prefix", "regex", "fuzzy"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
MAX_TERM: Final = 200
"""Characters of a term; longer ones are never found as a whole in recognised text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list.

    Attributes:
        list_name: the list that it stands in.
        term: as the list spells it, without the mark of its kind.
        kind: `word` and `phrase`: the words themselves, of their own (the two are found alike); `prefix`: any word
            that begins so; `regex`: a regular expression in RE2's syntax; `fuzzy`: the words with typing errors.
        distance: errors that a fuzzy entry forgives, 1 or 2; 0 for the other kinds.
    """

    list_name: str
    term: str
    kind: Kind = "word"
    distance: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """Where an entry occurs first.

    Attributes:
        list_name, term, kind: those of the entry.
        piece: index of the piece of text where it starts.
        start: offset of its first character in that piece.
        end: offset behind its last character, in `end_piece`.
        end_piece: index of the piece where it ends; a phrase may run over several lines of recognised text.
    """

    list_name: str
    term: str
    kind: Kind
    piece: int
    start: int
    end: int
    end_piece: int
