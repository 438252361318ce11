"""Finding listed terms in text that tries to hide them.

Text is read in up to three ways, and a term that is found in any of them counts:

1. plain: NFKC, case-folded, without accents, zero-width characters and apostrophes; all else that is neither letter
   nor digit separates words;
2. disguised: look-alike letters of other scripts become Latin (`Ρаypal`), digits and signs become the letters that
   they stand for (`fr33 b1tc0in`, `$cam`), `1` read as i;
3. disguised, `1` read as l.

Numbers stay numbers: a sign or digit is only a letter inside a word that has letters, or standing alone (`f r 3 3`).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

SPACED_MIN: Final = 6
"""Letters from which a spaced-out term is found inside a longer run of single letters.

A shorter one must be the whole run, otherwise `c l a s s` would contain a three-letter insult.
"""

# Look-alikes as drawn in common fonts (a subset of Unicode TR39 confusables), before case folding because Greek
# capitals and small letters resemble different Latin ones.
_LOOKALIKES: Final = str.maketrans(
    "АВЕКМНОРСТУХІЈЅԚԜҺԀавекмнорстухіјѕԛԝһԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβεικνορτυχηγωıłøđɡɑſᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "abekmhopctyxijsqwhdabekmhopctyxijsqwhdabezhikmnoptyxabeikvoptuxnywilodgasabcdefghijklmnoprstuvwyz",
)
# Letters drawn in boxes and discs that NFKC leaves alone: regional indicators, negative circled, negative squared.
_BOXED: Final = {
    start + offset: chr(ord("a") + offset) for start in (0x1F1E6, 0x1F150, 0x1F170) for offset in range(26)
}
_LEET: Final = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "€": "e"}
_BARS: Final = "1!|"
_END_MARKS: Final = "!|"
"""Signs that end a sentence more often than a word: never letters at the end of a word."""
_SIGNS: Final = frozenset("@$€!|")
_APOSTROPHES: Final = "'’‘ʼ`´"
_FILLERS: Final = "\u115f\u1160\u3164\uffa0\u034f\u180b\u180c\u180d\u180e"
_DROPPED: Final = {ord(c): None for c in _APOSTROPHES + _FILLERS} | dict.fromkeys(range(0xFE00, 0xFE10))
# Scripts that are written without spaces: every character is a boundary.
_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_INSIDE, _SEPARATED, _TOUCHING = 0, 1, 2


@lru_cache(maxsize=4096)
def _is_word(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")


@lru_cache(maxsize=4096)
def _is_unspaced(char: str) -> bool:
    code = ord(char)
    return any(low <= code <= high for low, high in _UNSPACED)


def _fold(text: str) -> str:
    """NFKC, case folding, without accents of Latin, Greek and Cyrillic, invisible characters and apostrophes."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        return folded.translate(_DROPPED)
    bare = (
        c
        for c in unicodedata.normalize("NFD", folded)
        if not "\u0300" <= c <= "\u036f" and unicodedata.category(c) != "Cf"
    )
    return unicodedata.normalize("NFKC", "".join(bare)).translate(_DROPPED)


def _letters(chunk: str, bar: str) -> str:
    """One run of letters, digits and signs with digits and signs read as letters."""
    body = chunk.rstrip(_END_MARKS)
    if not (len(body) == 1 or any(c.isalpha() for c in body)):
        return chunk
    return "".join(bar if c in _BARS else _LEET.get(c, c) for c in body)


def _disguised(text: str, bar: str) -> str:
    """The text with look-alikes as Latin letters and digits and signs as letters; `bar` is what `1` is read as."""
    latin = _fold(unicodedata.normalize("NFKC", text).translate(_BOXED).translate(_LOOKALIKES))
    latin = latin.translate(_LOOKALIKES)
    out: list[str] = []
    chunk: list[str] = []
    for char in latin + " ":
        if _is_word(char) or char in _SIGNS:
            chunk.append(char)
            continue
        if chunk:
            out.append(_letters("".join(chunk), bar))
            chunk.clear()
        out.append(char)
    return "".join(out)


def readings(text: str) -> list[str]:
    """The different ways to read a text, plain first; at most three."""
    found = [_fold(text)]
    for reading in (_disguised(text, "i"), _disguised(text, "l")):
        if reading.rstrip() != found[0].rstrip() and reading not in found:
            found.append(reading)
    return found


