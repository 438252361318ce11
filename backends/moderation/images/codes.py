"""QR and bar codes in a picture: decoded where they can be read, found where they can only be seen."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

SIDE: Final = 1000
"""Longer side that is searched. Measured on 105 photos of codes and 740 other pictures: 2 ms to find bars, 4 ms to
decode; larger pictures cost more and find no more."""
MAX_CODES: Final = 16
"""Codes that are reported of one frame; a sheet of hundreds is no more telling."""
MAX_TEXT: Final = 4296
"""Characters of a code's text; the largest QR code holds so many (ISO/IEC 18004, version 40-L)."""
UNREAD: Final = "unread"
"""`format` of bars that were seen and not decoded."""
_CUT_SIDE: Final = 480
"""Width to which found bars are enlarged for a second try at decoding."""

Code = dict[str, Any]
Quad = npt.NDArray[np.float32]


def find_codes(frame: npt.NDArray[np.uint8]) -> list[Code]:
    """Codes of one frame, decoded ones first.

    Bars are found by OpenCV's detector (cv2.barcode, Kuang et al.'s gradient coherence), which sees blurred and small
    ones that cannot be decoded; those are reported as `unread` without text.

    Args:
        frame: [h, w, 3] RGB.

    Returns:
        For each code `format` (ZXing's name such as `QRCode`, or `unread`), `text` and `quad`, four corners in pixels
        of the frame.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    scale = max(1.0, max(grey.shape) / SIDE)
    if scale > 1:
        size = max(1, round(grey.shape[1] / scale)), max(1, round(grey.shape[0] / scale))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    found = [(barcode, _corners(barcode)) for barcode in zxingcpp.read_barcodes(grey)]
    codes = [_code(barcode, quad, scale) for barcode, quad in found]
    for bars in _bars(grey):
        if any(_inside(bars, quad) for _, quad in found):
            continue
        again = zxingcpp.read_barcodes(_cut(grey, bars))
        codes.append(
            _code(again[0], bars, scale) if again else {"format": UNREAD, "text": "", "quad": _points(bars, scale)}
        )
    return sorted(codes, key=lambda code: code["format"] == UNREAD)[:MAX_CODES]


def _code(barcode: Any, quad: Quad, scale: float) -> Code:
    name = str(barcode.format).rpartition(".")[2].replace(" ", "")
    return {"format": name, "text": barcode.text[:MAX_TEXT], "quad": _points(quad, scale)}


def _corners(barcode: Any) -> Quad:
    place = barcode.position
    corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    return np.array([(corner.x, corner.y) for corner in corners], np.float32)


def _points(quad: Quad, scale: float) -> list[list[float]]:
    return [[round(float(x) * scale, 1), round(float(y) * scale, 1)] for x, y in quad]


def _bars(grey: npt.NDArray[np.uint8]) -> list[Quad]:
    """Corners of every group of parallel bars."""
    if min(grey.shape) < 40:  # the detector's own limit
        return []
    found, corners = cv2.barcode.BarcodeDetector().detect(grey)
    return list(np.asarray(corners, np.float32).reshape(-1, 4, 2)) if found else []


def _inside(bars: Quad, quad: Quad) -> bool:
    """Whether the middle of the bars lies in or near a decoded code."""
    middle = bars.mean(axis=0)
    hull = cv2.convexHull(quad)
    near = 0.5 * float(np.linalg.norm(bars[0] - bars[2]))
    return cv2.pointPolygonTest(hull, (float(middle[0]), float(middle[1])), True) > -near


def _cut(grey: npt.NDArray[np.uint8], bars: Quad) -> npt.NDArray[np.uint8]:
    """The bars upright and enlarged, with a quiet zone around them."""
    middle = bars.mean(axis=0)
    wide = (bars - middle) * 1.25 + middle
    width = max(float(np.linalg.norm(wide[0] - wide[1])), float(np.linalg.norm(wide[3] - wide[2])), 1.0)
    height = max(float(np.linalg.norm(wide[1] - wide[2])), float(np.linalg.norm(wide[0] - wide[3])), 1.0)
    factor = _CUT_SIDE / max(width, height)
    size = max(8, round(width * factor)), max(8, round(height * factor))
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform(wide.astype(np.float32), target)
    return np.asarray(cv2.warpPerspective(grey, matrix, size, borderValue=255), np.uint8)
