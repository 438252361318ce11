"""Synthetic documents and screenshots: caricatures in many styles, so that a network learns the class, not a source."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from moderation.train.drawing import Colour, colour, font, gradient, paragraph, vivid, word, words

Picture = Image.Image
Draw = ImageDraw.ImageDraw


def document(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
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
    if rng.random() < 0.3:
        return on_a_surface(page, rng, grounds)
    return page if rng.random() < 0.6 else tilted(page, rng)


def _text_page(
    page: Picture, draw: Draw, rng: random.Random, margin: int, ink: Any, kind: str, grounds: Sequence[Picture]
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
            if what < 0.12 and grounds:
                figure = ImageOps.fit(rng.choice(grounds), (max(8, right - left), rng.randint(40, 40 + height // 6)))
                page.paste(figure if rng.random() < 0.6 else figure.convert("L").convert("RGB"), (left, top))
                top += figure.height + size
            elif what < 0.2:
                top = _table(draw, rng, (left, top, right, top + rng.randint(3, 8) * size * 2), face, ink) + size
            else:
                end = min(height - margin, top + rng.randint(3, 14) * size)
                top = paragraph(draw, rng, (left, top, right, end), face, ink) + size


def _table(draw: Draw, rng: random.Random, box: tuple[int, int, int, int], face: Any, ink: Any) -> int:
    x1, y1, x2, y2 = box
    columns, row = rng.randint(2, 6), int(face.size * 1.8)
    step = max(1, (x2 - x1) // columns)
    for y in range(y1, y2 - row, row):
        if rng.random() < 0.8:
            draw.line((x1, y, x2, y), fill=ink)
        for column in range(columns):
            draw.text(
                (x1 + column * step + 3, y + 3), word(rng)[: max(1, step // max(1, face.size))], font=face, fill=ink
            )
    return y2


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


def on_a_surface(flat: Picture, rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """On a table, in perspective, in uneven light."""
    size = (rng.randint(500, 900), rng.randint(500, 900))
    ground = (
        ImageOps.fit(rng.choice(grounds), size).filter(ImageFilter.GaussianBlur(rng.uniform(0, 6)))
        if (grounds and rng.random() < 0.6)
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


def screenshot(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """A window, a terminal, an editor, a phone, a web page, a dialogue."""
    kind = rng.choice(("window", "window", "terminal", "editor", "phone", "phone", "web", "dialogue", "phones"))
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
    screen: Picture, draw: Draw, rng: random.Random, grounds: Sequence[Picture], ink: Any, accent: Any, kind: str
) -> None:
    width, height = screen.size
    face = font(rng, rng.randint(11, 18))
    bar = rng.randint(24, 60)
    back = _paper(screen)
    draw.rectangle((0, 0, width, bar), fill=accent if rng.random() < 0.4 else _darker(back, 18))
    for x in range(12, width - 80, rng.randint(60, 140)):
        draw.text((x, bar / 2 - face.size / 2), word(rng), font=face, fill=ink)
    side = rng.choice((0, width // 5, width // 4))
    if side:
        draw.rectangle((0, bar, side, height), fill=_darker(back, 8))
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
        elif what < 0.5 and grounds:
            count = rng.randint(1, 4)
            step = (right - left) // count
            for column in range(count):
                tile = ImageOps.fit(rng.choice(grounds), (max(8, step - 10), rng.randint(50, 140)))
                screen.paste(tile, (left + column * step, y))
            y += 160
        elif what < 0.65:
            y = _table(draw, rng, (left, y, right, y + rng.randint(80, 200)), face, ink) + 10
        else:
            end = min(height - 10, y + rng.randint(1, 5) * int(face.size * 1.4))
            y = paragraph(draw, rng, (left, y, right, end), face, ink, 1.4) + 12


def _paper(screen: Picture) -> Colour:
    """Colour of the ground, read from a corner."""
    red, green, blue = np.asarray(screen)[-1, 1]
    return int(red), int(green), int(blue)


def _darker(back: Colour, by: int) -> Colour:
    """A shade of a colour; lighter when `by` is below 0."""
    red, green, blue = (min(255, max(0, channel - by)) for channel in back)
    return red, green, blue


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


def _phone(rng: random.Random, grounds: Sequence[Picture], back: Any, ink: Any, accent: Any) -> Picture:
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
            card = _darker(back, rng.randint(-30, 20))
            draw.rounded_rectangle((10, y, width - 10, y + height), 10, fill=card)
        x = 22
        if rng.random() < 0.6 and grounds:
            screen.paste(ImageOps.fit(rng.choice(grounds), (height - 14, height - 14)), (16, y + 7))
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
