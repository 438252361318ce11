"""Reading text: regions, crops, characters."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigError, InputError, StageError
from moderation.ocr.boxes import clockwise, find_quads
from moderation.ocr.crops import bucket_width, buckets, cut
from moderation.ocr.ctc import decode
from moderation.ocr.read import OcrConfig, pad_strip, read, resize_for_detector

CHARACTERS = ["", "a", "b", "c", " "]


def ctc(indices: list[int]) -> tuple[str, float]:
    return decode(np.array(indices, np.int32), np.full(len(indices), 0.5, np.float32), CHARACTERS)


def test_repeats_and_blanks_are_dropped() -> None:
    """Promise: greedy CTC: a repeated class is one character unless a blank stands between."""
    assert ctc([0, 1, 1, 0, 1, 2, 2, 4, 3, 0]) == ("aab c", 0.5)
    assert ctc([0, 0]) == ("", 0.0)


@given(text=st.text(alphabet="abc ", max_size=30), blanks=st.integers(1, 3), repeats=st.integers(1, 3))
def test_decoding_undoes_encoding(text: str, blanks: int, repeats: int) -> None:
    """Promise: characters that are repeated in time and kept apart by blanks come back."""
    steps = [i for c in text for i in [CHARACTERS.index(c, 1)] * repeats + [0] * blanks]
    assert ctc([0, *steps])[0] == text


@pytest.mark.parametrize(("indices", "scores"), [([9], [0.5]), ([-1], [0.5]), ([1], [float("nan")])])
def test_a_sick_recogniser_is_noticed(indices: list[int], scores: list[float]) -> None:
    """Promise: classes without a character and NaN are a failed stage, never text."""
    with pytest.raises(StageError):
        decode(np.array(indices, np.int32), np.array(scores, np.float32), CHARACTERS)


def quads(probability: np.ndarray[Any, Any], width: int, height: int) -> Any:
    return find_quads(probability, width, height, threshold=0.3, box_threshold=0.5, unclip_ratio=1.6)


def test_regions_become_quads_in_reading_order() -> None:
    """Promise: two words on one line and one below, in the picture's own pixels, grown to the letters' edges."""
    probability = np.zeros((128, 256), np.uint8)
    for x, y in ((150, 22), (20, 20), (20, 80)):
        probability[y : y + 10, x : x + 60] = 230
    found = quads(probability, 512, 256)
    assert found[:, 0, 0].round(-1).tolist() == [30, 290, 30]
    assert (found[:, 0, 1] < (44, 48, 164)).all(), "the quads start above the shrunken regions"
    assert (found[:, 1, 0] - found[:, 0, 0] > 120).all()


def test_weak_and_tiny_regions_are_no_text() -> None:
    """Promise: noise is not read."""
    probability = np.zeros((64, 64), np.uint8)
    probability[10:12, 10:12] = 255
    probability[30:40, 10:50] = 100
    assert quads(probability, 64, 64).shape == (0, 4, 2)


@given(st.permutations([(0.0, 0.0), (10.0, 1.0), (9.0, 6.0), (-1.0, 5.0)]))
def test_corners_are_put_in_order(corners: list[tuple[float, float]]) -> None:
    """Promise: top left, top right, bottom right, bottom left, wherever the contour began."""
    assert clockwise(np.array(corners)).tolist() == [[0, 0], [10, 1], [9, 6], [-1, 5]]


def test_a_crop_is_upright() -> None:
    """Promise: the part inside the quad, made rectangular; high narrow crops are turned."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:30, 10:50] = (255, 0, 0)
    crop = cut(pixels, np.array([[10, 20], [50, 20], [50, 30], [10, 30]], np.float32))
    assert crop.shape == (10, 40, 3)
    assert crop[..., 0].min() > 200
    assert cut(pixels, np.array([[10, 5], [20, 5], [20, 50], [10, 50]], np.float32)).shape == (10, 45, 3)


@given(wanted=st.integers(1, 5000))
def test_strips_fit_their_bucket(wanted: int) -> None:
    """Promise: a strip is never squeezed: its bucket is at least as wide, and one of a few widths."""
    widths = (96, 320, 960)
    width = bucket_width(wanted, widths)
    assert width >= wanted
    assert width in widths or width % 960 == 0


def test_buckets_hold_each_crop_once() -> None:
    """Promise: no line is lost or read twice; the padding is grey."""
    crops = [np.full((20, w, 3), 255, np.uint8) for w in (10, 60, 61, 500, 30)]
    found = buckets(crops, (96, 320), 3840, 2)
    assert sorted(i for b in found for i in b.indexes) == [0, 1, 2, 3, 4]
    assert all(len(b.indexes) <= 2 and b.pixels.shape[1] == 48 for b in found)
    assert found[0].pixels[0, 0, -1].tolist() == [127, 127, 127]


def test_a_strip_of_text_gets_room_above_and_below() -> None:
    """Promise: a single line of text as a whole picture is still found by the detector."""
    padded, above = pad_strip(np.full((20, 400, 3), 255, np.uint8))
    assert padded.shape[0] == 20 + 2 * above
    assert above > 0
    assert pad_strip(np.zeros((100, 200, 3), np.uint8))[1] == 0


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_the_detector_gets_multiples_of_32_within_bounds(height: int, width: int) -> None:
    """Promise: no shape of a picture makes the detector's work unbounded."""
    resized = resize_for_detector(np.zeros((height, width, 3), np.uint8), OcrConfig())
    assert resized.shape[0] % 32 == resized.shape[1] % 32 == 0
    assert max(resized.shape) <= 2304


def test_a_picture_without_text_has_no_lines() -> None:
    """Promise: nothing found is an empty list, and the recogniser is not asked."""

    async def detect(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.zeros(pixels.shape[:3], np.uint8)

    async def recognise(pixels: np.ndarray[Any, Any]) -> Any:
        raise AssertionError("nothing to recognise")

    picture = np.zeros((64, 64, 3), np.uint8)
    assert asyncio.run(read(picture, detect, recognise, OcrConfig(), CHARACTERS)) == []
    with pytest.raises(InputError, match="PIXELS"):
        asyncio.run(read(np.zeros((64, 64), np.uint8), detect, recognise, OcrConfig(), CHARACTERS))


@pytest.mark.parametrize(
    "parameters", [{"batch": "many"}, {"batch": "0"}, {"widths": "96,x"}, {"threshold": "2"}, {"min_side": "9000"}]
)
def test_wrong_ocr_settings_are_named(parameters: dict[str, str]) -> None:
    """Promise: a typing error in a configuration stops the load with the parameter's name."""
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        OcrConfig.from_parameters(parameters)
