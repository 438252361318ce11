"""Decoding: header first, then only the frames that are examined, reduced while decoding where the format can."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError

from moderation.errors import InputError
from moderation.images.formats import PILLOW_FORMATS, is_jpeg, unsupported
from moderation.images.limits import Limits
from moderation.images.scans import count_scans

Pixels = npt.NDArray[np.uint8]

_WHITE: Final = 255
_NUMBER: Final = re.compile(r"\d+")
_UPRIGHT: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: p.transpose(1, 0, 2)[::-1],
}
"""EXIF orientation (Exif 2.32, tag 0x0112) to the view that makes it upright."""


@dataclass(frozen=True)
class Decoded:
    """An image ready for the networks.

    Attributes:
        frames: examined frames, RGB, 0-255, upright, all of one size, longer side at most `Limits.max_side`.
        indexes: which frames of the file these are.
        format: one of `formats.ACCEPTED`.
        width: of the full, upright image.
        height: of the full, upright image.
        frame_count: frames in the file.
    """

    frames: list[Pixels]
    indexes: list[int]
    format: str
    width: int
    height: int
    frame_count: int


def decode(data: bytes, limits: Limits) -> Decoded:
    """Decode one encoded image within limits.

    Raises:
        InputError: the file is empty, too large, of an unknown format, broken or truncated; `reason` says which.
    """
    limits.check_bytes(len(data))
    with _refusals(data, limits), Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
        name = _format_name(image.format)
        limits.check_size(*image.size)  # before anything else: Pillow decodes a PNG to look for its EXIF
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # whatever else has a size in this file
        if is_jpeg(data):
            limits.check_scans(count_scans(data, limits.max_scans))
        orientation = _orientation(image)
        turned = orientation >= 5
        width, height = image.size[::-1] if turned else image.size
        if is_jpeg(data) and (frame := _fast_jpeg(data, limits.max_side)) is not None:
            frame = _upright(frame, orientation)
            return Decoded([frame], [0], name, width, height, 1)
        count = 1 if is_jpeg(data) else int(getattr(image, "n_frames", 1))
        indexes = sample_frames(count, limits.examined_frames)
        limits.check_frames(count, indexes[-1], *image.size)
        frames = []
        for index in indexes:
            if count > 1:
                image.seek(index)
                limits.check_size(*image.size)  # pages of a TIFF differ in size
            elif name == "JPEG":
                image.draft("RGB", _reduced(image.size, limits.max_side))
            frames.append(_upright(_reduce(_to_rgb(_shrink(image, limits.max_side)), limits.max_side), orientation))
    first = frames[0].shape
    frames = [f if f.shape == first else cv2.resize(f, (first[1], first[0])).astype(np.uint8) for f in frames]
    return Decoded(frames, indexes, name, width, height, count)


def sample_frames(count: int, examined: int) -> list[int]:
    """Evenly spaced frame indexes: the first always, the last when more than one is examined."""
    if count <= examined:
        return list(range(count))
    if examined == 1:
        return [0]
    return [round(i * (count - 1) / (examined - 1)) for i in range(examined)]


@contextmanager
def _refusals(data: bytes, limits: Limits) -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into one InputError that carries none of them."""
    # Our own limit is checked on the header, with a better message. Pillow's own counts for what the header does not
    # say: frames of a GIF that are larger than its canvas, tiles of a TIFF.
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata of files that decode well
            yield
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(error, limits) from None
    except UnidentifiedImageError:
        raise unsupported(data) from None
    except MemoryError:
        raise InputError("decoding the image needs more memory than there is", reason="out_of_memory") from None
    except Exception as error:
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            raise InputError(
                "the image is truncated: its data ends before its last row; send the whole file", reason="truncated"
            ) from None
        raise InputError(
            f"the image cannot be decoded ({type(error).__name__}): its data is broken", reason="corrupt"
        ) from None


def _bomb(error: Exception, limits: Limits) -> InputError:
    """Pillow's refusal of a size in our words; it names the number of pixels first."""
    found = _NUMBER.search(str(error))
    return InputError(
        f"the image, or a frame of it, has {found[0] if found else 'too many'} pixels; at most {limits.max_pixels} are "
        "accepted",
        reason="too_many_pixels",
        limit=limits.max_pixels,
        value=int(found[0]) if found else None,
    )


def _format_name(name: str | None) -> str:
    # Pillow calls a JPEG with further pictures behind it, as phones write it, MPO
    return {"MPO": "JPEG", "DIB": "BMP"}.get(name or "", name or "")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; 1 when there is none or the metadata is broken."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata must not refuse good pixels
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _fast_jpeg(data: bytes, max_side: int) -> Pixels | None:
    """libjpeg-turbo, DCT-scaled to the smallest size that covers `max_side`; None for other colour spaces."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    if colours not in ("YCbCr", "Gray", "RGB"):
        return None  # CMYK and YCCK need Pillow's handling of Adobe's inversion
    small_width, small_height = _reduced((width, height), max_side)
    bound = (
        {} if (small_width, small_height) == (width, height) else {"min_width": small_width, "min_height": small_height}
    )
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False, **bound)
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise InputError(
                "the image is truncated: its data ends before its last row; send the whole file", reason="truncated"
            ) from None
        return None  # Pillow decodes some files whose warnings libjpeg-turbo's wrapper treats as errors
    return _reduce(pixels, max_side)


def _reduced(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Width and height after reduction to `max_side`, never below 1."""
    longer = max(size)
    if longer <= max_side:
        return size
    return max(1, round(size[0] * max_side / longer)), max(1, round(size[1] * max_side / longer))


def _reduce(pixels: Pixels, max_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    target = _reduced((width, height), max_side)
    if target == (width, height):
        return pixels
    return np.asarray(cv2.resize(pixels, target, interpolation=cv2.INTER_AREA), np.uint8)


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    """A whole fraction of a very large picture, so that only one copy in full size is ever in memory."""
    factor = max(image.size) // max_side
    return image.reduce(factor) if factor > 1 and image.mode in ("L", "RGB") else image


def _to_rgb(image: Image.Image) -> Pixels:
    """Any Pillow mode to RGB; transparency over white, more than 8 bits scaled to 8."""
    image.load()  # a frame's real mode and size are known then: one of a GIF may reach beyond its canvas
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image, np.uint16) >> 8)
    if image.mode in ("I", "F"):
        return _grey(_stretch(np.asarray(image, np.float64)))
    if image.has_transparency_data:
        # white behind: what most viewers show, and dark text stays readable
        rgba = image.convert("RGBA")
        image = Image.new("RGB", rgba.size, (_WHITE,) * 3)
        image.paste(rgba, mask=rgba.getchannel("A"))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _grey(values: npt.NDArray[np.generic]) -> Pixels:
    return np.repeat(values.astype(np.uint8)[:, :, None], 3, axis=2)


def _stretch(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scientific greys have no fixed range: 16-bit data is scaled by its type, everything else by its own extremes."""
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and 255 < high <= 65535:
        return finite / 257
    if low >= 0 and high <= 255 and high > 1:
        return finite
    return (finite - low) * (255 / (high - low)) if high > low else finite * 0


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels
