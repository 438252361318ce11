"""Synthetic charts, illustrations, memes and pictures with codes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from moderation.train.drawing import colour, font, gradient, vivid, word, words
from moderation.train.pages import document, on_a_surface, screenshot, tilted

Picture = Image.Image


def chart(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """Plots in many styles by matplotlib, and diagrams of boxes and arrows."""
    return _diagram(rng) if rng.random() < 0.4 else _plot(rng)


def _plot(rng: random.Random) -> Picture:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    numbers = np.random.default_rng(rng.getrandbits(32))
    styles = [s for s in plt.style.available if not s.startswith("_")]
    with plt.style.context(rng.choice(["default", *styles])):
        rows, columns = rng.choice(((1, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 3)))
        size = (rng.uniform(3, 8), rng.uniform(2.5, 6))
        figure, axes = plt.subplots(rows, columns, figsize=size, dpi=rng.randint(60, 110), squeeze=False)
        for axis in axes.flat:
            _draw_axis(axis, rng, numbers)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        plt.close(figure)
    return Image.fromarray(pixels)


def _draw_axis(axis: Any, rng: random.Random, numbers: np.random.Generator) -> None:
    kind = rng.choice(("line", "line", "bar", "hbar", "scatter", "hist", "area", "pie", "box", "heat", "stack", "step"))
    count = rng.randint(4, 40)
    x = np.arange(count)
    series = rng.randint(1, 4)
    values = numbers.normal(0, 1, (series, count)).cumsum(axis=1) * rng.uniform(0.5, 20)
    match kind:
        case "line" | "step":
            for row in values:
                axis.plot(
                    x,
                    row,
                    marker=rng.choice((None, None, "o", "s", "^")),
                    label=word(rng),
                    drawstyle="steps" if kind == "step" else None,
                )
        case "bar":
            axis.bar(
                x[:12],
                np.abs(values[0])[:12],
                color=[np.array(vivid(rng)) / 255 for _ in x[:12]] if rng.random() < 0.3 else None,
            )
        case "hbar":
            axis.barh([word(rng) + str(i) for i in range(min(count, 10))], np.abs(values[0])[:10])
        case "scatter":
            for row in values:
                axis.scatter(
                    numbers.normal(0, 1, count), row, s=rng.randint(5, 80), alpha=rng.uniform(0.4, 1), label=word(rng)
                )
        case "hist":
            axis.hist(numbers.normal(0, 1, 300), bins=rng.randint(6, 40))
        case "area":
            axis.fill_between(x, values[0], alpha=rng.uniform(0.3, 1))
        case "pie":
            axis.pie(np.abs(values[0][:6]) + 0.1, labels=[word(rng) for _ in range(min(6, count))])
        case "box":
            axis.boxplot(numbers.normal(0, 1, (30, rng.randint(2, 8))))
        case "heat":
            axis.imshow(
                numbers.random((rng.randint(4, 14), rng.randint(4, 14))),
                cmap=rng.choice(("viridis", "magma", "Blues", "coolwarm")),
            )
        case "stack":
            axis.stackplot(x, np.abs(values))
    if rng.random() < 0.6:
        axis.set_title(words(rng, rng.randint(1, 4)))
    if rng.random() < 0.6:
        axis.set_xlabel(word(rng))
        axis.set_ylabel(word(rng))
    if kind in ("line", "scatter", "step") and rng.random() < 0.5:
        axis.legend()
    if rng.random() < 0.3:
        axis.grid(True)
    if rng.random() < 0.1:
        axis.axis("off")


def _diagram(rng: random.Random) -> Picture:
    """Boxes joined by arrows: flow charts, architectures, graphs."""
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


def illustration(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """Flat shapes, line drawings, cartoons: given pictures simplified, or figures from nothing."""
    what = rng.random()
    if what < 0.35 and grounds:
        return _cartoon(ImageOps.fit(rng.choice(grounds), (rng.randint(300, 600), rng.randint(300, 600))), rng)
    size = (rng.randint(250, 800), rng.randint(250, 800))
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


def _cartoon(photo: Picture, rng: random.Random) -> Picture:
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


def meme(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """Captions on a picture, a picture under a headline, panels with words, labels on things."""
    kind = rng.choice(("classic", "classic", "headline", "headline", "panels", "labels", "two rows", "comic"))
    if not grounds:
        grounds = [illustration(rng, ())]

    def one(size: tuple[int, int]) -> Picture:
        picture = ImageOps.fit(rng.choice(grounds), size)
        return _cartoon(picture, rng) if rng.random() < 0.25 else picture

    size = (rng.randint(350, 800), rng.randint(300, 700))
    if kind == "classic":
        picture = one(size)
        for top in (True, False):
            if rng.random() < 0.85:
                _caption(picture, rng, top)
        return picture
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
                panel = illustration(rng, ()) if kind == "comic" else one(cell)
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


_FORMATS: Final = (
    "QRCode",
    "QRCode",
    "QRCode",
    "DataMatrix",
    "Aztec",
    "PDF417",
    "Code128",
    "Code39",
    "EAN13",
    "EAN8",
    "ITF",
    "Codabar",
)


def code_2d(rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """QR and bar codes: close up, on labels, on pages, as small parts of photos."""
    code = _code(rng)
    kind = rng.choice(("plain", "photo", "photo", "label", "label", "page", "stuck on", "stuck on", "grey"))
    if kind == "plain":
        return ImageOps.expand(code, rng.randint(4, 60), rng.choice([(255, 255, 255), colour(rng, 180, 255)]))
    if kind in ("label", "grey"):
        sheet = Image.new(
            "RGB",
            (int(code.width * rng.uniform(1.2, 2.2)), int(code.height * rng.uniform(1.3, 2.6))),
            colour(rng, 190, 255),
        )
        draw = ImageDraw.Draw(sheet)
        face = font(rng, max(10, sheet.height // 16))
        for y in range(6, sheet.height, int(face.size * 1.4)):
            draw.text((8, y), words(rng, 5), font=face, fill=colour(rng, 0, 90))
        sheet.paste(code, (rng.randint(0, sheet.width - code.width), rng.randint(0, sheet.height - code.height)))
        found = on_a_surface(sheet, rng, grounds) if rng.random() < 0.7 else tilted(sheet, rng)
        return found.convert("L").convert("RGB") if kind == "grey" else found
    if kind == "stuck on":
        return _stuck_on(code, rng, grounds)
    if kind == "page":
        page = document(rng, ()).copy()
        code = code.resize((int(page.width * rng.uniform(0.35, 0.6)),) * 2) if code.height == code.width else code
        code.thumbnail((int(page.width * 0.8), int(page.height * 0.6)))
        page.paste(
            code, (rng.randint(0, max(0, page.width - code.width)), rng.randint(0, max(0, page.height - code.height)))
        )
        side = max(code.size) * 2
        return page.crop((0, 0, min(page.width, side * 2), min(page.height, side * 2))) if rng.random() < 0.4 else page
    return on_a_surface(ImageOps.expand(code, rng.randint(6, 30), "white"), rng, grounds)


def _stuck_on(code: Picture, rng: random.Random, grounds: Sequence[Picture]) -> Picture:
    """A label at any angle on a printed page or a thing, seen from near, in warm or cold light."""
    label = ImageOps.expand(code, rng.randint(4, 24), "white").convert("RGBA").rotate(rng.uniform(0, 360), expand=True)
    side = int(max(label.size) * rng.uniform(1.1, 2.2))
    under = document(rng, ()) if rng.random() < 0.6 or not grounds else rng.choice(grounds)
    ground = ImageOps.fit(under.rotate(rng.uniform(0, 360), expand=True, fillcolor=colour(rng)), (side * 2, side * 2))
    ground = ground.crop((side // 2, side // 2, side // 2 + side, side // 2 + side))
    at = rng.randint(0, side - label.width), rng.randint(0, side - label.height)
    ground.paste(label, at, label.getchannel("A"))
    light = Image.new("RGB", ground.size, rng.choice([(255, 190, 110), (150, 180, 255), (120, 110, 100)]))
    ground = Image.blend(ground, light, rng.uniform(0, 0.4))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def _code(rng: random.Random) -> Picture:
    import zxingcpp

    name = rng.choice(_FORMATS)
    digits = "".join(rng.choice("0123456789") for _ in range(12))
    text = {
        "EAN13": digits,
        "EAN8": digits[:7],
        "ITF": digits,
        "Codabar": f"A{digits}B",
        "Code39": words(rng, 1).upper() + digits[:4],
    }.get(name, "https://" + words(rng, rng.randint(1, 9)).replace(" ", "/"))
    barcode = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, name))
    code = Image.fromarray(np.asarray(barcode.to_image(scale=rng.randint(2, 5)))).convert("RGB")
    if code.height < code.width / 4:
        code = code.resize((code.width, int(code.width * rng.uniform(0.3, 0.6))), Image.Resampling.NEAREST)
    if rng.random() < 0.15:
        code = ImageOps.colorize(code.convert("L"), colour(rng, 0, 90), colour(rng, 190, 255))
    return code


GENERATORS: Final[dict[str, Callable[[random.Random, Sequence[Picture]], Picture]]] = {
    "document": document,
    "screenshot": screenshot,
    "chart": chart,
    "illustration": illustration,
    "meme": meme,
    "code_2d": code_2d,
}
"""Synthetic pictures by class; photos are not synthesised."""
