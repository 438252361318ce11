"""Synthetic diagrams: flow charts, architectures in nested boxes, stacks of layers, timelines, free compositions."""

from __future__ import annotations

import math
import random
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter

from moderation.train.compositions import composition
from moderation.train.drawing import Picture, colour, font, shade, vivid, word, words
from moderation.train.shapes import arrow, blank, box, palette


def diagram(rng: random.Random) -> Picture:
    """One of the kinds, now and then with lines as drawn by hand."""
    sheet = rng.choice((_flow, _flow, _nested, _nested, _layers, _timeline, *[composition] * 6))(rng)
    return sheet.filter(ImageFilter.SMOOTH_MORE) if rng.random() < 0.2 else sheet


def _nested(rng: random.Random) -> Picture:
    """An architecture: frames with a title, boxes inside, arrows between the frames."""
    sheet, draw, ink = blank(rng)
    fills, look = palette(rng), (rng.choice((0, 0, 6, 14)), rng.choice((0, 1, 2)))
    columns, rows = rng.choice(((2, 1), (3, 1), (2, 2), (1, 2), (4, 1), (3, 2)))
    gap = rng.randint(18, 60)
    width, height = (sheet.width - gap) // columns - gap, (sheet.height - gap) // rows - gap
    outer = rng.choice([None, *fills, shade(fills[0], 60)])
    frames = []
    for row in range(rows):
        for column in range(columns):
            x, y = gap + column * (width + gap), gap + row * (height + gap)
            area = (x, y, x + max(20, width), y + max(20, int(height * rng.uniform(0.6, 1))))
            frames.append(area)
            draw.rounded_rectangle(area, look[0], fill=outer, outline=ink, width=rng.randint(1, 3))
            face = font(rng, max(9, min(24, width // 12)))
            draw.text((area[0] + 8, area[1] + 4), words(rng, 2), font=face, fill=ink if outer is None else (10, 10, 10))
            count = rng.randint(1, 5)
            step = (area[3] - area[1] - face.size * 2) // count
            for index in range(count):
                top = area[1] + int(face.size * 1.6) + index * step
                box(draw, rng, (area[0] + 12, top, area[2] - 12, top + int(step * 0.75)), rng.choice(fills), ink, look)
    for a, b in pairwise(frames):
        if a[1] == b[1]:
            arrow(draw, (a[2], (a[1] + a[3]) / 2, b[0], (b[1] + b[3]) / 2), ink, rng.randint(1, 3))
    return sheet


def _layers(rng: random.Random) -> Picture:
    """Layers on top of each other, each with its parts."""
    sheet, draw, ink = blank(rng)
    rows, look = rng.randint(3, 8), (rng.choice((0, 5, 12)), rng.choice((0, 1)))
    height = sheet.height // rows
    fills = palette(rng)
    label = rng.choice((0, sheet.width // 5))
    for row in range(rows):
        y, fill = row * height, fills[row % len(fills)]
        if label:
            draw.text((6, y + height // 3), words(rng, 1), font=font(rng, max(9, height // 5)), fill=ink)
        if rng.random() < 0.5:
            draw.rectangle((label, y + 3, sheet.width - 6, y + height - 3), fill=shade(fill, 35))
        count = rng.randint(1, 6)
        step = (sheet.width - label - 12) // count
        for index in range(count):
            x = label + 6 + index * step
            box(draw, rng, (x + 3, y + 8, x + step - 4, y + height - 8), fill, ink, look)
    return sheet


def _timeline(rng: random.Random) -> Picture:
    """Bars over an axis of time, as in plans and in pictures of schedulers."""
    sheet, draw, ink = blank(rng)
    fills, rows = palette(rng), rng.randint(2, 7)
    left, step = sheet.width // 6, (sheet.height - 60) // rows
    for row in range(rows):
        y = 20 + row * step
        draw.text((6, y + step // 4), word(rng), font=font(rng, max(9, min(20, step // 3))), fill=ink)
        x = left + rng.randint(0, 60)
        while x < sheet.width - 40:
            width = rng.randint(20, 160)
            box(draw, rng, (x, y + 4, min(sheet.width - 10, x + width), y + step - 6), rng.choice(fills), ink, (0, 1))
            x += width + rng.randint(0, 80)
    bottom = sheet.height - 30
    arrow(draw, (left, bottom, sheet.width - 12, bottom), ink, 2)
    draw.line((left, 10, left, bottom), fill=ink, width=1)
    draw.text((sheet.width - 90, bottom + 6), word(rng), font=font(rng, 14), fill=ink)
    return sheet


def _flow(rng: random.Random) -> Picture:
    """Boxes joined by arrows: flow charts, graphs."""
    size = (rng.randint(400, 1100), rng.randint(300, 900))
    back = (255, 255, 255) if rng.random() < 0.8 else colour(rng, 220, 255)
    sheet = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(sheet)
    columns, rows = rng.randint(2, 6), rng.randint(2, 6)
    fills = [rng.choice([back, colour(rng, 150, 255), vivid(rng)]) for _ in range(rng.randint(1, 3))]
    ink, round_ = rng.choice([(0, 0, 0), (60, 60, 60), vivid(rng)]), rng.choice((0, 0, 8, 99))
    line = rng.randint(1, 4)
    cell = size[0] / columns, size[1] / rows
    face = font(rng, int(min(cell) / rng.uniform(5, 9)))
    boxes = []
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.3:
                continue
            w, h = cell[0] * rng.uniform(0.4, 0.8), cell[1] * rng.uniform(0.3, 0.7)
            cx, cy = (column + 0.5) * cell[0], (row + 0.5) * cell[1]
            boxes.append((cx, cy, w, h))
    for (ax, ay, *_), (bx, by, *_) in zip(boxes, boxes[1:] + boxes[:1], strict=True):
        if rng.random() < 0.75:
            corner = (bx, ay) if rng.random() < 0.6 else (ax, ay)
            draw.line([(ax, ay), corner, (bx, by)], fill=ink, width=line)
            angle = math.atan2(by - corner[1], bx - corner[0])
            tip = ((corner[0] + bx) / 2, (corner[1] + by) / 2)
            wings = [(tip[0] - 10 * math.cos(angle + d), tip[1] - 10 * math.sin(angle + d)) for d in (0.5, -0.5)]
            draw.polygon([tip, *wings], fill=ink)
    for cx, cy, w, h in boxes:
        area = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        if round_ == 99:
            draw.ellipse(area, fill=rng.choice(fills), outline=ink, width=line)
        else:
            draw.rounded_rectangle(area, round_, fill=rng.choice(fills), outline=ink, width=line)
        label = words(rng, rng.randint(1, 2))
        draw.text((cx - min(w / 2, face.getlength(label) / 2), cy - face.size / 2), label, font=face, fill=ink)
    return sheet
