"""Digests: SHA-256 of the file, PDQ of what it shows."""

from __future__ import annotations

import hashlib
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import pdqhash

PDQ_SIDE: Final = 512
"""Side that a picture is reduced to before hashing, as its reference implementation does (ThreatExchange, pdq)."""


def sha256(data: bytes) -> str:
    """Lower-case hex digest of the encoded file."""
    return hashlib.sha256(data).hexdigest()


def pdq(pixels: npt.NDArray[np.uint8]) -> tuple[str, int]:
    """PDQ hash and quality.

    Args:
        pixels: [h, w, 3] RGB.

    Returns:
        64 hex digits, and a quality of 0-100; below 50 the picture is too plain to be told from others.
    """
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer > PDQ_SIDE:
        size = (max(1, width * PDQ_SIDE // longer), max(1, height * PDQ_SIDE // longer))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    bits, quality = pdqhash.compute(pixels)
    return np.packbits(np.asarray(bits, np.uint8)).tobytes().hex(), int(quality)
