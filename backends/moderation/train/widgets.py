"""Parts of synthetic screenshots: old-style controls and dashboards."""

from __future__ import annotations

import random
from typing import Any, Final

from PIL import Image, ImageDraw, ImageOps

from moderation.train.charts import plot
from moderation.train.drawing import Colour, Draw, Picture, colour, font, shade, vivid, word, words

Area = tuple[int, int, int, int]
_FACES: Final = ((212, 208, 200), (240, 240, 240), (236, 233, 216), (239, 235, 231), (46, 48, 52))
_SELECTED: Final = ((10, 36, 106), (49, 106, 197), (74, 144, 217), (240, 119, 70))
_WHITE: Final = (255, 255, 255)


def widgets(rng: random.Random) -> Picture:
    """Raised and sunken controls on grey, as desktops had for decades: lists, fields, tabs, menus."""
    back = rng.choice(_FACES)
    ink = (225, 225, 225) if sum(back) < 300 else (0, 0, 0)
    size = (rng.randint(160, 620), rng.randint(110, 460))
    box = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(box)
    face = font(rng, rng.randint(11, 20))
    select = rng.choice((*_SELECTED, vivid(rng)))
    y = 8
    if rng.random() < 0.4:  # a menu bar
        x = 8
        for _ in range(rng.randint(2, 6)):
            label = word(rng)
            draw.text((x, y), label, font=face, fill=ink)
            x += int(face.getlength(label)) + 16
        y += face.size + 10
    while y < size[1] - face.size * 2:
        right = size[0] - 10 - rng.randint(0, size[0] // 3)
        height = min(size[1] - y - 8, rng.randint(3, 7) * (face.size + 5))
        y += _control(draw, rng, (10, y, right, y + height), face, (ink, back, select)) + rng.randint(6, 16)
    return _titled(box, rng, back, select) if rng.random() < 0.7 else box


def _control(draw: Draw, rng: random.Random, area: Area, face: Any, colours: tuple[Colour, Colour, Colour]) -> int:
    """One control in an area at most; its height."""
    ink, back, select = colours
    x1, y, x2, y2 = area
    match rng.choice(("list", "list", "menu", "group", "tabs", "buttons", "rows")):
        case "list" | "menu" as kind:
            _edged(draw, area, _WHITE if kind == "list" and sum(back) > 300 else back, raised=kind == "menu")
            chosen = rng.randint(0, 5)
            for row, top in enumerate(range(y + 4, y2 - face.size, face.size + 5)):
                if row == chosen:
                    draw.rectangle((x1 + 2, top - 2, x2 - 2, top + face.size + 2), fill=select)
                text = words(rng, rng.randint(1, 3))
                draw.text((x1 + 8, top), text, font=face, fill=_WHITE if row == chosen else ink)
            if kind == "list" and rng.random() < 0.5:
                _edged(draw, (x2 - 15, y + 1, x2, y2), back, raised=True)
        case "group":
            draw.rectangle(area, outline=(128, 128, 128))
            draw.text((x1 + 10, y - face.size // 2), word(rng), font=face, fill=ink)
            _rows(draw, rng, (x1 + 10, y + face.size, x2, y2), face, ink)
        case "tabs":
            for index in range(rng.randint(2, 5)):
                left = x1 + index * 80
                _edged(draw, (left, y + (3 if index else 0), left + 80, y + face.size + 10), back, raised=True)
                draw.text((left + 6, y + 5), word(rng)[:8], font=face, fill=ink)
            return int(face.size) + 16
        case "buttons":
            for index in range(rng.randint(1, 3)):
                left = x1 + index * 96
                _edged(draw, (left, y, left + 84, y + face.size + 12), back, raised=True)
                draw.text((left + 14, y + 5), word(rng)[:7], font=face, fill=ink)
            return int(face.size) + 18
        case _:
            _rows(draw, rng, (x1, y, x2, y + face.size + 12), face, ink)
            return int(face.size) + 12
    return y2 - y


def _rows(draw: Draw, rng: random.Random, area: Area, face: Any, ink: Colour) -> None:
    """Labels with a tick box, a round button or a field."""
    size = int(face.size)
    for top in range(area[1], max(area[1] + 1, area[3] - size), size + 10):
        kind = rng.random()
        if kind < 0.4:
            _edged(draw, (area[0], top, area[0] + size, top + size), _WHITE, raised=False)
        elif kind < 0.6:
            draw.ellipse((area[0], top, area[0] + size, top + size), fill=_WHITE, outline=(90, 90, 90))
        else:
            field = (area[0] + 90, top - 2, max(area[0] + 110, area[2] - 8), top + size + 4)
            _edged(draw, field, _WHITE, raised=False)
        x = area[0] + (size + 8 if kind < 0.6 else 0)
        draw.text((x, top), words(rng, 2 if kind < 0.6 else 1), font=face, fill=ink)


def _edged(draw: Draw, area: Area, fill: Colour, *, raised: bool) -> None:
    """A field with a light and a dark edge."""
    x1, y1, x2, y2 = area
    light, dark = (_WHITE, (110, 110, 110)) if raised else ((110, 110, 110), (240, 240, 240))
    draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), fill=fill)
    draw.line((x1, y2, x1, y1, x2, y1), fill=light)
    draw.line((x1, y2, x2, y2, x2, y1), fill=dark)


def _titled(box: Picture, rng: random.Random, back: Colour, select: Colour) -> Picture:
    framed = Image.new("RGB", (box.width + 6, box.height + 28), select if rng.random() < 0.6 else colour(rng, 40, 90))
    framed.paste(box, (3, 25))
    draw = ImageDraw.Draw(framed)
    draw.text((8, 4), words(rng, 2), font=font(rng, 14, "bold"), fill=_WHITE)
    _edged(draw, (framed.width - 22, 4, framed.width - 6, 20), back, raised=True)
    return framed


def dashboard(rng: random.Random, back: Colour, ink: Colour) -> Picture:
    """Panels with plots and large numbers under a bar, as monitoring tools show."""
    width = rng.randint(600, 1100)
    screen = Image.new("RGB", (width, int(width * rng.uniform(0.45, 0.75))), back)
    draw = ImageDraw.Draw(screen)
    face = font(rng, rng.randint(10, 15))
    bar, side = rng.randint(22, 44), rng.choice((0, 40, width // 6))
    draw.rectangle((0, 0, width, bar), fill=shade(back, 14))
    draw.text((12, bar // 3), " / ".join(word(rng) for _ in range(3)), font=face, fill=ink)
    draw.rounded_rectangle((width - 110, 5, width - 12, bar - 5), 3, outline=ink)
    for y in range(bar + 10, screen.height if side else 0, 34):
        draw.rectangle((12, y, 26, y + 14), outline=ink)
        if side > 60:
            draw.text((34, y), word(rng), font=face, fill=ink)
    columns, rows = rng.choice(((1, 1), (2, 1), (2, 2), (3, 2), (3, 3)))
    cell = (width - side) // columns, (screen.height - bar) // rows
    panel = shade(back, rng.choice((-8, 8)))
    for row in range(rows):
        for column in range(columns):
            x, y = side + column * cell[0] + 5, bar + row * cell[1] + 5
            area = (x, y, x + cell[0] - 10, y + cell[1] - 10)
            draw.rectangle(area, fill=panel, outline=shade(back, 25))
            draw.text((x + 8, y + 4), words(rng, 2), font=face, fill=ink)
            _panel(screen, draw, rng, (x + 4, y + int(face.size) + 10, area[2] - 4, area[3] - 4), (ink, panel))
    return screen


def _panel(screen: Picture, draw: Draw, rng: random.Random, area: Area, colours: tuple[Colour, Colour]) -> None:
    """Lines over a faint grid, a large number, or a plot of any style."""
    x1, y1, x2, y2 = area
    room = x2 - x1, y2 - y1
    if min(room) < 24:
        return
    ink, back = colours
    what = rng.random()
    if what < 0.25:
        draw.text((x1, y1), f"{rng.uniform(0, 999):.1f}", font=font(rng, room[1] // 2), fill=vivid(rng))
    elif what < 0.4:
        screen.paste(ImageOps.pad(plot(rng), room, color=back), (x1, y1))
    else:
        grid = shade(back, 22 if sum(ink) > 380 else -30)
        for index in range(1, 5):
            y = y1 + room[1] * index // 5
            draw.line((x1, y, x2, y), fill=grid)
        for _ in range(rng.randint(1, 5)):
            value, points = rng.uniform(0.2, 0.8), []
            for x in range(x1, x2, rng.randint(3, 9)):
                value = min(1.0, max(0.0, value + rng.gauss(0, 0.06)))
                points.append((x, y2 - value * room[1]))
            draw.line(points, fill=vivid(rng), width=rng.randint(1, 2))