@dataclass
class _Stream:
    """Text without separators. `cuts[p]` says what lies before character p, `owners` which piece starts where."""

    chars: str
    cuts: bytearray
    starts: list[int]


def _stream(pieces: Iterable[str]) -> _Stream:
    chars: list[str] = []
    cuts = bytearray()
    starts: list[int] = []
    for piece in pieces:
        starts.append(len(chars))
        cut = _SEPARATED
        for char in piece:
            if not _is_word(char):
                cut = _SEPARATED
                continue
            if cut == _INSIDE and (_is_unspaced(char) or _is_unspaced(chars[-1])):
                cut = _TOUCHING
            chars.append(char)
            cuts.append(cut)
            cut = _INSIDE
    cuts.append(_SEPARATED)
    return _Stream("".join(chars), cuts, starts)


@dataclass(frozen=True)
class Hit:
    """A term found: its list, the term as the list spells it, and the piece of text where it starts."""

    list_name: str
    term: str
    piece: int


@dataclass(frozen=True)
class _Entry:
    list_name: str
    term: str
    ends: frozenset[int]
    """Where the words of the term end, in its characters without separators."""


@dataclass
class TermIndex:
    """Terms of some lists, ready for searching: time grows with the text, hardly with the number of terms."""

    _root: dict[str, Any] = field(default_factory=dict)

    def add(self, list_name: str, term: str) -> bool:
        """Add a term; False when nothing of it is left to look for (it has no letter and no digit)."""
        forms = readings(term)
        if len(forms) > 1 and any(sign in term.rstrip(_END_MARKS) for sign in _SIGNS):
            forms = forms[1:]  # plain reading drops signs: `a$$` would be just `a`
        streams = [stream for stream in map(_stream, ([form] for form in forms)) if stream.chars]
        for stream in streams:
            ends = frozenset(p for p in range(1, len(stream.chars)) if stream.cuts[p] == _SEPARATED)
            node = self._root
            for char in stream.chars:
                node = node.setdefault(char, {})
            entries: list[_Entry] = node.setdefault("", [])
            entry = _Entry(list_name, term, ends)
            if entry not in entries:
                entries.append(entry)
        return bool(streams)

    def search(self, pieces: Sequence[str]) -> list[Hit]:
        """Every term that occurs, each once, where it occurs first; a term may run over several pieces."""
        found: dict[tuple[str, str], Hit] = {}
        ways = [readings(piece) for piece in pieces]
        for way in range(max(map(len, ways), default=0)):
            # A piece that reads the same in every way has fewer readings: its last one stands in.
            stream = _stream(reading[min(way, len(reading) - 1)] for reading in ways)
            for start, entry in self._occurrences(stream):
                hit = Hit(entry.list_name, entry.term, bisect_right(stream.starts, start) - 1)
                known = found.get((hit.list_name, hit.term))
                if known is None or hit.piece < known.piece:
                    found[hit.list_name, hit.term] = hit
        return sorted(found.values(), key=lambda hit: (hit.piece, hit.list_name, hit.term))

    def _occurrences(self, stream: _Stream) -> Iterator[tuple[int, _Entry]]:
        chars, cuts = stream.chars, stream.cuts
        for start in range(len(chars)):
            if not cuts[start]:
                continue
            node = self._root
            for end in range(start, len(chars)):
                node = node.get(chars[end], {})
                if not node:
                    break
                if "" in node and cuts[end + 1]:
                    for entry in node[""]:
                        if _is_term(stream, start, end + 1, entry.ends):
                            yield start, entry


def _is_term(stream: _Stream, start: int, end: int, ends: frozenset[int]) -> bool:
    """Whether characters start..end are the term and not parts of other words.

    A separator inside a word of the term counts only between single letters (`f r e e`); a separator that the term
    has and the text lacks does no harm (`freebitcoin`: text recognition loses spaces).
    """
    chars, cuts = stream.chars, stream.cuts
    spaced = False
    for p in range(start + 1, end):
        if cuts[p] != _SEPARATED or p - start in ends:
            continue
        if _is_unspaced(chars[p - 1]) and _is_unspaced(chars[p]):
            continue
        if not (cuts[p - 1] and cuts[p + 1]):
            return False
        spaced = True
    if not spaced or end - start >= SPACED_MIN:
        return True
    return not (start > 0 and cuts[start - 1]) and not (end < len(chars) and cuts[end + 1])
