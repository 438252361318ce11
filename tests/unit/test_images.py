"""Encoded bytes to pixels: formats, orientation, transparency, animations, limits, hostile bytes."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from moderation.errors import ConfigError, InputError
from moderation.images.decode import decode, sample_frames
from moderation.images.hashing import pdq
from moderation.images.limits import Limits
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.images.views import View

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 40), (40, 60, 210), (128, 128, 128)
LOSSLESS = {"PNG", "BMP", "TIFF", "GIF"}
FINDS = Path(__file__).parents[1] / "bench" / "seeds"
"""Inputs that `make fuzz` found."""


def quadrants(width: int = 120, height: int = 80) -> Image.Image:
    """Red and green above, blue and grey below: shows every mirroring, turning and swap of channels."""
    picture = Image.new("RGB", (width, height))
    for index, colour in enumerate((RED, GREEN, BLUE, GREY)):
        x, y = (index % 2) * width // 2, (index // 2) * height // 2
        picture.paste(colour, (x, y, x + width // 2, y + height // 2))
    return picture


def encode(picture: Image.Image, kind: str, **settings_: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **settings_)
    return target.getvalue()


def corners(pixels: np.ndarray[Any, Any]) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quadrants."""
    h, w = pixels.shape[:2]
    return [tuple(int(v) for v in pixels[y, x]) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


def close(found: list[tuple[int, ...]], tolerance: int) -> bool:
    wanted = [RED, GREEN, BLUE, GREY]
    return all(abs(a - b) <= tolerance for f, w in zip(found, wanted, strict=True) for a, b in zip(f, w, strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_gives_the_same_picture(kind: str) -> None:
    """Promise: all seven formats decode to RGB, the right way round."""
    found = decode(encode(quadrants(), kind), Limits())
    assert (found.format, found.width, found.height, found.frame_count) == (kind, 120, 80, 1)
    assert close(corners(found.frames[0]), 0 if kind in LOSSLESS else 12)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    """Promise: however a phone was held, the networks see the picture upright, and sizes are those upright."""
    undo = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = quadrants()
    for step in undo[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encode(stored, kind, exif=exif), Limits())
    assert (found.width, found.height) == (120, 80)
    assert close(corners(found.frames[0]), 20)


def test_transparency_is_shown_over_white() -> None:
    """Promise: a transparent ground is white, as viewers show it; RGBA, palette and grey with alpha alike."""
    picture = quadrants().convert("RGBA")
    picture.putalpha(0)
    for shown in (picture, picture.convert("LA"), picture.quantize()):
        pixels = decode(encode(shown, "PNG"), Limits()).frames[0]
        assert pixels.min() >= 250, shown.mode


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG"), ("L", "PNG"), ("1", "PNG")]
)
def test_other_colour_spaces_become_rgb(mode: str, kind: str) -> None:
    """Promise: CMYK, palette, grey and bilevel pictures are seen by the networks as people see them."""
    picture = quadrants().convert(mode)
    pixels = decode(encode(picture, kind), Limits()).frames[0]
    expected = np.asarray(picture.convert("RGB"))
    assert np.abs(np.array(corners(pixels)) - np.array(corners(expected))).max() <= 12


def test_sixteen_bits_become_eight() -> None:
    """Promise: a 16-bit picture keeps its greys instead of being cut off at 255."""
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (16, 1))
    pixels = decode(encode(Image.fromarray(ramp), "PNG"), Limits()).frames[0]
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_frames_of_an_animation_are_sampled(kind: str) -> None:
    """Promise: first and last frame are always among those examined, and the file's count is reported."""
    frames = [Image.new("RGB", (40, 40), (20 * i, 0, 0)) for i in range(10)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    found = decode(data, Limits(examined_frames=4))
    assert found.frame_count == 10
    assert found.indexes == [0, 3, 6, 9]
    assert [round(int(f[20, 20, 0]) / 20) for f in found.frames] == [0, 3, 6, 9]


@given(count=st.integers(1, 5000), examined=st.integers(1, 64))
def test_sampled_frames_are_spread(count: int, examined: int) -> None:
    """Promise: as many as allowed, each once, in order, from the first to the last."""
    indexes = sample_frames(count, examined)
    assert len(indexes) == min(count, examined)
    assert indexes == sorted(set(indexes))
    assert indexes[0] == 0
    assert indexes[-1] == (count - 1 if examined > 1 else 0)


@pytest.mark.parametrize(
    ("limits", "reason", "value"),
    [
        (Limits(max_bytes=100), "too_many_bytes", None),
        (Limits(max_pixels=9599), "too_many_pixels", 9600),
        (Limits(max_aspect=1), "aspect_ratio", None),
    ],
)
def test_limits_refuse_with_limit_and_value(limits: Limits, reason: str, value: int | None) -> None:
    """Promise: a refusal carries the limit and the value, not only a sentence."""
    with pytest.raises(InputError) as caught:
        decode(encode(quadrants(), "PNG"), limits)
    assert caught.value.reason == reason
    assert caught.value.limit is not None
    if value:
        assert caught.value.value == value


def test_too_many_frames_are_refused() -> None:
    """Promise: an animation cannot hide endless work."""
    frames = [Image.new("L", (8, 8), i) for i in range(6)]
    with pytest.raises(InputError, match="5"):
        decode(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), Limits(max_frames=5))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_large_picture_is_reduced(kind: str) -> None:
    """Promise: the networks never get more than max_side; RESULT still speaks of the full size."""
    found = decode(encode(quadrants(3000, 1500), kind), Limits(max_side=1000))
    assert found.frames[0].shape == (500, 1000, 3)
    assert (found.width, found.height) == (3000, 1500)
    assert close(corners(found.frames[0]), 12)


@pytest.mark.parametrize(
    "parameters", [{"max_bytes": "much"}, {"max_pixels": "0"}, {"safety_view": "320x200 letterbox"}]
)
def test_wrong_settings_are_named(parameters: dict[str, str]) -> None:
    """Promise: a typing error in a configuration stops the load with the parameter's name."""
    with pytest.raises(ConfigError, match=next(iter(parameters))):
        PreprocessConfig.from_parameters(parameters)


def test_the_same_picture_has_nearly_the_same_hash() -> None:
    """Promise: PDQ survives re-encoding and resizing (distance ≤ 31 of 256), and other pictures are far away."""
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)
    other = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((640, 480), Image.Resampling.BICUBIC)

    def bits(data: bytes) -> int:
        return int(pdq(decode(data, Limits()).frames[0])[0], 16)

    first = bits(encode(picture, "PNG"))
    assert (first ^ bits(encode(picture.resize((320, 240)), "JPEG", quality=70))).bit_count() <= 31
    assert (first ^ bits(encode(other, "PNG"))).bit_count() > 60


