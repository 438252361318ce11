"""The ways to read a text that may try to hide what it says.

A text is read plain and, where that makes a difference, disguised; where letters repeat three times or more, each of
these is read again with the repetition taken out:

1. plain: NFKC, case-folded, without accents, zero-width characters and apostrophes; all else that is neither letter
   nor digit separates words;
2. disguised: look-alike letters of other scripts become Latin (`Ρаypal`), digits and signs become the letters that
   they stand for (`fr33 b1tc0in`, `$cam`); `1`, `!` and `|` become a BAR, which is an i or an l;
3. stretched: `freeee` is read as `free` and as `fre`.

Numbers stay numbers: a sign or digit is only a letter inside a word that has letters, or standing alone (`f r 3 3`).
Every reading keeps, for each of its characters, where it stands in the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from moderation.text import characters
from moderation.text.characters import Codes, Places, Table

INSIDE, SEPARATED, TOUCHING = 0, 1, 2
"""What lies before a character: nothing, a separator, or the seam of a script that is written without spaces."""

STRETCH: Final = 3
"""Equal letters in a row from which the writer stretched the word; no language here has three of them."""
MAX_STRETCHES: Final = 3
"""Stretched runs that are read independently of each other (once or twice the letter): 2³ readings at most."""

# A run of letters, digits and signs with a digit or sign in it, of small ASCII letters.
_DISGUISED: Final = re.compile(r"(?<![0-9a-z@$!|])[a-z]*[0-9@$!|][0-9a-z@$!|]*")
_LEET_TEXT: Final = str.maketrans(characters.LEET)
_SHORT: Final = 4_096
"""Characters from which tables are faster even for ASCII that is full of digits."""
_PLAIN: Final = Table(characters.plain)
_LATIN: Final = Table(characters.latin)
_TYPED: Final = Table(characters.typed)
_LEET: Final = Table(lambda char: characters.LEET.get(char, char))


@dataclass(frozen=True)
class Spelling:
    """A text with its separators.

    Attributes:
        codes: code points.
        first, last: for each, the first and last index of the characters of the original that it stands for.
    """

    codes: Codes
    first: Places
    last: Places


@dataclass(frozen=True)
class Reading:
    """A text without its separators.

    Attributes:
        codes: code points, only letters, digits and BAR.
        cuts: what lies before each: INSIDE, SEPARATED or TOUCHING; one more at the end.
        first, last: as in `Spelling`.
    """

    codes: Codes
    cuts: npt.NDArray[np.uint8]
    first: Places
    last: Places


def typed(text: str) -> Spelling:
    """The text as a keyboard would have it: see `characters.typed`."""
    if _is_simple(text):
        places = np.arange(len(text))
        return Spelling(characters.to_codes(text), places, places)
    source, first, last = _composed(text)
    codes, places = _TYPED.apply(source)
    return Spelling(codes, first[places], last[places])


def spellings(text: str, *, lone: bool) -> list[Spelling]:
    """The plain spelling and, if it reads differently, the disguised one.

    Args:
        text: any text.
        lone: whether a digit or sign that stands alone is a letter, as in `f r 3 3`; where separators count, as in
            `buy 7 likes`, it is not.
    """
    if _is_simple(text):
        return _ascii_spellings(text, lone)
    source, first, last = _composed(text)
    spelled = [Spelling(codes, first[places], last[places]) for codes, places in (_PLAIN.apply(source),)]
    codes, places = _LATIN.apply(source)
    keep = _keep_letters(codes, lone)
    codes = np.where(keep == _AS_LETTER, _LEET.apply(codes)[0], np.where(keep == _END, ord(" "), codes)).astype(
        np.uint32
    )
    if not np.array_equal(codes, spelled[0].codes):
        spelled.append(Spelling(codes, first[places], last[places]))
    return spelled


def _is_simple(text: str) -> bool:
    """Whether tables are not needed: every character is read in a simple way, as in most text, and there are few."""
    return len(text) <= _SHORT and text.isascii() and "\0" not in text


def _ascii_spellings(text: str, lone: bool) -> list[Spelling]:
    """As `spellings`, for ASCII: only case, apostrophes and leet make a difference there."""
    places = np.arange(len(text))
    folded = text.lower()
    if "'" in folded or "`" in folded:
        places = np.asarray([i for i, char in enumerate(folded) if char not in "'`"], np.intp)
        folded = folded.replace("'", "").replace("`", "")
    spelled = [Spelling(characters.to_codes(folded), places, places)]
    undone = _DISGUISED.sub(_without_disguise if lone else _without_disguise_in_words, folded)
    if undone != folded:
        spelled.append(Spelling(characters.to_codes(undone), places, places))
    return spelled


def _without_disguise(run: re.Match[str]) -> str:
    """A run as `_keep_letters` judges it, where a single character may be a letter."""
    return _undisguised(run.group(), lone=True)


def _without_disguise_in_words(run: re.Match[str]) -> str:
    return _undisguised(run.group(), lone=False)


def _undisguised(run: str, lone: bool) -> str:
    body = run.rstrip(characters.END_MARKS)
    if (body.isdigit() or not any(map(str.isalpha, body))) and not (lone and len(body) == 1):
        return run
    return body.translate(_LEET_TEXT) + " " * (len(run) - len(body))


def readings(text: str) -> list[Reading]:
    """The plain reading and, if it differs, the disguised one; see `stretched` for the rest."""
    found: list[Reading] = []
    for spelling in spellings(text, lone=True):
        reading = _reading(spelling)
        if not (
            found and np.array_equal(reading.codes, found[0].codes) and np.array_equal(reading.cuts, found[0].cuts)
        ):
            found.append(reading)
    return found


def stretched(reading: Reading) -> Iterator[Reading]:
    """The reading with its stretched runs shortened to one letter or two, in every combination (at most 8).

    The combinations are those of the first runs; later runs follow in turn, so that any phrase with up to
    MAX_STRETCHES stretched runs gets the right one.
    """
    codes, cuts = reading.codes, reading.cuts
    if codes.size < STRETCH or not ((codes[2:] == codes[1:-1]) & (codes[1:-1] == codes[:-2])).any():
        return
    alone = (cuts[:-1] != INSIDE) & (cuts[1:] != INSIDE)
    goes_on = np.zeros(codes.size, bool)
    goes_on[1:] = (codes[1:] == codes[:-1]) & ((cuts[1:-1] == INSIDE) | (alone[1:] & alone[:-1]))
    goes_on &= (characters.flags(codes) & characters.LETTER).astype(bool)
    starts = np.flatnonzero(~goes_on)
    lengths = np.diff(np.append(starts, codes.size))
    long = lengths >= STRETCH
    if not long.any():
        return
    runs = starts[long]
    ends = reading.last[runs + lengths[long] - 1]
    group = np.arange(runs.size) % MAX_STRETCHES
    stays = np.ones(codes.size, bool)
    stays[np.repeat(long, lengths)] = False
    stays[runs] = True
    for twice in product((False, True), repeat=min(runs.size, MAX_STRETCHES)):
        stays[runs + 1] = np.asarray(twice)[group]
        last = reading.last.copy()
        last[runs + stays[runs + 1]] = ends
        yield Reading(codes[stays], np.append(cuts[:-1][stays], cuts[-1]), reading.first[stays], last[stays])


def _composed(text: str) -> tuple[Codes, Places, Places]:
    """The text in NFC, and for each of its characters the first and last index in the text as given."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        codes = characters.to_codes(text)
        places = np.arange(codes.size)
        return codes, places, places
    out: list[str] = []
    first: list[int] = []
    last: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _joins(text[end]) and text[end - 1] != "\n":
            continue
        composed = unicodedata.normalize("NFC", text[start:end])
        out.append(composed)
        first += [start] * len(composed)
        last += [end - 1] * len(composed)
        start = end
    return characters.to_codes("".join(out)), np.asarray(first, np.intp), np.asarray(last, np.intp)


