"""Reading text: regions, crops, characters."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigError, InputError, StageError
from moderation.ocr.area import Area, find_area
from moderation.ocr.boxes import clockwise, find_quads
from moderation.ocr.crops import bucket_width, buckets, cut
from moderation.ocr.ctc import decode
from moderation.ocr.read import OcrConfig, read, text_area
from moderation.ocr.resize import pad_strip, scaled

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
def test_the_detector_gets_few_sizes_within_bounds(height: int, width: int) -> None:
    """Promise: no shape of a picture makes the detector's work unbounded, and sizes are multiples of one step."""
    config = OcrConfig()
    picture = np.zeros((height, width, 3), np.uint8)
    resized = scaled(picture, config.scale(picture), config.side_step)
    assert resized.shape[0] % config.side_step == resized.shape[1] % config.side_step == 0
    assert max(resized.shape) <= config.max_side
    # rounding each side up by half a step, or a thin picture up to one step
    assert resized.shape[0] * resized.shape[1] <= 1.2 * config.max_pixels


MARKED = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=1, max_size=5)


@given(MARKED, st.integers(40, 2000), st.integers(40, 2000))
def test_the_area_holds_all_that_looks_like_text(places: list[tuple[int, int]], width: int, height: int) -> None:
    """Promise: what is marked lies inside with room around it, and the area inside the picture."""
    probability = np.zeros((40, 60), np.uint8)
    for y, x in places:
        probability[y, x] = 200
    area = find_area(probability, width, height, threshold=0.3, faint=0.1, margin=0.1, most=0.6)
    assert area is not None
    room = 0.1 * min(width, height) - 1e-6
    for y, x in places:
        assert area.left <= max(0, x / 60 * width - room)
        assert area.right >= min(width, (x + 1) / 60 * width + room)
        assert area.top <= max(0, y / 40 * height - room)
        assert area.bottom >= min(height, (y + 1) / 40 * height + room)
    assert 0 <= area.left < area.right <= width
    assert 0 <= area.top < area.bottom <= height
    assert area == Area(0, 0, width, height) or (
        (area.right - area.left) * (area.bottom - area.top) <= 0.6 * width * height
    )


def test_faint_pixels_alone_are_no_text_and_belong_to_it_otherwise() -> None:
    """Promise: one sure pixel asks for a reading, of the unsure ones as well."""
    probability = np.zeros((40, 60), np.uint8)
    probability[5, 5] = 40
    settings = {"threshold": 0.3, "faint": 0.1, "margin": 0.0, "most": 0.6}
    assert find_area(probability, 600, 400, **settings) is None
    probability[10, 20] = 100
    assert find_area(probability, 600, 400, **settings) == Area(50, 50, 210, 110)


def test_only_the_part_with_text_is_read_and_lines_keep_their_place() -> None:
    """Promise: after a look at the small picture, the detector gets a part of it, at the scale of the whole; the quads
    are those of the whole picture."""
    picture = np.zeros((1000, 1400, 3), np.uint8)
    picture[600:640, 900:1100] = 255
    sizes = []

    async def detect(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        sizes.append(pixels.shape[1:3])
        return np.where(pixels[..., 0] > 100, 255, 0).astype(np.uint8)

    async def recognise(pixels: np.ndarray[Any, Any]) -> Any:
        steps = np.tile(np.array([1, 0], np.int32), (len(pixels), 1))
        return steps, np.ones_like(steps, np.float32)

    found = {
        first: asyncio.run(read(picture, detect, recognise, OcrConfig(), CHARACTERS, check_first=first))
        for first in (False, True)
    }
    full, small, part = sizes
    assert small[0] * small[1] < full[0] * full[1] / 3
    assert part[0] * part[1] < full[0] * full[1] / 2
    assert [line.text for line in found[True]] == [line.text for line in found[False]] == ["a"]
    np.testing.assert_allclose(found[True][0].quad, found[False][0].quad, atol=12)
    assert asyncio.run(text_area(np.zeros_like(picture), detect, OcrConfig())) is None


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
