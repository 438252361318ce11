"""Probability map to text quads: post-processing of differentiable binarisation.

Method: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", 2020; details and constants as
in RapidOCR (rapidocr/ch_ppocr_det/utils.py), so that both find the same lines.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

MAX_CANDIDATES: Final = 1000
MIN_SIDE: Final = 3
"""Thinnest region in pixels of the map; two more after it has grown."""
_KERNEL: Final = np.ones((2, 2), np.uint8)
Floats = npt.NDArray[np.float32]


def find_quads(
    probability: npt.NDArray[np.uint8],
    width: int,
    height: int,
    *,
    threshold: float,
    box_threshold: float,
    unclip_ratio: float,
) -> Floats:
    """Quads of the lines of text in a picture, in reading order.

    Args:
        probability: [h, w], 255 = certainly text.
        width: of the picture that the quads are for, in pixels.
        height: likewise.
        threshold: 0-1, a pixel above it is text.
        box_threshold: 0-1, lowest mean probability of a region.
        unclip_ratio: how far a region grows; the network is trained on shrunken ones.

    Returns:
        [n, 4, 2]: x, y of the corners, clockwise from top left.
    """
    mask = cv2.dilate((probability > threshold * 255).astype(np.uint8), _KERNEL)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([width / mask.shape[1], height / mask.shape[0]])
    quads = []
    for contour in contours[:MAX_CANDIDATES]:
        centre, size, angle = cv2.minAreaRect(contour)
        if min(size) < MIN_SIDE:
            continue
        if _mean(probability, cv2.boxPoints((centre, size, angle))) < box_threshold * 255:
            continue
        # offsetting a rectangle with round corners and boxing it again is the same as widening it on every side
        grow = 2 * size[0] * size[1] * unclip_ratio / (2 * (size[0] + size[1]))
        size = (size[0] + grow, size[1] + grow)
        if min(size) < MIN_SIDE + 2:
            continue
        corners = np.round(cv2.boxPoints((centre, size, angle)) * scale)
        quad = np.clip(clockwise(corners), 0, [width - 1, height - 1]).astype(np.float32)
        if min(side(quad, 0, 1), side(quad, 0, 3)) > MIN_SIDE:
            quads.append(quad)
    found = np.array(quads, np.float32).reshape(-1, 4, 2)
    return found[reading_order(found)]


def clockwise(corners: npt.NDArray[Any]) -> Floats:
    """Corners [4, 2] in the order top left, top right, bottom right, bottom left."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    (top_left, bottom_left), (top_right, bottom_right) = (s[np.argsort(s[:, 1], kind="stable")] for s in (left, right))
    return np.array([top_left, top_right, bottom_right, bottom_left], np.float32)


def side(quad: Floats, a: int, b: int) -> int:
    """Whole pixels between two corners."""
    return int(np.linalg.norm(quad[a] - quad[b]))


def _mean(probability: npt.NDArray[np.uint8], corners: Floats) -> float:
    """Mean of the map inside a polygon."""
    height, width = probability.shape
    limit = [width - 1, height - 1]
    low = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), 0, limit).astype(int)
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], 1)
    return float(cv2.mean(probability[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


_SAME_LINE: Final = 10
"""Quads whose tops differ by less, in pixels, are on one line (RapidOCR `sorted_boxes`)."""


def reading_order(quads: Floats) -> list[int]:
    """Indexes of quads [n, 4, 2] from top to bottom; on one line from left to right."""
    order = sorted(range(len(quads)), key=lambda i: (quads[i, 0, 1], quads[i, 0, 0]))
    lines: list[list[int]] = []
    for i in order:
        if lines and quads[i, 0, 1] - quads[lines[-1][-1], 0, 1] < _SAME_LINE:
            lines[-1].append(i)
        else:
            lines.append([i])
    return [i for line in lines for i in sorted(line, key=lambda i: quads[i, 0, 0])]
