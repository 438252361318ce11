"""Synthetic pictures with QR and bar codes."""

from __future__ import annotations

import random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from moderation.train.drawing import Grounds, Picture, colour, font, words
from moderation.train.pages import document, on_a_surface, tilted

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


def code_2d(rng: random.Random, grounds: Grounds) -> Picture:
    """QR and bar codes: close up, on labels, on pages, as small parts of photos."""
    code = _bars(rng) if rng.random() < 0.14 else _code(rng)
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
        page = document(rng, Grounds()).copy()
        code = code.resize((int(page.width * rng.uniform(0.35, 0.6)),) * 2) if code.height == code.width else code
        code.thumbnail((int(page.width * 0.8), int(page.height * 0.6)))
        page.paste(
            code, (rng.randint(0, max(0, page.width - code.width)), rng.randint(0, max(0, page.height - code.height)))
        )
        side = max(code.size) * 2
        return page.crop((0, 0, min(page.width, side * 2), min(page.height, side * 2))) if rng.random() < 0.4 else page
    return on_a_surface(ImageOps.expand(code, rng.randint(6, 30), "white"), rng, grounds)


def _stuck_on(code: Picture, rng: random.Random, grounds: Grounds) -> Picture:
    """A label at any angle on a printed page or a thing, seen from near, in warm or cold light."""
    label = ImageOps.expand(code, rng.randint(4, 24), "white").convert("RGBA").rotate(rng.uniform(0, 360), expand=True)
    side = int(max(label.size) * rng.uniform(1.1, 2.2))
    under = document(rng, Grounds()) if rng.random() < 0.6 else grounds.photo(rng, (400, 400))
    ground = ImageOps.fit(under.rotate(rng.uniform(0, 360), expand=True, fillcolor=colour(rng)), (side * 2, side * 2))
    ground = ground.crop((side // 2, side // 2, side // 2 + side, side // 2 + side))
    at = rng.randint(0, side - label.width), rng.randint(0, side - label.height)
    ground.paste(label, at, label.getchannel("A"))
    light = Image.new("RGB", ground.size, rng.choice([(255, 190, 110), (150, 180, 255), (120, 110, 100)]))
    ground = Image.blend(ground, light, rng.uniform(0, 0.4))
    return ground.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def _bars(rng: random.Random) -> Picture:
    """Bars of any width and number on paper, as simple codes (Pharmacode, 2 of 5) and zoomed-in ones look."""
    unit, height = rng.randint(3, 14), rng.randint(80, 320)
    widths = [unit * rng.choice((1, 1, 2, 3)) for _ in range(rng.randint(2, 40) * 2 + 1)]
    sheet = Image.new("RGB", (sum(widths) + unit * 8, height + unit * 4), "white")
    draw = ImageDraw.Draw(sheet)
    x = unit * 4
    for index, width in enumerate(widths):
        if index % 2 == 0:
            draw.rectangle((x, unit * 2, x + width - 1, unit * 2 + height), fill=(0, 0, 0))
        x += width
    if rng.random() < 0.4:
        draw.text((unit * 4, unit * 2 + height), words(rng, 1), font=font(rng, 14), fill=(0, 0, 0))
    sheet.thumbnail((900, 900))
    return sheet


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
