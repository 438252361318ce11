"""Synthetic memes: captions on pictures, panels, comics."""

from __future__ import annotations

import random
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from moderation.train.drawing import Grounds, Picture, font, vivid, word, words
from moderation.train.figures import cartoon, figure, illustration


def meme(rng: random.Random, grounds: Grounds) -> Picture:
    """Captions on a picture, a picture under a headline, panels with words, labels on things."""
    kind = rng.choice(("classic", "classic", "headline", "headline", "panels", "labels", "two rows", "comic"))

    def one(size: tuple[int, int]) -> Picture:
        what = rng.random()
        if what < 0.3:
            return figure(rng, grounds, size)
        picture = grounds.photo(rng, size)
        return cartoon(picture, rng) if what < 0.4 else picture

    size = (rng.randint(350, 800), rng.randint(300, 700))
    if kind == "classic":
        return captioned(one(size), rng)
    if kind == "headline":
        strip = rng.randint(50, 170)
        sheet = Image.new("RGB", (size[0], size[1] + strip), "white" if rng.random() < 0.85 else "black")
        below = rng.random() < 0.8
        sheet.paste(one(size), (0, strip if below else 0))
        _text_in(
            ImageDraw.Draw(sheet),
            rng,
            (8, 6 if below else size[1] + 6, size[0] - 8, strip - 8),
            ink=(0, 0, 0)
            if sheet.getpixel((0, 2 if below else sheet.height - 2)) == (255, 255, 255)
            else (255, 255, 255),
        )
        return sheet
    if kind == "two rows":
        rows = rng.randint(2, 4)
        half, height = size[0] // 2, max(60, size[1] // 2)
        sheet = Image.new("RGB", (half * 2, height * rows), "white")
        for row in range(rows):
            sheet.paste(one((half, height)), (0, row * height))
            _text_in(ImageDraw.Draw(sheet), rng, (half + 10, row * height + 10, half - 20, height - 20))
        return sheet
    if kind in ("panels", "comic"):
        columns, rows = rng.choice(((1, 2), (2, 2), (2, 1), (3, 2), (1, 3)))
        cell = (max(90, size[0] // columns), max(90, size[1] // rows))
        sheet = Image.new("RGB", (cell[0] * columns, cell[1] * rows), "white")
        for row in range(rows):
            for column in range(columns):
                panel = _drawn(rng, grounds, cell) if kind == "comic" else one(cell)
                panel = ImageOps.fit(panel, (cell[0] - 4, cell[1] - 4))
                draw = ImageDraw.Draw(panel)
                if kind == "comic":
                    w, h = int(cell[0] * 0.7), int(cell[1] * 0.3)
                    draw.ellipse((6, 4, 6 + w, 4 + h), fill="white", outline="black", width=2)
                    _text_in(draw, rng, (6 + w // 7, 8 + h // 5, int(w * 0.72), int(h * 0.6)))
                elif rng.random() < 0.75:
                    _caption(panel, rng, rng.random() < 0.4)
                sheet.paste(panel, (column * cell[0] + 2, row * cell[1] + 2))
        return sheet
    picture = one(size)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.randint(2, 4)):
        face = font(rng, size[0] // rng.randint(12, 20), "bold")
        at = rng.uniform(0.05, 0.6) * size[0], rng.uniform(0.05, 0.85) * size[1]
        draw.text(
            at,
            words(rng, rng.randint(1, 3)),
            font=face,
            fill="white",
            stroke_width=max(1, int(face.size / 12)),
            stroke_fill="black",
        )
    return picture


def captioned(picture: Picture, rng: random.Random) -> Picture:
    """A template with white capitals above, below or both."""
    sheet = Image.new("RGB", picture.size, "white")
    sheet.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    for top in rng.choice(((True, False), (True, False), (True,), (False,))):
        _caption(sheet, rng, top)
    return sheet


def _drawn(rng: random.Random, grounds: Grounds, size: tuple[int, int]) -> Picture:
    """A panel of a comic."""
    return figure(rng, grounds, size) if grounds.figures and rng.random() < 0.7 else illustration(rng, Grounds())


def _caption(picture: Picture, rng: random.Random, top: bool) -> None:
    """White capitals with a black edge."""
    face = font(rng, picture.width // rng.randint(9, 17), rng.choice(("bold", "bebas", "black", "cond")))
    lines = [words(rng, rng.randint(2, 4)) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.75:
        lines = [line.upper() for line in lines]
    y = picture.height * 0.03 if top else picture.height * 0.97 - face.size * 1.15 * len(lines)
    draw = ImageDraw.Draw(picture)
    edge = max(1, int(face.size / rng.randint(9, 18)))
    for line in lines:
        x = max(2.0, (picture.width - face.getlength(line)) / 2)
        draw.text(
            (x, y),
            line,
            font=face,
            fill="white" if rng.random() < 0.9 else vivid(rng),
            stroke_width=edge,
            stroke_fill="black",
        )
        y += face.size * 1.15


def _text_in(
    draw: Any, rng: random.Random, box: tuple[int, int, int, int], ink: tuple[int, int, int] = (0, 0, 0)
) -> None:
    """Words in a box given as x, y, width, height, as large as they fit."""
    x, y, width, height = box
    rows = rng.randint(1, max(1, min(4, height // 24)))
    face = font(rng, max(8, int(height / rows / 1.35)))
    for row in range(rows):
        line = ""
        while face.getlength(line) < width * rng.uniform(0.55, 0.85):
            line += word(rng) + " "
        draw.text((x, y + row * height / rows), line.strip(), font=face, fill=ink)
