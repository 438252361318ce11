"""What each network sees of a folder of pictures, the same as when it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.errors import InputError, ModelBuildError
from moderation.images.decode import decode
from moderation.images.limits import Limits
from moderation.images.pipeline import PreprocessConfig
from moderation.images.views import View
from moderation.models.manifest import Manifest
from moderation.ocr.boxes import find_quads
from moderation.ocr.crops import buckets, cut
from moderation.ocr.read import OcrConfig
from moderation.ocr.resize import pad_strip, scaled

Pixels = npt.NDArray[np.uint8]
SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")
STRIPS: Final = 12
"""Most lines of text that one picture gives, so that a page does not outweigh a street sign."""
STRIPS_AT_A_TIME: Final = 4


def choose(folder: Path, count: int) -> list[Path]:
    """Evenly spaced pictures of a folder and the folders in it, in the order of their names.

    Raises:
        ModelBuildError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ModelBuildError(f"no picture in {folder}; looked for {', '.join(SUFFIXES)}")
    return [found[i * len(found) // min(count, len(found))] for i in range(min(count, len(found)))]


def samples(
    files: list[Path], model: str, manifest: Manifest, detect: Callable[[Pixels], Pixels] | None = None
) -> Iterator[Pixels]:
    """Inputs of a network; a file that is no acceptable picture gives none.

    Args:
        files: encoded pictures.
        model: the role.
        manifest: of the network.
        detect: the text-detector, [1, H, W, 3] → [H, W]; only for the text-recognizer.

    Yields:
        [n, H, W, 3], RGB.
    """
    views = {contract.SAFETY: PreprocessConfig().safety, contract.CLASSIFIER: PreprocessConfig().classifier}
    if manifest.view:
        views[model] = View.parse("view", manifest.view)
    for file in files:
        try:
            frame = decode(file.read_bytes(), Limits()).frames[0]
        except InputError:
            continue
        if model in views:
            yield views[model].apply(frame)[np.newaxis]
        elif model == contract.TEXT_DETECTOR:
            yield _for_detector(pad_strip(frame)[0])
        elif detect is not None:
            yield from _strips(frame, detect)


def _for_detector(pixels: Pixels) -> Pixels:
    config = OcrConfig()
    return scaled(pixels, config.scale(pixels), config.side_step)[np.newaxis]


def _strips(frame: Pixels, detect: Callable[[Pixels], Pixels]) -> Iterator[Pixels]:
    config = OcrConfig()
    padded, _ = pad_strip(frame)
    height, width = padded.shape[:2]
    quads = find_quads(
        detect(_for_detector(padded)),
        width,
        height,
        threshold=config.threshold,
        box_threshold=config.box_threshold,
        unclip_ratio=config.unclip_ratio,
    )
    chosen = quads[:: max(1, -(-len(quads) // STRIPS))]
    for bucket in buckets([cut(padded, quad) for quad in chosen], config.widths, config.max_width, STRIPS_AT_A_TIME):
        if bucket.pixels.shape[2] <= config.widths[-1]:
            yield bucket.pixels
