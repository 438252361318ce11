"""The decision drawn on the picture: boxes of labels, quads of text and codes, the verdict on top."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

COLOURS: Final = {"allow": "#2e7d32", "review": "#ef6c00", "block": "#c62828", "error": "#6a1b9a"}
_NEUTRAL: Final = "#1565c0"
MAX_SIDE: Final = 1600
"""Longer pictures are reduced: people look at these, nobody measures in them."""


def annotate(data: bytes, result: Mapping[str, Any]) -> bytes:
    """A PNG of the picture with what was found and decided.

    Args:
        data: the encoded file that was moderated; of an animation the frame that the first reason is about is shown.
        result: its RESULT.
    """
    shown = next((f for r in result["reasons"] if (f := r["evidence"].get("frame")) is not None), 0)
    result = {**result, **{key: [x for x in result[key] if x["frame"] == shown] for key in ("labels", "text", "codes")}}
    with Image.open(io.BytesIO(data)) as opened:
        if shown:
            opened.seek(shown)
        upright = ImageOps.exif_transpose(opened)
        picture = Image.new("RGB", upright.size, "white")
        rgba = upright.convert("RGBA")
        picture.paste(rgba, mask=rgba.getchannel("A"))
    scale = min(1.0, MAX_SIDE / max(picture.size))
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    font = ImageFont.load_default(size=max(12, max(picture.size) // 60))
    draw = ImageDraw.Draw(picture)
    guilty = _guilty(result)
    for text in result["text"]:
        corners = [(x * scale, y * scale) for x, y in text["quad"]]
        draw.polygon(corners, outline=guilty.get(str(text["quad"]), _NEUTRAL), width=2)
    for code in result["codes"]:
        corners = [(x * scale, y * scale) for x, y in code["quad"]]
        colour = guilty.get(str(code["quad"]), _NEUTRAL)
        draw.polygon(corners, outline=colour, width=3)
        _tag(draw, min(corners), f"code: {code['format']}", colour, font)
    for label in (label for label in result["labels"] if label["box"]):
        x1, y1, x2, y2 = (v * scale for v in label["box"])
        colour = guilty.get(str(label["box"]), _NEUTRAL)
        draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=3)
        _tag(draw, (x1, y1), f"{label['name']} {label['score']:.2f}", colour, font)
    if result["text"]:
        picture = _beside(picture, _transcript(picture.size, result, scale, guilty))
    return _banner(picture, result, font)


def _guilty(result: Mapping[str, Any]) -> dict[str, str]:
    """Colour of each box and quad that a reason points at."""
    found: dict[str, str] = {}
    for reason in result["reasons"]:
        for key in ("box", "quad"):
            if (place := reason["evidence"].get(key)) is not None:
                found[str(place)] = COLOURS[reason["action"]]
    return found


def _transcript(
    size: tuple[int, int], result: Mapping[str, Any], scale: float, guilty: Mapping[str, str]
) -> Image.Image:
    """A sheet of the picture's size with each recognised line where it stands."""
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for text in result["text"]:
        (x1, y1), (x2, y2), _, (x4, y4) = ((x * scale, y * scale) for x, y in text["quad"])
        height = max(8.0, ((x4 - x1) ** 2 + (y4 - y1) ** 2) ** 0.5)
        font = ImageFont.load_default(size=height * 0.8)
        width = max(8.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        if (length := font.getlength(text["text"])) > width:
            font = ImageFont.load_default(size=max(7.0, height * 0.8 * width / length))
        draw.text((x1, y1), text["text"], fill=guilty.get(str(text["quad"]), "black"), font=font)
    return sheet


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def _tag(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: str, font: ImageFont.FreeTypeFont | Any
) -> None:
    """Text on a coloured ground above a point, inside the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font)
    x, y = max(0.0, at[0]), max(0.0, at[1] - (bottom - top) - 6)
    draw.rectangle((x, y, x + right - left + 6, y + bottom - top + 6), fill=colour)
    draw.text((x + 3 - left, y + 3 - top), text, fill="white", font=font)


def _banner(picture: Image.Image, result: Mapping[str, Any], font: ImageFont.FreeTypeFont | Any) -> bytes:
    """The picture under a strip with the decision and its reasons."""
    lines = [f"{result['decision'].upper()}  severity {result['severity']}"]
    lines += list(dict.fromkeys(reason["message"] for reason in result["reasons"]))[:3]
    height = int(font.size * 1.4)
    width = max(picture.width, *(int(font.getlength(line)) + 16 for line in lines))
    sheet = Image.new("RGB", (width, picture.height + height * len(lines) + 8), COLOURS[result["decision"]])
    sheet.paste(picture, (0, height * len(lines) + 8))
    draw = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        draw.text((8, 4 + row * height), line, fill="white", font=font)
    target = io.BytesIO()
    sheet.save(target, "PNG")
    return target.getvalue()