def _joins(char: str) -> bool:
    """Whether a character may melt with the one before: marks, and vowels and finals of Korean syllables."""
    return (
        unicodedata.combining(char) != 0 or "\u1160" <= char <= "\u11ff" or unicodedata.category(char) in ("Mn", "Mc")
    )


_AS_IT_IS, _AS_LETTER, _END = 0, 1, 2


def _keep_letters(codes: Codes, lone: bool) -> npt.NDArray[np.uint8]:
    """Which characters are to be read as letters, and which are marks at the end of a sentence.

    A chunk is a run of letters, digits and signs. Without its end marks it must have a letter or, if
    `lone` ones count, be a single character.
    """
    verdict = np.zeros(codes.size, np.uint8)
    kinds = characters.flags(codes)
    in_chunk = (kinds & (characters.WORD | characters.SIGN)) != 0
    if not in_chunk.any():
        return verdict
    members = in_chunk.nonzero()[0]
    kinds = kinds[members]
    first = np.ones(members.size, bool)
    first[1:] = members[1:] - members[:-1] != 1
    starts = first.nonzero()[0]
    sizes = np.append(starts[1:], members.size) - starts
    at = np.arange(members.size)
    last_of_body = np.maximum.reduceat(np.where((kinds & characters.END_MARK) == 0, at, -1), starts)
    has_letter = np.bitwise_or.reduceat(kinds, starts) & characters.LETTER
    readable = (has_letter != 0) | ((last_of_body == starts) & lone)
    in_readable = np.repeat(readable, sizes)
    in_body = at <= np.repeat(last_of_body, sizes)
    verdict[members[in_readable & in_body]] = _AS_LETTER
    verdict[members[in_readable & ~in_body]] = _END
    return verdict


def _reading(spelling: Spelling) -> Reading:
    kinds = characters.flags(spelling.codes)
    keep = (kinds & characters.WORD).nonzero()[0]
    cuts = np.full(keep.size + 1, SEPARATED, np.uint8)
    if keep.size:
        kinds = kinds[keep]
        gap = keep[1:] - keep[:-1] != 1
        unspaced = (kinds & characters.UNSPACED) != 0
        if unspaced.any():
            seam = (unspaced[1:] | unspaced[:-1]) & ((kinds[1:] & characters.MARK) == 0)
            cuts[1:-1] = np.where(gap, SEPARATED, np.where(seam, TOUCHING, INSIDE))
        else:
            cuts[1:-1] = gap  # SEPARATED is 1, INSIDE is 0
    return Reading(spelling.codes[keep], cuts, spelling.first[keep], spelling.last[keep])
