"""Photos that given photos lack: close-ups, and things cut out of them on a plain ground as in studios and shops."""

from __future__ import annotations

import random
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from moderation.train.drawing import Grounds, Picture, colour, gradient, vivid

_CUT_SIDE: Final = 220
"""Longer side at which a thing is cut out; GrabCut's time grows with the pixels."""


def photo(rng: random.Random, grounds: Grounds) -> Picture:
    """A part of a photo from near, dim or out of focus, or a thing on a plain ground."""
    source = rng.choice(grounds.photos) if grounds.photos else grounds.photo(rng, (640, 480))
    if rng.random() < 0.6:
        return _studio(source, rng)
    part = rng.uniform(0.25, 0.7)
    width, height = int(source.width * part), int(source.height * part * rng.uniform(0.7, 1.0))
    x, y = rng.randint(0, source.width - width), rng.randint(0, source.height - height)
    near = source.crop((x, y, x + width, y + height)).resize((width * 2, height * 2), Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        near = near.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    return ImageEnhance.Brightness(near).enhance(rng.uniform(0.4, 1.3)) if rng.random() < 0.3 else near


def _studio(source: Picture, rng: random.Random) -> Picture:
    """The thing in the middle of a photo, cut out and lit on paper of one colour."""
    thing, mask = source, _mask(source)
    size = (rng.randint(360, 800), rng.randint(360, 800))
    room = rng.uniform(0.45, 0.95)
    scale = min(size[0] * room / thing.width, size[1] * room / thing.height)
    fitted = max(8, int(thing.width * scale)), max(8, int(thing.height * scale))
    thing, mask = thing.resize(fitted, Image.Resampling.BICUBIC), mask.resize(fitted, Image.Resampling.BILINEAR)
    ground = _paper(rng, size)
    places = [
        (rng.randint(0, max(0, size[0] - fitted[0])), rng.randint(0, max(0, size[1] - fitted[1])))
        for _ in range(rng.choice((1, 1, 1, 2, 5)))
    ]
    if rng.random() < 0.2:  # many of the same in rows, seen from above
        columns, rows = rng.randint(2, 5), rng.randint(2, 5)
        fitted = max(8, int(size[0] / columns * 0.8)), max(8, int(size[1] / rows * 0.8))
        thing, mask = thing.resize(fitted, Image.Resampling.BICUBIC), mask.resize(fitted, Image.Resampling.BILINEAR)
        places = [(size[0] * c // columns + 6, size[1] * r // rows + 6) for r in range(rows) for c in range(columns)]
    for at in places:
        if rng.random() < 0.7:
            shadow = mask.filter(ImageFilter.GaussianBlur(rng.uniform(4, 18))).point(lambda v: v // 2)
            fall = at[0] + rng.randint(-14, 14), at[1] + rng.randint(0, 20)
            ground.paste(Image.new("RGB", fitted, (30, 28, 30)), fall, shadow)
        ground.paste(thing, at, mask)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0.5, 5), (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(ground, np.float32) + noise, 0, 255).astype(np.uint8))


def _paper(rng: random.Random, size: tuple[int, int]) -> Picture:
    """White, grey, pastel or vivid, with light that falls off to one side or all around."""
    greys = ((250, 250, 250), (90, 90, 90), (25, 25, 28))
    base = rng.choice((*greys, colour(rng, 190, 250), vivid(rng), colour(rng, 110, 220)))
    plain = Image.new("RGB", size, base)
    if rng.random() < 0.5:
        return Image.blend(plain, gradient(rng, size), rng.uniform(0.05, 0.25))
    dim = Image.blend(plain, Image.new("RGB", size), rng.uniform(0.05, 0.4))
    return Image.composite(dim, plain, Image.radial_gradient("L").resize(size))


def _mask(source: Picture) -> Picture:
    """Where the thing in the middle is: GrabCut (Rother et al., 2004) from a rectangle."""
    small = source.copy()
    small.thumbnail((_CUT_SIDE, _CUT_SIDE))
    pixels = np.ascontiguousarray(np.asarray(small)[..., ::-1])
    width, height = small.size
    state = np.zeros((height, width), np.uint8)
    inside = (max(2, width // 12), max(2, height // 12), width - max(4, width // 6), height - max(4, height // 6))
    cv2.setRNGSeed(1)
    cv2.grabCut(pixels, state, inside, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_RECT)
    kept = (np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)) * 255).astype(np.uint8)
    if kept.mean() < 10:  # nothing stands out: an oval
        cv2.ellipse(kept, (width // 2, height // 2), (width // 3, height // 3), 0, 0, 360, 255, -1)
    return Image.fromarray(cv2.GaussianBlur(cv2.medianBlur(kept, 5), (3, 3), 0))
