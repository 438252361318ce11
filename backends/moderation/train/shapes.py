"""What diagrams are made of: a sheet, few colours, boxes with words, arrows."""

from __future__ import annotations

import math
import random

from PIL import Image, ImageDraw

from moderation.train.drawing import Colour, Draw, Picture, colour, font, gradient, shade, vivid, word, words

Area = tuple[int, int, int, int]


def blank(rng: random.Random) -> tuple[Picture, Draw, Colour]:
    """Paper, mostly white, and a colour to write on it."""
    size = (rng.randint(380, 1200), rng.randint(240, 900))
    what = rng.random()
    if what < 0.62:
        sheet, ink = Image.new("RGB", size, (255, 255, 255)), rng.choice([(0, 0, 0), (70, 70, 70), (30, 40, 90)])
    elif what < 0.78:
        sheet, ink = Image.new("RGB", size, colour(rng, 225, 252)), (20, 20, 20)
    elif what < 0.9:
        sheet, ink = Image.new("RGB", size, colour(rng, 5, 60)), (235, 235, 235)
    else:
        sheet, ink = Image.blend(gradient(rng, size), Image.new("RGB", size), 0.7), (240, 240, 240)
    return sheet, ImageDraw.Draw(sheet), ink


def palette(rng: random.Random) -> list[Colour]:
    """Few colours, as one author uses: strong, pastel or grey."""
    base = rng.choice((vivid, lambda r: colour(r, 150, 245), lambda r: shade((205, 205, 205), r.randint(-90, 40))))
    return [base(rng) for _ in range(rng.randint(1, 4))]


def box(draw: Draw, rng: random.Random, area: Area, fill: Colour, ink: Colour, look: tuple[int, int]) -> None:
    """A box with a word in it; `look` is the radius of its corners and the width of its edge."""
    x1, y1, x2, y2 = area
    if x2 - x1 < 6 or y2 - y1 < 6:
        return
    draw.rounded_rectangle(
        area, min(look[0], (y2 - y1) // 2), fill=fill, outline=ink if look[1] else None, width=look[1]
    )
    face = font(rng, max(8, min((y2 - y1) // 2, (x2 - x1) // 7, 26)))
    text = words(rng, rng.randint(1, 2))
    if face.getlength(text) > x2 - x1:
        text = word(rng)[:6]
    on = (255, 255, 255) if sum(fill) < 330 else (15, 15, 15)
    draw.text(((x1 + x2 - face.getlength(text)) / 2, (y1 + y2 - face.size * 1.2) / 2), text, font=face, fill=on)


def arrow(draw: Draw, ends: tuple[float, float, float, float], ink: Colour, width: int) -> None:
    """A straight line from (x, y) to (x, y) with a filled tip."""
    ax, ay, bx, by = ends
    draw.line((ax, ay, bx, by), fill=ink, width=width)
    angle = math.atan2(by - ay, bx - ax)
    wings = [(bx - 9 * math.cos(angle + d), by - 9 * math.sin(angle + d)) for d in (0.45, -0.45)]
    draw.polygon([(bx, by), *wings], fill=ink)
