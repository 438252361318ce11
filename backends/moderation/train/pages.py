"""Synthetic documents: pages, letters, receipts, forms, scanned, photographed or cut out."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from moderation.train.charts import plot
from moderation.train.drawing import Draw, Grounds, Picture, colour, font, paragraph, table, words


def document(rng: random.Random, grounds: Grounds) -> Picture:
    """A page, a letter, a receipt, a form: dark text on paper; now and then photographed on something."""
    kind = rng.choice(("page", "page", "columns", "receipt", "form", "book"))
    width = rng.randint(380, 900)
    height = int(width * (rng.uniform(1.6, 3) if kind == "receipt" else rng.uniform(1.1, 1.5)))
    paper = rng.choice([(255, 255, 255), (252, 250, 245), colour(rng, 215, 250), (240, 228, 200)])
    ink = colour(rng, 0, 70)
    page = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(page)
    margin = rng.randint(width // 25, width // 8)
    if kind == "receipt":
        _receipt(draw, rng, width, height, margin, ink)
    elif kind == "form":
        _form(draw, rng, width, height, margin, ink)
    else:
        _text_page(page, draw, rng, margin, ink, kind, grounds)
    if rng.random() < 0.25:  # a few lines from near
        part = rng.uniform(0.3, 0.8), rng.uniform(0.15, 0.6)
        w, h = int(width * part[0]), int(height * part[1])
        x, y = rng.randint(0, width - w), rng.randint(0, height - h)
        page = page.crop((x, y, x + w, y + h))
    if rng.random() < 0.3:
        return on_a_surface(page, rng, grounds)
    return page if rng.random() < 0.6 else tilted(page, rng)


def _text_page(
    page: Picture, draw: Draw, rng: random.Random, margin: int, ink: Any, kind: str, grounds: Grounds
) -> None:
    width, height = page.size
    size = rng.randint(max(8, width // 70), width // 32)
    y = margin
    if rng.random() < 0.7:
        title = font(rng, size * rng.randint(2, 3))
        draw.text((margin, y), words(rng, rng.randint(2, 5)), font=title, fill=ink)
        y += int(title.size * 1.6)
    columns = rng.choice((2, 2, 3)) if kind == "columns" else 1
    face = font(rng, size)
    step = (width - 2 * margin) // columns
    for column in range(columns):
        top = y
        left = margin + column * step
        while top < height - margin - size * 3:
            right = left + step - (size if columns > 1 else 0)
            what = rng.random()
            if what < 0.12:
                figure = _picture(rng, grounds, (max(8, right - left), rng.randint(40, 40 + height // 6)))
                page.paste(figure if rng.random() < 0.6 else figure.convert("L").convert("RGB"), (left, top))
                top += figure.height + size
            elif what < 0.2:
                top = table(draw, rng, (left, top, right, top + rng.randint(3, 8) * size * 2), face, ink) + size
            else:
                end = min(height - margin, top + rng.randint(3, 14) * size)
                top = paragraph(draw, rng, (left, top, right, end), face, ink) + size


def _picture(rng: random.Random, grounds: Grounds, size: tuple[int, int]) -> Picture:
    """What stands between paragraphs: a photo, a plot, a drawing."""
    if rng.random() < 0.4:
        return ImageOps.pad(plot(rng), size, color=(255, 255, 255))
    drawn = grounds.figure(rng) if rng.random() < 0.3 else None
    if drawn is None:
        return grounds.photo(rng, size)
    sheet = Image.new("RGB", size, "white")
    drawn = ImageOps.contain(drawn, size)
    sheet.paste(drawn, ((size[0] - drawn.width) // 2, 0), drawn)
    return sheet


def _receipt(draw: Draw, rng: random.Random, width: int, height: int, margin: int, ink: Any) -> None:
    face = font(rng, rng.randint(width // 30, width // 18), rng.choice(("mono", "")))
    y = margin
    for _ in range(rng.randint(2, 6)):
        line = words(rng, rng.randint(1, 4)).upper()
        draw.text(((width - face.getlength(line)) / 2, y), line, font=face, fill=ink)
        y += int(face.size * 1.3)
    while y < height - margin:
        if rng.random() < 0.1:
            draw.text((margin, y), "-" * 40, font=face, fill=ink)
        else:
            price = f"{rng.randint(0, 99)}.{rng.randint(0, 99):02d}"
            draw.text((margin, y), words(rng, rng.randint(1, 3)), font=face, fill=ink)
            draw.text((width - margin - face.getlength(price), y), price, font=face, fill=ink)
        y += int(face.size * rng.uniform(1.2, 1.7))


def _form(draw: Draw, rng: random.Random, width: int, height: int, margin: int, ink: Any) -> None:
    face = font(rng, rng.randint(width // 55, width // 34))
    draw.text((margin, margin), words(rng, 3), font=font(rng, face.size * 2), fill=ink)
    y = margin + face.size * 4
    while y < height - margin - face.size * 3:
        draw.text((margin, y), words(rng, rng.randint(1, 3)) + ":", font=face, fill=ink)
        if rng.random() < 0.7:
            draw.line((margin + width // 3, y + face.size, width - margin, y + face.size), fill=ink)
        else:
            draw.rectangle((margin + width // 3, y, width - margin, y + face.size * 2), outline=ink)
        y += int(face.size * rng.uniform(2, 3.5))


def tilted(page: Picture, rng: random.Random) -> Picture:
    """A little crooked, noisy, often grey."""
    turned = page.rotate(
        rng.uniform(-3, 3), expand=False, fillcolor=page.getpixel((1, 1)), resample=Image.Resampling.BILINEAR
    )
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 9), (turned.height, turned.width, 1))
    pixels = np.clip(np.asarray(turned, np.float32) + noise, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    return picture.convert("L").convert("RGB") if rng.random() < 0.5 else picture


def on_a_surface(flat: Picture, rng: random.Random, grounds: Grounds) -> Picture:
    """On a table, in perspective, in uneven light."""
    size = (rng.randint(500, 900), rng.randint(500, 900))
    ground = (
        grounds.photo(rng, size).filter(ImageFilter.GaussianBlur(rng.uniform(0, 6)))
        if rng.random() < 0.6
        else Image.new("RGB", size, colour(rng, 30, 200))
    )
    flat = flat.copy()
    flat.thumbnail((int(size[0] * rng.uniform(0.6, 1.0)), int(size[1] * rng.uniform(0.7, 1.1))))
    layer = Image.new("RGBA", size)
    layer.paste(flat.convert("RGBA"), ((size[0] - flat.width) // 2, (size[1] - flat.height) // 2))
    layer = _perspective(layer, rng, 0.12)
    ground.paste(layer, mask=layer.getchannel("A"))
    shade = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270))).resize(size)
    dark = Image.blend(ground, Image.new("RGB", size, (20, 15, 10)), rng.uniform(0.05, 0.45))
    return Image.composite(ground, dark, shade)


def _perspective(layer: Picture, rng: random.Random, amount: float) -> Picture:
    width, height = layer.size
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    moved = [(x + rng.uniform(-amount, amount) * width, y + rng.uniform(-amount, amount) * height) for x, y in corners]
    rows = []
    for (x, y), (u, v) in zip(moved, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solution = np.linalg.solve(np.array(rows), np.array(corners, float).reshape(-1))
    return layer.transform(layer.size, Image.Transform.PERSPECTIVE, solution.tolist(), Image.Resampling.BILINEAR)
