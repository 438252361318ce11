"""Synthetic screenshots: windows, terminals, phones, web pages, dialogues, dashboards."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from moderation.train.drawing import (
    Colour,
    Draw,
    Grounds,
    Picture,
    colour,
    font,
    gradient,
    paragraph,
    shade,
    table,
    vivid,
    word,
    words,
)
from moderation.train.widgets import dashboard, widgets

_KINDS = (
    *("window", "window", "terminal", "editor", "phone", "phone", "web", "dialogue", "phones"),
    *("widgets", "widgets", "dashboard", "dashboard"),
)


def screenshot(rng: random.Random, grounds: Grounds) -> Picture:
    """A window, a terminal, an editor, a phone, a web page, a dialogue."""
    kind = rng.choice(_KINDS)
    dark = rng.random() < 0.45
    back = colour(rng, 10, 55) if dark else rng.choice([(255, 255, 255), colour(rng, 225, 250)])
    ink = colour(rng, 190, 245) if dark else colour(rng, 10, 80)
    accent = vivid(rng)
    if kind == "phones":
        return _side_by_side([_phone(rng, grounds, back, ink, accent) for _ in range(rng.randint(2, 4))], rng)
    if kind == "phone":
        return _phone(rng, grounds, back, ink, accent)
    if kind == "dialogue":
        return _dialogue(rng, back, ink, accent)
    if kind == "widgets":
        return widgets(rng)
    if kind == "dashboard":
        return dashboard(rng, back, ink)
    width = rng.randint(500, 1000)
    size = (width, int(width * rng.uniform(0.5, 0.9)))
    screen = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(screen)
    if kind == "terminal":
        face = font(rng, rng.randint(10, 18), "mono")
        y = 8
        while y < size[1]:
            x = 8.0
            for _ in range(rng.randint(0, 9)):
                text = word(rng) + rng.choice((" ", " ", "/", ": ", "= ", " $ "))
                draw.text((x, y), text, font=face, fill=vivid(rng) if rng.random() < 0.2 else ink)
                x += face.getlength(text)
            y += int(face.size * 1.25)
    else:
        _window(screen, draw, rng, grounds, ink, accent, kind)
    if rng.random() < 0.6:
        screen = _framed(screen, rng, dark)
    if rng.random() < 0.2:  # a window on a desktop
        desktop = gradient(rng, (int(size[0] * 1.3), int(size[1] * 1.3)))
        desktop.paste(screen, (rng.randint(0, 60), rng.randint(0, 60)))
        return desktop
    return screen


def _window(
    screen: Picture, draw: Draw, rng: random.Random, grounds: Grounds, ink: Any, accent: Any, kind: str
) -> None:
    width, height = screen.size
    face = font(rng, rng.randint(11, 18))
    bar = rng.randint(24, 60)
    back = _paper(screen)
    draw.rectangle((0, 0, width, bar), fill=accent if rng.random() < 0.4 else shade(back, -18))
    for x in range(12, width - 80, rng.randint(60, 140)):
        draw.text((x, bar / 2 - face.size / 2), word(rng), font=face, fill=ink)
    side = rng.choice((0, width // 5, width // 4))
    if side:
        draw.rectangle((0, bar, side, height), fill=shade(back, -8))
        for y in range(bar + 12, height - 20, int(face.size * 2)):
            draw.text((14, y), words(rng, rng.randint(1, 2)), font=face, fill=ink)
    y = bar + 16
    while y < height - 40:
        left, right = side + 20, width - 24
        what = rng.random()
        if kind == "editor":
            indent = rng.randint(0, 5) * 16
            draw.text((left - 10, y), str(y // 18), font=face, fill=ink)
            draw.text(
                (left + 30 + indent, y),
                words(rng, rng.randint(1, 6)),
                font=face,
                fill=rng.choice((ink, accent, vivid(rng))),
            )
            y += int(face.size * 1.4)
        elif what < 0.2:
            button = (left, y, left + rng.randint(60, 160), y + 30)
            draw.rounded_rectangle(button, rng.choice((0, 4, 15)), fill=accent)
            draw.text((left + 10, y + 7), word(rng), font=face, fill="white")
            y += 44
        elif what < 0.35:
            draw.rectangle((left, y, right, y + 28), outline=ink)
            draw.text((left + 6, y + 5), words(rng, 2), font=face, fill=ink)
            y += 40
        elif what < 0.5:
            count = rng.randint(1, 4)
            step = (right - left) // count
            for column in range(count):
                tile = _content(rng, grounds, (max(8, step - 10), rng.randint(50, 140)))
                screen.paste(tile, (left + column * step, y))
            y += 160
        elif what < 0.65:
            y = table(draw, rng, (left, y, right, y + rng.randint(80, 200)), face, ink) + 10
        else:
            end = min(height - 10, y + rng.randint(1, 5) * int(face.size * 1.4))
            y = paragraph(draw, rng, (left, y, right, end), face, ink, 1.4) + 12


def _content(rng: random.Random, grounds: Grounds, size: tuple[int, int]) -> Picture:
    """A picture that a page or an app shows."""
    drawn = grounds.figure(rng) if rng.random() < 0.3 else None
    if drawn is None:
        return grounds.photo(rng, size)
    tile = Image.new("RGB", size, colour(rng, 120, 255))
    drawn = ImageOps.contain(drawn, size)
    tile.paste(drawn, (0, 0), drawn)
    return tile


def _paper(screen: Picture) -> Colour:
    """Colour of the ground, read from a corner."""
    red, green, blue = np.asarray(screen)[-1, 1]
    return int(red), int(green), int(blue)


def _framed(screen: Picture, rng: random.Random, dark: bool) -> Picture:
    """A title bar as a window manager draws it."""
    bar = rng.randint(18, 36)
    framed = Image.new(
        "RGB", (screen.width + 2, screen.height + bar + 2), colour(rng, 30, 70) if dark else colour(rng, 200, 235)
    )
    framed.paste(screen, (1, bar))
    draw = ImageDraw.Draw(framed)
    face = font(rng, int(bar * 0.5))
    draw.text(
        (framed.width / 2 - 40, bar * 0.2), words(rng, 2), font=face, fill=(230, 230, 230) if dark else (40, 40, 40)
    )
    left = rng.random() < 0.5
    for index, fill in enumerate(((255, 95, 86), (255, 189, 46), (39, 201, 63)) if left else ((120, 120, 120),) * 3):
        x = 14 + index * bar * 0.7 if left else framed.width - 20 - index * bar * 0.8
        draw.ellipse((x - bar * 0.18, bar * 0.32, x + bar * 0.18, bar * 0.68), fill=fill)
    return framed


def _phone(rng: random.Random, grounds: Grounds, back: Any, ink: Any, accent: Any) -> Picture:
    width = rng.randint(240, 420)
    screen = Image.new("RGB", (width, int(width * rng.uniform(1.7, 2.2))), back)
    draw = ImageDraw.Draw(screen)
    small = font(rng, width // 26)
    draw.text((12, 5), f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}", font=small, fill=ink)
    draw.rectangle((width - 40, 8, width - 16, 18), outline=ink)
    title = font(rng, width // rng.randint(10, 16))
    draw.text((16, 34), words(rng, rng.randint(1, 2)), font=title, fill=ink)
    y = 40 + title.size * 2
    while y < screen.height - 90:
        height = rng.randint(44, 130)
        if rng.random() < 0.6:
            card = shade(back, rng.randint(-20, 30))
            draw.rounded_rectangle((10, y, width - 10, y + height), 10, fill=card)
        x = 22
        if rng.random() < 0.6:
            screen.paste(_content(rng, grounds, (height - 14, height - 14)), (16, y + 7))
            x += height
        draw.text((x, y + 8), words(rng, 2), font=font(rng, width // 20), fill=ink)
        draw.text((x, y + 12 + width // 16), words(rng, 3), font=small, fill=accent)
        y += height + rng.randint(4, 14)
    for index in range(rng.randint(3, 5)):
        centre = (index + 0.5) * width / 4
        draw.ellipse((centre - 10, screen.height - 44, centre + 10, screen.height - 24), fill=ink if index else accent)
    return screen


def _dialogue(rng: random.Random, back: Any, ink: Any, accent: Any) -> Picture:
    size = (rng.randint(220, 520), rng.randint(120, 320))
    box = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(box)
    face = font(rng, rng.randint(12, 22))
    paragraph(draw, rng, (20, 20, size[0] - 20, size[1] - 60), face, ink)
    for index in range(rng.randint(1, 3)):
        x = size[0] - 100 * (index + 1)
        draw.rounded_rectangle(
            (x, size[1] - 44, x + 84, size[1] - 14), 4, fill=accent if index == 0 else None, outline=ink
        )
        draw.text((x + 14, size[1] - 38), word(rng)[:8], font=face, fill=ink)
    return _framed(box, rng, sum(back) < 300)


def _side_by_side(pictures: Sequence[Picture], rng: random.Random) -> Picture:
    gap = rng.randint(8, 40)
    height = max(p.height for p in pictures) + 2 * gap
    back = rng.choice([(255, 255, 255), (0, 0, 0), colour(rng)])
    sheet = Image.new("RGB", (sum(p.width + gap for p in pictures) + gap, height), back)
    x = gap
    for picture in pictures:
        sheet.paste(picture, (x, gap))
        x += picture.width + gap
    return sheet
