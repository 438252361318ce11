"""One picture through a new network, so that a person sees whether its answers make sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from moderation import contract
from moderation.bring.inspect import SIDES
from moderation.images.decode import decode as decode_image
from moderation.images.limits import Limits
from moderation.images.views import View
from moderation.models.build import CHARACTERS_FILE
from moderation.models.store import Entry
from moderation.ocr.ctc import decode as decode_text
from moderation.ocr.ctc import load_characters
from moderation.safety.decode import decode as decode_boxes
from moderation.samples import render
from moderation.serving.network import OpenVinoNetwork

TOP: Final = 5
SAMPLE: Final = "notice.jpg"
"""The drawn sample that is tried where a person gives no picture."""
_LINE: Final = "Hello 2026"
Pixels = npt.NDArray[np.uint8]


def trial(entry: Entry, image: Path | None) -> list[str]:
    """Sentences about what a built network makes of one picture.

    Args:
        entry: built.
        image: any picture that the pipeline takes; a drawn one where it is None.

    Raises:
        InputError: the picture is refused.
        StageError: the answer is none that the pipeline can use.
    """
    network = OpenVinoNetwork(entry.folder, threads=1, precision="f32")
    data = image.read_bytes() if image else None
    frame = decode_image(data or render()[SAMPLE], Limits()).frames[0]
    shown = image.name if image else f"the drawn sample {SAMPLE}"
    return [f"tried on {shown}:", *_TRIALS[entry.model](network, entry, frame, data is None)]


def _classifier(network: OpenVinoNetwork, entry: Entry, frame: Pixels, _drawn: bool) -> list[str]:
    manifest = entry.manifest
    height, width = manifest.size(entry.model)
    view = View.parse("view", manifest.view or f"{width}x{height} stretch")
    (output,) = contract.MODELS[entry.model].outputs
    values = network.infer({"PIXELS": view.apply(frame)[np.newaxis]})[output.name][0]
    manifest.mapping().scores(values, entry.model)
    best = np.argsort(-values)[:TOP]
    return [f"  {manifest.labels[i].raw} {values[i]:.3f} → {manifest.labels[i].name or 'means nothing'}" for i in best]


def _detector(network: OpenVinoNetwork, entry: Entry, frame: Pixels, _drawn: bool) -> list[str]:
    height, width = SIDES[contract.SAFETY]
    candidates = network.infer({"PIXELS": View(width, height, letterbox=True).apply(frame)[np.newaxis]})["CANDIDATES"]
    found = decode_boxes(candidates[0], entry.manifest.labels, frame.shape[1], frame.shape[0])
    best = float(candidates[0, :, 4].max())
    boxes = [f"  {box['name']} {box['score']:.3f} at {box['box']}" for box in found[:TOP]]
    return boxes or [f"  no box; the best candidate has a score of {best:.3f}"]


def _text_detector(network: OpenVinoNetwork, _entry: Entry, frame: Pixels, drawn: bool) -> list[str]:
    height, width = (max(32, side // 32 * 32) for side in frame.shape[:2])
    found = network.infer({"PIXELS": cv2.resize(frame, (width, height))[np.newaxis]})["PROBABILITY"][0]
    known = " (it has three lines of text)" if drawn else ""
    return [f"  {(found > 127).mean():.1%} of its pixels are taken for text{known}"]


def _text_recognizer(network: OpenVinoNetwork, entry: Entry, frame: Pixels, drawn: bool) -> list[str]:
    line = _line() if drawn else frame
    height = contract.RECOGNIZER_HEIGHT
    scaled = cv2.resize(line, (max(height, round(line.shape[1] * height / line.shape[0])), height))
    found = network.infer({"PIXELS": np.asarray(scaled)[np.newaxis]})
    files = (entry.manifest_path.with_name(CHARACTERS_FILE), entry.folder / CHARACTERS_FILE)
    characters = load_characters(next(path for path in files if path.is_file()))
    text, score = decode_text(found["INDICES"][0], found["SCORES"][0], characters)
    wanted = f" (it says {_LINE!r})" if drawn else ""
    return [f"  reads {text!r} with {score:.3f}{wanted}"]


def _line() -> Pixels:
    """A drawn line of text."""
    font = ImageFont.load_default(size=32)
    picture = Image.new("RGB", (220, 48), "white")
    ImageDraw.Draw(picture).text((12, 5), _LINE, font=font, fill="black")
    return np.asarray(picture, np.uint8)


_TRIALS: Final[dict[str, Callable[[OpenVinoNetwork, Entry, Any, bool], list[str]]]] = {
    contract.CLASSIFIER: _classifier,
    contract.SAFETY: _detector,
    contract.SAFETY_CLASSIFIER: _classifier,
    contract.TEXT_DETECTOR: _text_detector,
    contract.TEXT_RECOGNIZER: _text_recognizer,
}