@pytest.mark.parametrize("path", sorted(FINDS.glob("picture-*")), ids=lambda path: path.name)
def test_what_fuzzing_found_stays_mended(path: Path) -> None:
    """Promise: inputs that once broke the preprocessor are pictures or are refused, with a reason."""
    with suppress(InputError):
        assert preprocess(path.read_bytes(), PreprocessConfig()).text.shape[3] == 3


def test_everything_the_pipeline_needs_comes_out() -> None:
    """Promise: shapes and facts of the contract."""
    found = preprocess(encode(quadrants(), "PNG"), PreprocessConfig())
    assert found.safety.shape == (1, 320, 320, 3)
    assert found.classifier.shape == (1, 224, 224, 3)
    assert found.text.shape == (1, 80, 120, 3)
    assert found.safety[0, -1, -1].tolist() == [0, 0, 0], "the letterbox is black below"
    assert len(found.info["sha256"]) == len(found.info["pdq"]) == 64


SEEDS = [encode(quadrants(48, 32), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]


@given(
    seed=st.sampled_from(SEEDS),
    cut=st.integers(0, 400),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_decode_or_are_refused(seed: bytes, cut: int, edits: list[tuple[int, int]]) -> None:
    """Promise: whatever happened to a file, the answer is pixels or an InputError with a reason."""
    data = bytearray(seed[: len(seed) - cut] if cut < len(seed) else b"")
    for place, value in edits:
        if data:
            data[place % len(data)] = value
    try:
        found = decode(bytes(data), Limits())
        assert found.frames[0].dtype == np.uint8
    except InputError as error:
        assert error.reason  # noqa: PT017 - decoding may also succeed


def test_a_view_through_a_larger_square_is_reduced_twice() -> None:
    """Promise: the classifier sees pictures as its training did: stored at one side, then reduced to another."""
    frame = np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8)
    once, twice = (View.parse("view", text) for text in ("224x224 stretch", "224x224 stretch through 256"))
    stored = View(256, 256, letterbox=False).apply(frame)
    assert (twice.apply(frame) == once.apply(stored)).all()
    assert twice.apply(frame).shape == (224, 224, 3)


@pytest.mark.parametrize("text", ["224x224 letterbox through 256", "224x224 stretch through 0", "224x224 through 256"])
def test_an_impossible_view_is_refused_with_the_forms(text: str) -> None:
    """Promise: the message names the setting and what is allowed."""
    with pytest.raises(ConfigError, match=r"classifier_view .*stretch through <side>"):
        View.parse("classifier_view", text)
