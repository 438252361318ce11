"""What each character is read as, worked out once per character and then looked up for whole texts with NumPy.

A `Table` maps arrays of code points through a rule for single characters and says which character of the source each
result came from. Working out a character takes microseconds and a lookup nanoseconds, so tables fill themselves with
what they meet; they hold at most 4.5 MB each, and pages that were never touched take no memory.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]
"""Unicode code points."""
Places = npt.NDArray[np.intp]
"""For each character of a result, the index of the source character."""

BAR: Final = "\uffff"
"""Stands in disguised text for `1`, `!` and `|` inside words: an i or an l. No character of any text."""
SIGNS: Final = "@$€!|"
"""Signs that stand for letters inside words."""
END_MARKS: Final = "!|"
"""Signs that end a sentence more often than a word: never letters at the end of a word."""
LEET: Final = {
    "0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "€": "e",
    "1": BAR, "!": BAR, "|": BAR,
}  # fmt: skip

WORD, LETTER, SIGN, END_MARK, UNSPACED, MARK = 1, 2, 4, 8, 16, 32
"""Flags of a character: part of words; letter; in SIGNS; in END_MARKS; needs no space around; combining mark."""

_ROOM: Final = 0x110000
_KNOWN: Final = 128
_GONE, _MANY = _ROOM, _ROOM + 1

# Look-alikes as drawn in common fonts (a subset of Unicode TR39 confusables), before case folding because Greek
# capitals and small letters resemble different Latin ones. Cyrillic, Greek, small capitals, Armenian, Cherokee, Lisu.
_LOOKALIKES: Final = str.maketrans(
    "АВЕКМНОРСТУХІЈЅԚԜҺԀавекмнорстухіјѕԛԝһԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβεικνορτυχηγωıłøđɡɑſᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"
    "օսհոցՕՏԼᎪᏴᏟᎠᎬᎻᏆᎫᏦᏞᎷᏢᎡᏚᎢᏙᎳᏃꓮꓐꓚꓓꓰꓝꓖꓧꓲꓙꓗꓡꓟꓠꓳꓑꓣꓢꓔꓴꓦꓪꓫꓬꓜ",
    "abekmhopctyxijsqwhdabekmhopctyxijsqwhdabezhikmnoptyxabeikvoptuxnywilodgasabcdefghijklmnoprstuvwyz"
    "ouhngoslabcdehijklmprstvwzabcdefghijklmnoprstuvwxyz",
)
# Letters drawn in boxes and discs that NFKC leaves alone: regional indicators, negative circled, negative squared.
_BOXED: Final = {
    start + offset: chr(ord("a") + offset) for start in (0x1F1E6, 0x1F150, 0x1F170) for offset in range(26)
}
_APOSTROPHES: Final = frozenset("'’‘ʼ`´＇")
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u034f\u180b\u180c\u180d\u180e\u0640")  # the last: Arabic tatweel
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
# Marks that writers may leave out: accents of Latin, Greek and Cyrillic, Hebrew points, Arabic vowels, variation
# selectors. Marks of other scripts are vowels and make other words.
_OPTIONAL_MARKS: Final = (
    (0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670),
    (0x06D6, 0x06ED), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),
)  # fmt: skip


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= ord(char) <= high for low, high in ranges)


def is_invisible(char: str) -> bool:
    """Whether a character draws nothing: zero-width, soft hyphen, direction, tag, filler, variation selector."""
    return unicodedata.category(char) == "Cf" or char in _FILLERS or _within(char, _OPTIONAL_MARKS[-2:])


def plain(char: str) -> str:
    """NFKC and case-folded, without accents, apostrophes and what draws nothing."""
    if char in _APOSTROPHES:
        return ""
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", char).casefold())
    bare = "".join(c for c in folded if not _within(c, _OPTIONAL_MARKS) and not is_invisible(c))
    return unicodedata.normalize("NFC", bare)


def latin(char: str) -> str:
    """As `plain`, with look-alikes of other scripts as Latin letters."""
    wide = unicodedata.normalize("NFKC", char).translate(_BOXED).translate(_LOOKALIKES)
    return "".join(map(plain, wide)).translate(_LOOKALIKES)


def typed(char: str) -> str:
    """As a keyboard would have it: NFKC with ASCII digits; case, accents and signs stay, what draws nothing goes."""
    if is_invisible(char) or unicodedata.category(char) == "Me":
        return ""
    return "".join(
        str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else c
        for c in unicodedata.normalize("NFKC", char)
    )


class Table:
    """A rule for single characters, applied to whole texts.

    Args:
        rule: what one character becomes: nothing, one character or several.
    """

    def __init__(self, rule: Callable[[str], str]) -> None:
        self._rule = rule
        self._one = np.zeros(_ROOM, np.uint32)  # 0: not met yet
        self._many: dict[int, list[int]] = {}

    def apply(self, codes: Codes) -> tuple[Codes, Places]:
        """The text after the rule, and the index in `codes` that each of its characters came from."""
        found = self._one[codes]
        if not found.all():
            for code in np.unique(codes[found == 0]).tolist():
                self._learn(code)
            found = self._one[codes]
        places = np.arange(codes.size)
        if not (found >= _GONE).any():
            return found, places
        long = found == _MANY
        counts = (found != _GONE).astype(np.intp)
        parts = [self._many[code] for code in codes[long].tolist()]
        counts[long] = [len(part) for part in parts]
        places = np.repeat(places, counts)
        found = np.repeat(found, counts)
        found[long[places]] = [code for part in parts for code in part]
        return found, places

    def _learn(self, code: int) -> None:
        char = chr(code)
        # A lone surrogate is no character, NUL would read as `not met yet` and BAR has a meaning here: all are gaps.
        result = " " if char in ("\0", BAR) or unicodedata.category(char) == "Cs" else self._rule(char)
        if len(result) > 1:
            self._many[code] = [ord(c) for c in result]
        self._one[code] = _GONE if not result else _MANY if len(result) > 1 else ord(result)


_flags = np.zeros(_ROOM, np.uint8)


def flags(codes: Codes) -> npt.NDArray[np.uint8]:
    """The flags (WORD, LETTER, …) of each character."""
    found: npt.NDArray[np.uint8] = _flags[codes]
    if not found.all():
        for code in np.unique(codes[found == 0]).tolist():
            _flags[code] = _flags_of(chr(code))
        found = _flags[codes]
    return found


def _flags_of(char: str) -> int:
    mark = unicodedata.category(char) in ("Mn", "Mc")
    return (
        _KNOWN
        | WORD * (char.isalnum() or mark or char == BAR)
        | LETTER * (char.isalpha() or char == BAR)
        | SIGN * (char in SIGNS)
        | END_MARK * (char in END_MARKS)
        | UNSPACED * _within(char, _UNSPACED)
        | MARK * mark
    )


def to_codes(text: str) -> Codes:
    """Code points of a text, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def to_text(codes: npt.NDArray[Any]) -> str:
    """The text of code points that have no surrogates among them."""
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le")
