"""QR and bar codes: found and decoded."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from moderation.images.codes import MAX_CODES, UNREAD, find_codes

Pixels = npt.NDArray[np.uint8]


def drawn(kind: str, text: str, scale: int = 4) -> Pixels:
    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    grey = np.array(code.to_image(scale=scale))
    return np.repeat(np.pad(grey, 24, constant_values=255)[..., np.newaxis], 3, axis=2)


def on_page(code: Pixels, width: int, height: int, x: int, y: int) -> Pixels:
    page = np.full((height, width, 3), 235, np.uint8)
    page[y : y + code.shape[0], x : x + code.shape[1]] = code
    return page


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("QRCode", "https://example.org/a?b=c"),
        ("DataMatrix", "part 4711"),
        ("Aztec", "ticket"),
        ("PDF417", "boarding pass"),
        ("EAN13", "4006381333931"),
        ("Code128", "ABC-12345"),
    ],
)
def test_codes_are_decoded_with_their_place(kind: str, text: str) -> None:
    """Promise: kind, text and corners of a code, in pixels of the frame."""
    code = drawn(kind, text)
    (found,) = find_codes(on_page(code, 1500, 900, 300, 200))
    assert (found["format"], found["text"]) == (kind, text)
    x, y = np.mean(found["quad"], axis=0)
    assert abs(x - 300 - code.shape[1] / 2) < 40
    assert abs(y - 200 - code.shape[0] / 2) < 40


def test_a_code_in_a_large_picture_keeps_its_place() -> None:
    """Promise: large pictures are searched small, and corners are those of the frame as given."""
    code = drawn("QRCode", "large", scale=12)
    (found,) = find_codes(on_page(code, 2000, 1500, 1200, 700))
    x, y = np.mean(found["quad"], axis=0)
    assert abs(x - 1200 - code.shape[1] / 2) < 20
    assert abs(y - 700 - code.shape[0] / 2) < 20


def test_bars_that_cannot_be_read_are_still_seen() -> None:
    """Promise: blur does not hide a bar code."""
    code = drawn("Code128", "SECRET 42", scale=3)
    page = on_page(np.asarray(cv2.resize(code, None, fx=1, fy=2), np.uint8), 1000, 700, 100, 100)
    blurred = np.asarray(cv2.GaussianBlur(page, (0, 0), 4), np.uint8)
    assert not zxingcpp.read_barcodes(blurred)
    (found,) = find_codes(blurred)
    assert (found["format"], found["text"]) == (UNREAD, "")


def test_a_bar_code_is_reported_once_and_in_its_size() -> None:
    """Promise: the place of a bar code is all of its bars, not the line along which it was read."""
    code = drawn("Code128", "SECRET 42", scale=3)
    tall = np.asarray(cv2.resize(code, None, fx=1, fy=2), np.uint8)
    (found,) = find_codes(on_page(tall, 1000, 700, 100, 100))
    assert cv2.contourArea(np.array(found["quad"], np.float32)) > 0.5 * tall.shape[0] * tall.shape[1]


def test_a_sheet_full_of_codes_is_bounded() -> None:
    """Promise: no picture makes an endless list."""
    tile = drawn("QRCode", "x", scale=2)
    found = find_codes(np.tile(tile, (8, 8, 1)))
    assert 0 < len(found) <= MAX_CODES


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 300), height=st.integers(1, 300))
def test_no_picture_makes_the_search_fail(seed: int, width: int, height: int) -> None:
    """Promise: whatever the pixels, the answer is a list."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    assert isinstance(find_codes(pixels), list)
