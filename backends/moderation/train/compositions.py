"""Diagrams as put together by hand in a slide program: panels, boxes, badges, stores, block arrows, loose labels."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw

from moderation.train.drawing import Colour, Draw, Picture, font, shade, word, words
from moderation.train.shapes import Area, arrow, blank, box, palette


@dataclass(frozen=True)
class _Style:
    """One author's habits."""

    fills: list[Colour]
    ink: Colour
    look: tuple[int, int]
    line: int
    dashed: bool


def composition(rng: random.Random) -> Picture:
    """Panels in a loose grid, each with its own kind of content, joined by arrows."""
    paper, draw, ink = blank(rng)
    look = rng.choice((0, 0, 4, 10, 24)), rng.choice((0, 1, 2, 3))
    style = _Style(palette(rng), ink, look, rng.randint(1, 4), rng.random() < 0.3)
    columns, rows = rng.choice(((1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 3), (1, 2), (1, 3), (4, 2)))
    cell = paper.width / columns, paper.height / rows
    panels = []
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.15 and columns * rows > 2:
                continue
            width, height = cell[0] * rng.uniform(0.5, 0.92), cell[1] * rng.uniform(0.4, 0.9)
            x = cell[0] * column + rng.uniform(0, cell[0] - width)
            y = cell[1] * row + rng.uniform(0, cell[1] - height)
            panels.append((int(x), int(y), int(x + width), int(y + height)))
    for area in panels:
        kinds = _panel, _panel, _grid, _badges, _stores, _bullets, _chevrons, _spread
        rng.choice(kinds)(draw, rng, area, style)
    _join(draw, rng, panels, style)
    for _ in range(rng.randint(0, 4)):
        _label(paper, rng, (rng.randint(0, paper.width), rng.randint(0, paper.height)), style.ink)
    return paper


