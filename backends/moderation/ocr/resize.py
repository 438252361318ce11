"""A picture as the text-detector gets it: sides within limits, and few different ones."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
STRIDE: Final = 32
"""The detector halves its input five times."""
_STRIP_HEIGHT: Final = 30
_STRIP_RATIO: Final = 8


def pad_strip(pixels: Pixels) -> tuple[Pixels, int]:
    """Black above and below a picture that is a single strip of text, which the detector would miss; and how much.

    As RapidOCR's vertical padding (rapidocr/utils/process_img.py `add_round_letterbox`, config `width_height_ratio`).
    """
    height, width = pixels.shape[:2]
    if height > _STRIP_HEIGHT and width / height <= _STRIP_RATIO:
        return pixels, 0
    above = abs(max(width // _STRIP_RATIO, _STRIP_HEIGHT) * 2 - height) // 2
    return np.asarray(cv2.copyMakeBorder(pixels, above, above, 0, 0, cv2.BORDER_CONSTANT), np.uint8), above


def fit_scale(pixels: Pixels, min_side: int, max_side: int, max_pixels: int) -> float:
    """Factor that brings the shorter side up to `min_side`, within the limits of the longer one and of the area."""
    height, width = pixels.shape[:2]
    wanted = max(1.0, min_side / min(height, width))
    return min(wanted, max_side / max(height, width), math.sqrt(max_pixels / (height * width)))


def scaled(pixels: Pixels, scale: float, step: int, *, average: bool = False) -> Pixels:
    """Resized, each side to a multiple of `step` pixels.

    Args:
        pixels: [H, W, 3].
        scale: factor.
        step: a multiple of `STRIDE`. The engine prepares itself once for each size, which takes as long as several
            runs; greater steps make fewer sizes.
        average: of areas, for much smaller pictures; else bilinear.
    """
    height, width = (max(step, round(side * scale / step) * step) for side in pixels.shape[:2])
    how = cv2.INTER_AREA if average else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
