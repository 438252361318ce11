"""Draws the sample pictures. What the default policy should say about each stands beside it."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageDraw, ImageFont

EXPECTED: Final = {
    "sunset.png": "allow",
    "notice.jpg": "allow",
    "scam.webp": "review",
    "threat.jpg": "block",
    "animation.gif": "review",  # only the third of its four frames is bad
}
"""Decision of the default policy, by file name."""
_SIZE: Final = (640, 400)


def render() -> dict[str, bytes]:
    """Encoded pictures by file name, the same bytes each time on one version of Pillow."""
    notice = _poster("#f4f1ea", "#222222", ["Opening hours", "Monday to Friday 9-17", "Library of the town hall"])
    scam = _poster("#fff3b0", "#b00020", ["FREE BITCOIN today!", "Double your bitcoin", "Claim your prize now"])
    threat = _poster("#101010", "#e04040", ["I know where you live", "I will kill you"])
    frames = [_poster("#dde7f0", "#203040", [line]) for line in ("Hello", "Nice to see you", "FREE BITCOIN", "Bye")]
    animation = io.BytesIO()
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:], duration=400, loop=0)
    return {
        "sunset.png": _encode(_sunset(), "PNG"),
        "notice.jpg": _encode(notice, "JPEG", quality=90),
        "scam.webp": _encode(scam, "WEBP", quality=90),
        "threat.jpg": _encode(threat, "JPEG", quality=90),
        "animation.gif": animation.getvalue(),
    }


def _encode(picture: Image.Image, kind: str, **settings: int) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **settings)
    return target.getvalue()


def _poster(paper: str, ink: str, lines: list[str]) -> Image.Image:
    """Lines of text in the middle of a coloured sheet."""
    picture = Image.new("RGB", _SIZE, paper)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=44)
    top = (_SIZE[1] - 70 * len(lines)) // 2
    for row, line in enumerate(lines):
        draw.text(((_SIZE[0] - draw.textlength(line, font)) / 2, top + 70 * row), line, font=font, fill=ink)
    return picture


def _sunset() -> Image.Image:
    """Sky, sun and hills: nothing to read, nothing to see."""
    sky = Image.linear_gradient("L").resize(_SIZE)
    channels = (lambda v: 90 + v // 2, lambda v: 60 + v // 4, lambda v: 140 - v // 3)
    picture = Image.merge("RGB", [sky.point(channel) for channel in channels])
    draw = ImageDraw.Draw(picture)
    draw.ellipse((400, 170, 500, 270), fill="#ffd27f")
    draw.polygon([(0, 400), (0, 290), (180, 220), (360, 310), (520, 250), (640, 300), (640, 400)], fill="#2b2140")
    return picture
