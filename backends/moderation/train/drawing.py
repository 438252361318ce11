"""Small things that several kinds of synthetic pictures are made of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

Picture = Image.Image
Draw = ImageDraw.ImageDraw
Colour = tuple[int, int, int]
_SYLLABLES = (
    *("an", "ber", "cor", "da", "en", "fi", "gra", "ho", "in", "jo", "ka", "lo", "mi", "na", "on", "per", "qua", "re"),
    *("so", "ta", "un", "ver", "wi", "xe", "yo", "za", "tion", "ment", "ing", "ly", "the", "and", "of", "to", "is"),
)
_NOT_FOR_WORDS = ("symbol", "emoji", "math", "music", "icon", "arrow", "fallback", "dingbat", "noto")
"""Fonts without Latin letters draw boxes."""


@dataclass(frozen=True)
class Grounds:
    """Real pictures that synthetic ones are put on or made of: photos in RGB, illustrations in RGBA."""

    photos: Sequence[Picture] = ()
    figures: Sequence[Picture] = ()

    def photo(self, rng: random.Random, size: tuple[int, int]) -> Picture:
        """A photo that fills a size; a soft ground where there are none."""
        return ImageOps.fit(rng.choice(self.photos), size) if self.photos else gradient(rng, size)

    def figure(self, rng: random.Random) -> Picture | None:
        """An illustration, if there is one."""
        return rng.choice(self.figures) if self.figures else None


FONT_FOLDERS: list[Path] = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts"]
"""Where fonts are looked for; a training adds its own before it draws."""


@lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """Fonts with Latin letters on this machine; more of them make more varied pictures."""
    folders = FONT_FOLDERS
    found = [p for folder in folders if folder.is_dir() for p in sorted(folder.rglob("*.?t[fc]"))]
    latin = ("notosans-", "notoserif-", "notomono-")
    return tuple(
        p
        for p in found
        if p.name.lower().startswith(latin) or not any(word in p.name.lower() for word in _NOT_FOR_WORDS)
    )


def use_fonts(folders: Sequence[Path]) -> None:
    """Look for fonts in these folders, too."""
    FONT_FOLDERS.extend(folders)
    font_files.cache_clear()


@lru_cache(maxsize=512)
def _font(path: Path, size: int) -> Any:
    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        return ImageFont.load_default(size=size)


def font(rng: random.Random, size: int, kind: str = "") -> Any:
    """A font of this machine in a size in pixels; `kind` is part of its file name where one has it."""
    files = [p for p in font_files() if kind in p.name.lower()] or list(font_files())
    return _font(rng.choice(files), max(6, size)) if files else ImageFont.load_default(size=max(6, size))


def word(rng: random.Random) -> str:
    """Something that looks like a word or a number."""
    if rng.random() < 0.1:
        return str(rng.randint(0, 10 ** rng.randint(1, 5)))
    text = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(1, 3)))
    return text.capitalize() if rng.random() < 0.15 else text


def words(rng: random.Random, count: int) -> str:
    """Words with spaces."""
    return " ".join(word(rng) for _ in range(count))


def colour(rng: random.Random, low: int = 0, high: int = 255) -> Colour:
    """Any colour with channels between two values."""
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def shade(base: Colour, by: int) -> Colour:
    """A colour made lighter by so much in each channel, or darker when `by` is below 0."""
    red, green, blue = (min(255, max(0, channel + by)) for channel in base)
    return red, green, blue


def vivid(rng: random.Random) -> Colour:
    """A saturated colour."""
    channels = [rng.randint(150, 255), rng.randint(0, 255), rng.randint(0, 100)]
    rng.shuffle(channels)
    return channels[0], channels[1], channels[2]


def paragraph(
    draw: ImageDraw.ImageDraw,
    rng: random.Random,
    box: tuple[int, int, int, int],
    face: Any,
    ink: Colour,
    gap: float = 1.3,
) -> int:
    """Lines of words that fill a box from above; gives the y where they end."""
    x1, y, x2, y2 = box
    step = max(4, int(face.size * gap))
    while y + step <= y2:
        line, width = "", (x2 - x1) * (1.0 if rng.random() < 0.85 else rng.uniform(0.2, 0.9))
        while face.getlength(line) < width:
            line += word(rng) + " "
        draw.text((x1, y), line.rsplit(" ", 2)[0], font=face, fill=ink)
        y += step
    return y


def table(draw: Draw, rng: random.Random, box: tuple[int, int, int, int], face: Any, ink: Any) -> int:
    """Rows and columns of words; gives the y where they end."""
    x1, y1, x2, y2 = box
    columns, row = rng.randint(2, 6), int(face.size * 1.8)
    step = max(1, (x2 - x1) // columns)
    if rng.random() < 0.3:
        draw.rectangle((x1, y1, x2, min(y2, y1 + row)), fill=colour(rng, 150, 230))
    for y in range(y1, y2 - row, row):
        if rng.random() < 0.8:
            draw.line((x1, y, x2, y), fill=ink)
        for column in range(columns):
            draw.text(
                (x1 + column * step + 3, y + 3), word(rng)[: max(1, step // max(1, face.size))], font=face, fill=ink
            )
    return y2


def gradient(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A soft ground between two colours."""
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
    return Image.composite(Image.new("RGB", size, colour(rng)), Image.new("RGB", size, colour(rng)), ramp)
