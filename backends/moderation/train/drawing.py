"""Small things that several kinds of synthetic pictures are made of."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
_SYLLABLES = (
    *("an", "ber", "cor", "da", "en", "fi", "gra", "ho", "in", "jo", "ka", "lo", "mi", "na", "on", "per", "qua", "re"),
    *("so", "ta", "un", "ver", "wi", "xe", "yo", "za", "tion", "ment", "ing", "ly", "the", "and", "of", "to", "is"),
)
_FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")
_NOT_FOR_WORDS = ("symbol", "emoji", "math", "music", "icon", "arrow", "fallback", "dingbat", "noto")
"""Fonts without Latin letters draw boxes."""


@lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """Fonts with Latin letters on this machine; more of them make more varied pictures."""
    found = [p for folder in _FONT_FOLDERS if folder.is_dir() for p in sorted(folder.rglob("*.?tf"))]
    latin = ("notosans-", "notoserif-", "notomono-")
    return tuple(
        p
        for p in found
        if p.name.lower().startswith(latin) or not any(word in p.name.lower() for word in _NOT_FOR_WORDS)
    )


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


def gradient(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """A soft ground between two colours."""
    ramp = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
    return Image.composite(Image.new("RGB", size, colour(rng)), Image.new("RGB", size, colour(rng)), ramp)