def _frame(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """The edge of a panel: filled, outlined or dashed."""
    fill = rng.choice([None, None, style.fills[0], shade(style.fills[-1], 40)])
    if style.dashed and fill is None:
        _dashes(draw, area, style)
    else:
        draw.rounded_rectangle(area, style.look[0], fill=fill, outline=style.ink, width=max(1, style.look[1]))


def _dashes(draw: Draw, area: Area, style: _Style) -> None:
    x1, y1, x2, y2 = area
    for x in range(x1, x2, 14):
        for y in (y1, y2):
            draw.line((x, y, min(x + 8, x2), y), fill=style.ink, width=style.line)
    for y in range(y1, y2, 14):
        for x in (x1, x2):
            draw.line((x, y, x, min(y + 8, y2)), fill=style.ink, width=style.line)


def _rows(area: Area, count: int, top: int) -> list[Area]:
    """Areas below each other inside another, below its title."""
    x1, y1, x2, y2 = area
    step = max(4, (y2 - y1 - top) // count)
    return [(x1 + 10, y1 + top + i * step, x2 - 10, y1 + top + i * step + int(step * 0.78)) for i in range(count)]


def _panel(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """A frame with a title and rows of boxes, each row with one to three of them."""
    _frame(draw, rng, area, style)
    face = font(rng, max(9, min(30, (area[3] - area[1]) // 7)))
    draw.text((area[0] + 8, area[1] + 4), words(rng, 2), font=face, fill=style.ink)
    for line in _rows(area, rng.randint(1, 5), int(face.size * 1.5)):
        count = rng.randint(1, 3)
        step = (line[2] - line[0]) // count
        for index in range(count):
            x = line[0] + index * step
            box(draw, rng, (x, line[1], x + step - 6, line[3]), rng.choice(style.fills), style.ink, style.look)


def _grid(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """Equal boxes in rows, as of memories, devices and slots."""
    columns, rows = rng.randint(2, 6), rng.randint(1, 5)
    width, height = (area[2] - area[0]) // columns, (area[3] - area[1]) // rows
    fill = rng.choice(style.fills)
    for row in range(rows):
        for column in range(columns):
            x, y = area[0] + column * width, area[1] + row * height
            box(draw, rng, (x, y, x + width - 5, y + height - 5), fill, style.ink, style.look)


def _badges(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """Numbered circles with a label beside or below."""
    radius = max(6, min(30, (area[3] - area[1]) // 8))
    face = font(rng, max(8, int(radius * 1.1)))
    for index in range(rng.randint(2, 7)):
        x, y = rng.randint(area[0], area[2]), rng.randint(area[1], area[3])
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=rng.choice(style.fills), outline=style.ink)
        draw.text((x - radius / 3, y - radius * 0.7), str(index + 1), font=face, fill=(255, 255, 255))
        if rng.random() < 0.6:
            draw.text((x + radius + 4, y - radius / 2), words(rng, 2), font=face, fill=style.ink)


def _stores(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """Cylinders, as of data bases."""
    count = rng.randint(1, 4)
    step = (area[2] - area[0]) // count
    for index in range(count):
        x1, x2 = area[0] + index * step, area[0] + index * step + int(step * 0.7)
        y1, y2 = area[1] + 10, area[3] - 24
        if x2 - x1 < 8 or y2 - y1 < 20:
            continue
        lid, fill = max(4, (x2 - x1) // 5), rng.choice(style.fills)
        draw.rectangle((x1, y1, x2, y2), fill=fill)
        draw.line((x1, y1, x1, y2), fill=style.ink, width=style.line)
        draw.line((x2, y1, x2, y2), fill=style.ink, width=style.line)
        draw.ellipse((x1, y2 - lid, x2, y2 + lid), fill=fill, outline=style.ink, width=style.line)
        draw.ellipse((x1, y1 - lid, x2, y1 + lid), fill=shade(fill, 25), outline=style.ink, width=style.line)
        draw.text((x1, y2 + lid), word(rng), font=font(rng, max(9, min(20, step // 6))), fill=style.ink)


def _bullets(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """A list in a note."""
    _frame(draw, rng, area, style)
    size = max(9, (area[3] - area[1]) // 9)
    face = font(rng, size)
    for index in range(rng.randint(2, 6)):
        draw.text(
            (area[0] + 10, area[1] + 8 + index * int(size * 1.3)), f"- {words(rng, 2)}", font=face, fill=style.ink
        )


def _chevrons(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """Block arrows in a row, as of steps."""
    count = rng.randint(1, 5)
    step = (area[2] - area[0]) / count
    height = min(area[3] - area[1], max(24, int(step * 0.6)))
    y1, y2, point = area[1], area[1] + height, step * rng.uniform(0.15, 0.35)
    shaft = rng.choice((0.0, 0.25))
    for index in range(count):
        x1, x2 = area[0] + index * step, area[0] + (index + 1) * step - 8
        low, high = y1 + height * shaft, y2 - height * shaft
        outline = [(x1, low), (x2 - point, low), (x2 - point, y1), (x2, (y1 + y2) / 2), (x2 - point, y2)]
        outline += [(x2 - point, high), (x1, high)]
        draw.polygon(outline, fill=rng.choice(style.fills), outline=style.ink)
        face = font(rng, max(8, min(22, int(step / 7))))
        draw.text((x1 + 6, (y1 + y2 - face.size) / 2), word(rng), font=face, fill=style.ink)


def _spread(draw: Draw, rng: random.Random, area: Area, style: _Style) -> None:
    """Boxes of different size here and there, some of them joined."""
    centres = []
    for _ in range(rng.randint(2, 7)):
        width, height = rng.randint(40, 150), rng.randint(20, 70)
        x, y = rng.randint(area[0], max(area[0], area[2] - width)), rng.randint(area[1], max(area[1], area[3] - height))
        box(draw, rng, (x, y, x + width, y + height), rng.choice(style.fills), style.ink, style.look)
        centres.append((x + width / 2, y + height))
    for (ax, ay), (bx, by) in pairwise(centres):
        if rng.random() < 0.6:
            arrow(draw, (ax, ay, bx, by - 20), style.ink, style.line)


def _join(draw: Draw, rng: random.Random, panels: list[Area], style: _Style) -> None:
    """Arrows between panels: straight, angled, now and then with a word."""
    for a, b in pairwise(panels):
        if rng.random() < 0.25:
            continue
        start, end = ((a[0] + a[2]) / 2, (a[1] + a[3]) / 2), ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2)
        sideways = abs(end[0] - start[0]) > abs(end[1] - start[1])
        if sideways:
            start, end = (a[2] if end[0] > start[0] else a[0], start[1]), (b[0] if end[0] > start[0] else b[2], end[1])
        else:
            start, end = (start[0], a[3] if end[1] > start[1] else a[1]), (end[0], b[1] if end[1] > start[1] else b[3])
        if rng.random() < 0.4 and math.dist(start, end) > 30:
            bend = (end[0], start[1]) if sideways else (start[0], end[1])
            draw.line((*start, *bend), fill=style.ink, width=style.line)
            start = bend
        arrow(draw, (*start, *end), style.ink, style.line)
        if rng.random() < 0.35:
            middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 18)
            draw.text(middle, words(rng, 2), font=font(rng, rng.randint(10, 18)), fill=style.ink)


def _label(paper: Picture, rng: random.Random, where: tuple[int, int], ink: Colour) -> None:
    """A word on its own, level or upright."""
    face = font(rng, rng.randint(11, 40))
    text = words(rng, rng.randint(1, 3))
    piece = Image.new("L", (max(1, int(face.getlength(text))), int(face.size * 1.4)))
    ImageDraw.Draw(piece).text((0, 0), text, font=face, fill=255)
    if rng.random() < 0.3:
        piece = piece.rotate(90, expand=True)
    paper.paste(ink, where, piece)
