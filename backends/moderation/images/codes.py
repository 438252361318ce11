"""QR and bar codes in a picture: decoded where they can be read, found where they can only be seen."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

SIDE: Final = 800
"""Longer side that is searched: at 800 pixels decoding takes 8 ms of one core and finding bars 6 ms, at 1000 pixels 12
and 9."""
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
    bars = _bars(grey)
    found: dict[tuple[str, str], Quad] = {}
    unread = []
    for barcode in zxingcpp.read_barcodes(grey):
        corners = _corners(barcode)
        # a linear code is located along one line of its scan only; the bars around it are its real size
        place = next((quad for quad in bars if _holds(quad, corners)), corners)
        _keep(found, barcode, max(place, corners, key=cv2.contourArea))
    for quad in bars:
        if any(_holds(quad, other) or _holds(other, quad) for other in found.values()):
            continue
        again = zxingcpp.read_barcodes(_cut(grey, quad))
        if again:
            _keep(found, again[0], quad)
        else:
            unread.append({"format": UNREAD, "text": "", "quad": _points(quad, scale)})
    decoded = [{"format": kind, "text": text, "quad": _points(quad, scale)} for (kind, text), quad in found.items()]
    return (decoded + unread)[:MAX_CODES]


def _keep(found: dict[tuple[str, str], Quad], barcode: Any, quad: Quad) -> None:
    """One place for what is read more than once: the largest."""
    name = str(barcode.format).replace("-", "").replace(" ", ""), barcode.text[:MAX_TEXT]
    if name not in found or cv2.contourArea(quad) > cv2.contourArea(found[name]):
        found[name] = quad


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


def _holds(outer: Quad, inner: Quad) -> bool:
    """Whether the middle of one place lies in or close to another."""
    x, y = (float(v) for v in inner.mean(axis=0))
    near = 0.1 * float(np.linalg.norm(outer[0] - outer[2]))
    return bool(cv2.pointPolygonTest(cv2.convexHull(outer), (x, y), True) > -near)


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
