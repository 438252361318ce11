"""Pixels to lines of text: detect, cut, recognise, decode. The networks are passed in, so this runs anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from moderation.errors import ConfigError, InputError
from moderation.ocr.boxes import find_quads
from moderation.ocr.crops import buckets, cut
from moderation.ocr.ctc import decode

Pixels = npt.NDArray[np.uint8]
Detect = Callable[[Pixels], Awaitable[npt.NDArray[np.uint8]]]
"""[1, H, W, 3] with sides that are multiples of 32 → [1, H, W], 255 = certainly text."""
Recognise = Callable[[Pixels], Awaitable[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]]
"""[n, 48, W, 3] → best classes and their probabilities, [n, steps] each."""
STRIDE: Final = 32
"""The detector halves its input five times."""


@dataclass(frozen=True)
class OcrConfig:
    """Settings; defaults are RapidOCR's (rapidocr/config.yaml) unless a reason is given.

    Attributes:
        min_side: pictures are enlarged until the shorter side has this many pixels.
        max_side: no side that goes to the detector is longer, so that a strip of paper cannot cost minutes.
        threshold, box_threshold, unclip_ratio: see `find_quads`.
        text_score: 0-1; lines below it are dropped.
        batch: most strips in one call of the recogniser.
        widths: strips are padded to one of these widths in pixels, longer ones to a multiple of the greatest.
        max_width: a strip that would be wider (80 times its height) is squeezed to this.
        check_side: shorter side of the small picture that `check_first` looks at.
        check_threshold: 0-1; a pixel of the small picture that is text with this probability asks for a full reading.
    """

    min_side: int = 736
    max_side: int = 2304
    threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6
    text_score: float = 0.5
    batch: int = 16
    widths: tuple[int, ...] = (96, 160, 240, 320, 480, 640, 960)
    max_width: int = 3840
    check_side: int = 320
    check_threshold: float = 0.3

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> OcrConfig:
        """From a model configuration's parameters; `widths` is a list with commas.

        Raises:
            ConfigError: names the parameter, its value and what is allowed.
        """
        changes: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in parameters:
                continue
            text = parameters[field.name]
            try:
                if field.name == "widths":
                    changes["widths"] = tuple(sorted(int(part) for part in text.split(",")))
                else:
                    changes[field.name] = (float if isinstance(field.default, float) else int)(text)
            except ValueError:
                raise ConfigError(f"ocr-engine: parameter {field.name} is `{text}`; a number is expected") from None
        config = replace(cls(), **changes)
        wrong = [
            f"{name} is {value}; allowed: {allowed}"
            for name, value, fits, allowed in (
                ("min_side", config.min_side, 32 <= config.min_side <= config.max_side, "32 to max_side"),
                ("max_side", config.max_side, config.max_side <= 8192, "up to 8192"),
                ("threshold", config.threshold, 0 < config.threshold < 1, "between 0 and 1"),
                ("box_threshold", config.box_threshold, 0 <= config.box_threshold <= 1, "0 to 1"),
                ("unclip_ratio", config.unclip_ratio, 0 <= config.unclip_ratio <= 10, "0 to 10"),
                ("text_score", config.text_score, 0 <= config.text_score <= 1, "0 to 1"),
                ("batch", config.batch, 1 <= config.batch <= 64, "1 to 64"),
                ("check_side", config.check_side, 32 <= config.check_side <= config.min_side, "32 to min_side"),
                ("check_threshold", config.check_threshold, 0 < config.check_threshold < 1, "between 0 and 1"),
                ("widths", config.widths, config.widths[0] >= 8, "8 or more"),
                (
                    "max_width",
                    config.max_width,
                    config.max_width > 0 and config.max_width % config.widths[-1] == 0,
                    "a multiple of the greatest of widths",
                ),
            )
            if not fits
        ]
        if wrong:
            raise ConfigError("ocr-engine: parameter " + "; ".join(wrong))
        return config


@dataclass(frozen=True)
class Line:
    """One line of text.

    Attributes:
        text: as recognised.
        score: mean probability of its characters, 0-1.
        quad: [4, 2] corners in pixels of the picture, clockwise from top left.
    """

    text: str
    score: float
    quad: npt.NDArray[np.float32]


async def read(
    pixels: Pixels,
    detect: Detect,
    recognise: Recognise,
    config: OcrConfig,
    characters: Sequence[str],
    *,
    check_first: bool = False,
) -> list[Line]:
    """Lines of text of a picture in reading order.

    Args:
        pixels: [H, W, 3] RGB.
        detect: the text-detector.
        recognise: the text-recognizer.
        config: settings.
        characters: the recogniser's, by class.
        check_first: look at a small picture first and read only when it seems to have text; a fifth of the work where
            there is none.

    Raises:
        InputError: not such pixels.
        StageError: from the networks.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(f"PIXELS is {list(pixels.shape)}; [height, width, 3] is expected", reason="bad_pixels")
    padded, above = pad_strip(pixels)
    height, width = padded.shape[:2]
    if check_first and await looks_empty(pixels, detect, config):
        return []
    probability = (await detect(resize_for_detector(padded, config)[np.newaxis]))[0]
    quads = find_quads(
        probability,
        width,
        height,
        threshold=config.threshold,
        box_threshold=config.box_threshold,
        unclip_ratio=config.unclip_ratio,
    )
    parts = buckets([cut(padded, quad) for quad in quads], config.widths, config.max_width, config.batch)
    answers = await asyncio.gather(*(recognise(part.pixels) for part in parts))
    lines: dict[int, Line] = {}
    limit = [pixels.shape[1] - 1, pixels.shape[0] - 1]
    for part, (indices, scores) in zip(parts, answers, strict=True):
        for row, index in enumerate(part.indexes):
            text, score = decode(indices[row], scores[row], characters)
            if text.strip() and score >= config.text_score:
                lines[index] = Line(text, score, np.clip(quads[index] - [0, above], 0, limit).astype(np.float32))
    return [lines[index] for index in sorted(lines)]


async def looks_empty(pixels: Pixels, detect: Detect, config: OcrConfig) -> bool:
    """Whether no pixel of a small picture looks like text: a fifth of the detector's work.

    Args:
        pixels: [H, W, 3] RGB.
        detect: the text-detector.
        config: `check_side` and `check_threshold` matter.

    Raises:
        StageError: from the detector.
    """
    pixels, _ = pad_strip(pixels)
    scale = min(config.check_side / min(pixels.shape[:2]), config.max_side / max(pixels.shape[:2]))
    if scale >= 1:
        return False  # already small: looking costs as much as reading
    small = cv2.resize(pixels, _multiples(pixels, scale), interpolation=cv2.INTER_AREA)
    probability = await detect(np.asarray(small, np.uint8)[np.newaxis])
    return bool(probability.max() < config.check_threshold * 255)


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


def resize_for_detector(pixels: Pixels, config: OcrConfig) -> Pixels:
    """Enlarged or shrunk within the configured sides, each a multiple of 32."""
    height, width = pixels.shape[:2]
    scale = max(1.0, config.min_side / min(height, width))
    scale = min(scale, config.max_side / max(height, width))
    return np.asarray(cv2.resize(pixels, _multiples(pixels, scale)), np.uint8)


def _multiples(pixels: Pixels, scale: float) -> tuple[int, int]:
    """Width and height after scaling, as multiples of the detector's stride."""
    height, width = (max(STRIDE, round(int(side * scale) / STRIDE) * STRIDE) for side in pixels.shape[:2])
    return width, height
