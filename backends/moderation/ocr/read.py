"""Pixels to lines of text: detect, cut, recognise, decode. The networks are passed in, so this runs anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from moderation.errors import ConfigError, InputError
from moderation.ocr.area import Area, find_area, whole
from moderation.ocr.boxes import find_quads
from moderation.ocr.crops import buckets, cut
from moderation.ocr.ctc import decode
from moderation.ocr.resize import fit_scale, pad_strip, scaled

Pixels = npt.NDArray[np.uint8]
Detect = Callable[[Pixels], Awaitable[npt.NDArray[np.uint8]]]
"""[1, H, W, 3] with sides that are multiples of 32 → [1, H, W], 255 = certainly text."""
Recognise = Callable[[Pixels], Awaitable[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]]
"""[n, 48, W, 3] → best classes and their probabilities, [n, steps] each."""
LoadCharacters = Callable[[], list[str]]
"""The recogniser's characters by class, where they are needed."""


@dataclass(frozen=True)
class OcrConfig:
    """Settings; defaults are RapidOCR's (rapidocr/config.yaml) unless a reason is given.

    Attributes:
        min_side: pictures are enlarged until the shorter side has this many pixels.
        max_side: no side that goes to the detector is longer.
        max_pixels: nor does it get more pixels than about this many; its work is in proportion. Strips are cut from the
            picture itself, so that the recogniser sees all of it.
        side_step: sides that go to the detector are multiples of this, in pixels.
        threshold, box_threshold, unclip_ratio: see `find_quads`.
        text_score: 0-1; lines below it are dropped.
        batch: most strips in one call of the recogniser.
        widths: strips are padded to one of these widths in pixels, longer ones to a multiple of the greatest.
        max_width: a strip that would be wider (80 times its height) is squeezed to this.
        check_side: shorter side of the small picture that `check_first` looks at.
        check_threshold: 0-1; a pixel of the small picture that is text with this probability asks for a reading.
        check_faint, check_margin, check_most: which part of the picture is read then, see `find_area`.
    """

    min_side: int = 640
    max_side: int = 1280
    max_pixels: int = 655360
    side_step: int = 64
    threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6
    text_score: float = 0.5
    batch: int = 16
    widths: tuple[int, ...] = (96, 160, 240, 320, 480, 640, 960)
    max_width: int = 3840
    check_side: int = 320
    check_threshold: float = 0.3
    check_faint: float = 0.1
    check_margin: float = 0.08
    check_most: float = 0.6

    def scale(self, pixels: Pixels) -> float:
        """Factor between a picture and what the detector gets of it."""
        return fit_scale(pixels, self.min_side, self.max_side, self.max_pixels)

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
                ("max_pixels", config.max_pixels, 1 << 12 <= config.max_pixels <= 1 << 24, "4096 to 16777216"),
                ("side_step", config.side_step, config.side_step in (32, 64, 96, 128), "32, 64, 96, 128"),
                ("check_threshold", config.check_threshold, 0 < config.check_threshold < 1, "between 0 and 1"),
                ("check_faint", config.check_faint, 0 < config.check_faint < 1, "between 0 and 1"),
                ("check_margin", config.check_margin, 0 <= config.check_margin <= 1, "0 to 1"),
                ("check_most", config.check_most, 0 <= config.check_most <= 1, "0 to 1"),
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
        check_first: look at a small picture first and read only the part of it that seems to have text; a fifth of
            the work where there is none.

    Raises:
        InputError: not such pixels.
        StageError: from the networks.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(f"PIXELS is {list(pixels.shape)}; [height, width, 3] is expected", reason="bad_pixels")
    padded, above = pad_strip(pixels)
    area = await text_area(padded, detect, config) if check_first else whole(padded)
    if area is None:
        return []
    part = area.cut(padded)
    probability = (await detect(scaled(part, config.scale(padded), config.side_step)[np.newaxis]))[0]
    quads = find_quads(
        probability,
        part.shape[1],
        part.shape[0],
        threshold=config.threshold,
        box_threshold=config.box_threshold,
        unclip_ratio=config.unclip_ratio,
    ) + np.array([area.left, area.top], np.float32)
    strips = buckets([cut(padded, quad) for quad in quads], config.widths, config.max_width, config.batch)
    answers = await asyncio.gather(*(recognise(bucket.pixels) for bucket in strips))
    lines: dict[int, Line] = {}
    limit = [pixels.shape[1] - 1, pixels.shape[0] - 1]
    for bucket, (indices, scores) in zip(strips, answers, strict=True):
        for row, index in enumerate(bucket.indexes):
            text, score = decode(indices[row], scores[row], characters)
            if text.strip() and score >= config.text_score:
                lines[index] = Line(text, score, np.clip(quads[index] - [0, above], 0, limit).astype(np.float32))
    return [lines[index] for index in sorted(lines)]


async def text_area(pixels: Pixels, detect: Detect, config: OcrConfig) -> Area | None:
    """Where a small version of a picture seems to have text: a fifth of the detector's work, or less.

    Args:
        pixels: [H, W, 3] RGB.
        detect: the text-detector.
        config: the settings that begin with `check_` matter.

    Returns:
        None when no pixel looks like text.

    Raises:
        StageError: from the detector.
    """
    height, width = pixels.shape[:2]
    scale = min(config.check_side / min(height, width), config.max_side / max(height, width))
    if scale >= 1:
        return whole(pixels)  # already small: looking costs as much as reading
    probability = await detect(scaled(pixels, scale, config.side_step, average=True)[np.newaxis])
    return find_area(
        probability[0],
        width,
        height,
        threshold=config.check_threshold,
        faint=config.check_faint,
        margin=config.check_margin,
        most=config.check_most,
    )
