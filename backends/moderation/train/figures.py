"""Synthetic illustrations: flat shapes, cartoons, drawings in pencil and ink."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from moderation.train.drawing import Grounds, Picture, colour, font, gradient, vivid, words


def illustration(rng: random.Random, grounds: Grounds) -> Picture:
    """Flat shapes, line drawings, cartoons: given pictures simplified, or figures from nothing."""
    what = rng.random()
    if what < 0.2 and grounds.photos:
        return cartoon(grounds.photo(rng, (rng.randint(300, 600), rng.randint(300, 600))), rng)
    size = (rng.randint(250, 800), rng.randint(250, 800))
    if what < 0.6 and grounds.figures:
        return figure(rng, grounds, size)
    if what < 0.7:
        return _logo(rng)
    back = rng.choice([(255, 255, 255), (255, 255, 255), colour(rng, 150, 255), vivid(rng), (15, 15, 25)])
    sheet = gradient(rng, size) if what > 0.85 else Image.new("RGB", size, back)
    draw = ImageDraw.Draw(sheet)
    outline = rng.choice([None, (0, 0, 0), (40, 40, 60)])
    line = rng.randint(2, 8)
    palette = [vivid(rng) if rng.random() < 0.6 else colour(rng) for _ in range(rng.randint(2, 7))]
    cx, cy = size[0] / 2, size[1] / 2
    for index in range(rng.randint(3, 22)):
        # large shapes below, small details above, gathered around the middle as a figure is
        scale = min(size) * rng.uniform(0.5, 0.9) / (1 + index * rng.uniform(0.25, 0.7))
        x, y = rng.gauss(cx, size[0] * 0.16), rng.gauss(cy, size[1] * 0.16)
        w, h = scale * rng.uniform(0.3, 1), scale * rng.uniform(0.3, 1)
        fill = rng.choice(palette)
        area = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        match rng.choice(("ellipse", "ellipse", "blob", "blob", "polygon", "round", "line", "arc")):
            case "ellipse":
                draw.ellipse(area, fill=fill, outline=outline, width=line)
            case "round":
                draw.rounded_rectangle(area, min(w, h) * 0.3, fill=fill, outline=outline, width=line)
            case "polygon":
                points = [(x + rng.uniform(-w, w) / 2, y + rng.uniform(-h, h) / 2) for _ in range(rng.randint(3, 6))]
                draw.polygon(points, fill=fill, outline=outline)
            case "blob":
                steps = rng.randint(6, 16)
                waves = [rng.uniform(0.7, 1.15) for _ in range(steps)]
                angles = np.linspace(0, 2 * math.pi, steps * 8, endpoint=False)
                radii = np.interp(np.linspace(0, steps, steps * 8), range(steps + 1), [*waves, waves[0]])
                points = [
                    (x + w / 2 * r * math.cos(a), y + h / 2 * r * math.sin(a))
                    for a, r in zip(angles, radii, strict=True)
                ]
                draw.polygon(points, fill=fill)
                if outline:
                    draw.line([*points, points[0]], fill=outline, width=line, joint="curve")
            case "line":
                draw.line(
                    [(rng.gauss(x, w), rng.gauss(y, h)) for _ in range(rng.randint(2, 5))],
                    fill=outline or fill,
                    width=line,
                    joint="curve",
                )
            case "arc":
                draw.arc(area, rng.randint(0, 360), rng.randint(0, 360), fill=outline or fill, width=line)
    return sheet


def _logo(rng: random.Random) -> Picture:
    """An emblem with a name beside or below it."""
    size = (rng.randint(220, 700), rng.randint(110, 420))
    back = rng.choice([(255, 255, 255), (255, 255, 255), colour(rng, 0, 60), vivid(rng)])
    sheet = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(sheet)
    beside = rng.random() < 0.6
    side = int(min(size) * rng.uniform(0.35, 0.7))
    x, y = (size[0] // 12, (size[1] - side) // 2) if beside else ((size[0] - side) // 2, size[1] // 12)
    palette = [vivid(rng) for _ in range(rng.randint(1, 3))]
    for _ in range(rng.randint(1, 5)):
        w, h = rng.randint(side // 3, side), rng.randint(side // 3, side)
        left, top = x + rng.randint(0, side - w), y + rng.randint(0, side - h)
        fill = rng.choice([*palette, back])
        shape = rng.choice((draw.ellipse, draw.rectangle, draw.ellipse))
        shape((left, top, left + w, top + h), fill=fill)
    face = font(rng, size[1] // (rng.randint(3, 5) if beside else rng.randint(6, 9)), rng.choice(("", "bold")))
    place = (x + side + size[0] // 20, (size[1] - face.size) // 2) if beside else (size[0] // 5, y + side + 6)
    draw.text(place, words(rng, 1), font=face, fill=(20, 20, 20) if sum(back) > 380 else (250, 250, 250))
    return sheet


def cartoon(photo: Picture, rng: random.Random) -> Picture:
    """Few flat colours and dark edges, as a drawing has; or a sketch."""
    smooth = photo.convert("RGB").filter(ImageFilter.ModeFilter(9)).filter(ImageFilter.MedianFilter(7))
    edges = smooth.convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.MaxFilter(3))
    mask = edges.point(lambda v: 255 if v > 24 else 0)
    if rng.random() < 0.3:
        return Image.composite(
            Image.new("RGB", photo.size, colour(rng, 0, 80)), Image.new("RGB", photo.size, (255, 255, 255)), mask
        )
    flat = ImageOps.posterize(smooth, rng.choice((2, 2, 3)))
    flat = flat.quantize(rng.randint(5, 14)).convert("RGB")
    return Image.composite(Image.new("RGB", photo.size, (20, 20, 20)), flat, mask) if rng.random() < 0.7 else flat


def figure(rng: random.Random, grounds: Grounds, size: tuple[int, int]) -> Picture:
    """One or several given drawings on a ground of their own, now and then as if drawn with a pencil or in one ink."""
    back = rng.choice([(255, 255, 255), (255, 255, 255), colour(rng, 150, 255), vivid(rng), colour(rng, 0, 60)])
    sheet = gradient(rng, size) if rng.random() < 0.12 else Image.new("RGB", size, back)
    columns, rows = rng.choice(((1, 1), (1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (3, 3), (4, 2)))
    cell = size[0] // columns, size[1] // rows
    for row in range(rows):
        for column in range(columns):
            drawn = grounds.figure(rng)
            if drawn is None:
                continue
            drawn = drawn.rotate(rng.uniform(-15, 15), expand=True) if rng.random() < 0.3 else drawn
            drawn = ImageOps.contain(drawn, (max(8, int(cell[0] * rng.uniform(0.6, 1))), max(8, cell[1])))
            drawn = ImageOps.mirror(drawn) if rng.random() < 0.5 else drawn
            at = column * cell[0] + (cell[0] - drawn.width) // 2, row * cell[1] + (cell[1] - drawn.height) // 2
            sheet.paste(drawn, at, drawn.getchannel("A"))
    what = rng.random()
    if what < 0.3:
        return _pencil(sheet, rng)
    if what < 0.36:
        return ImageOps.colorize(sheet.convert("L"), colour(rng, 0, 80), colour(rng, 190, 255))
    return sheet


def _pencil(picture: Picture, rng: random.Random) -> Picture:
    """Strokes in one direction that let the paper through, and soft dark edges."""
    noise = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, picture.size[::-1], np.uint8)
    turn = rng.uniform(-60, 60)
    length = rng.randint(4, 9)
    strokes = Image.fromarray(noise).resize((picture.width // length + 1, picture.height))
    strokes = strokes.resize(picture.size, Image.Resampling.BILINEAR).rotate(turn).filter(ImageFilter.GaussianBlur(0.7))
    strokes = ImageOps.autocontrast(strokes).point(lambda v: min(255, v * 6 // 5))
    paper = Image.new("RGB", picture.size, (250, 249, 246))
    shaded = Image.composite(Image.blend(picture, paper, rng.uniform(0.1, 0.4)), paper, strokes)
    edges = picture.convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    return ImageChops.multiply(shaded, ImageOps.invert(edges.point(lambda v: min(255, v * 3))).convert("RGB"))
