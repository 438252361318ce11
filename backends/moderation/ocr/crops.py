"""Quads to upright strips of the recogniser's height, in batches of a few fixed widths."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from moderation.contract import RECOGNIZER_HEIGHT as HEIGHT

Pixels = npt.NDArray[np.uint8]
GREY: Final = 127
"""Zero after the recogniser's normalisation, which is what PP-OCR pads with."""
UPRIGHT_RATIO: Final = 1.5
"""A crop that is this much higher than wide is vertical text and is turned (PaddleOCR `get_rotate_crop_image`)."""


def cut(pixels: Pixels, quad: npt.NDArray[np.float32]) -> Pixels:
    """The part of a picture inside a quad, made rectangular.

    Args:
        pixels: [H, W, 3].
        quad: [4, 2] corners in pixels, clockwise from top left.
    """
    top, bottom = np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[3] - quad[2])
    left, right = np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2])
    width, height = max(1, int(max(top, bottom))), max(1, int(max(left, right)))
    # only the part around the quad: warping reads it all
    low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 2, 0)
    high = np.ceil(quad.max(axis=0)).astype(int) + 3
    near = pixels[low[1] : high[1], low[0] : high[0]]
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform((quad - low).astype(np.float32), target)
    crop = cv2.warpPerspective(near, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if height / width >= UPRIGHT_RATIO:
        crop = np.rot90(crop)
    return np.ascontiguousarray(crop, np.uint8)


@dataclass(frozen=True)
class Bucket:
    """Strips of one width.

    Attributes:
        indexes: which crops these are.
        pixels: [n, 48, width, 3].
    """

    indexes: list[int]
    pixels: Pixels


def buckets(crops: Sequence[Pixels], widths: Sequence[int], max_width: int, batch: int) -> list[Bucket]:
    """Crops scaled to the recogniser's height and padded to the next of a few widths.

    Few widths let Triton's dynamic batcher join strips of different requests, and each width is compiled once. A strip
    that is wider than the widest bucket gets the next multiple of it, as RapidOCR gives wide strips their own width.

    Args:
        crops: [h, w, 3] each.
        widths: bucket widths in pixels, ascending.
        max_width: wider strips are squeezed to it, so that a hairline cannot cost a gigabyte.
        batch: most strips in one bucket.
    """
    groups: dict[int, list[tuple[int, Pixels]]] = defaultdict(list)
    for index, crop in enumerate(crops):
        height, width = crop.shape[:2]
        wanted = min(max_width, max(1, math.ceil(HEIGHT * width / height)))
        strip = np.asarray(cv2.resize(crop, (wanted, HEIGHT)), np.uint8)
        groups[bucket_width(wanted, widths)].append((index, strip))
    found = []
    for width, members in sorted(groups.items()):
        for start in range(0, len(members), batch):
            part = members[start : start + batch]
            pixels = np.full((len(part), HEIGHT, width, 3), GREY, np.uint8)
            for row, (_, strip) in enumerate(part):
                pixels[row, :, : strip.shape[1]] = strip
            found.append(Bucket([index for index, _ in part], pixels))
    return found


def bucket_width(wanted: int, widths: Sequence[int]) -> int:
    """The smallest bucket that holds `wanted` pixels, or a multiple of the widest."""
    return next((w for w in widths if w >= wanted), math.ceil(wanted / widths[-1]) * widths[-1])
