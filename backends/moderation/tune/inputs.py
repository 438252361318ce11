"""Requests for the model that is measured, made from real pictures by the stages before it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.client import Address
from moderation.errors import ConfigError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.ocr.read import OcrConfig, read
from moderation.perf.inputs import write_input_data, write_tensor_data

Array = npt.NDArray[Any]
MOST_CROPS = 200


def write_inputs(model: str, pictures: Sequence[Path], server: Address, target: Path) -> None:
    """An input file of perf_analyzer for a model.

    Args:
        model: that is measured.
        pictures: encoded images.
        server: runs the text-detector, which finds the lines that the recogniser is asked about.
        target: file to write.

    Raises:
        ConfigError: no requests can be made for this model, or the pictures have nothing for it.
    """
    if model in (contract.ENTRY, contract.PREPROCESSOR):
        write_input_data(pictures, target)
        return
    made = [preprocess(path.read_bytes(), PreprocessConfig()) for path in pictures]
    rows: list[dict[str, Array]]
    if model == contract.SAFETY:
        rows = [{"PIXELS": frame} for picture in made for frame in picture.safety]
    elif model == contract.CLASSIFIER:
        rows = [{"PIXELS": frame} for picture in made for frame in picture.classifier]
    elif model == contract.OCR:
        rows = [{"PIXELS": picture.text[0]} for picture in made]
    elif model in (contract.TEXT_DETECTOR, contract.TEXT_RECOGNIZER):
        detected, crops = _texts([picture.text[0] for picture in made], server)
        rows = [{"PIXELS": pixels} for pixels in (detected if model == contract.TEXT_DETECTOR else crops)]
    else:
        raise ConfigError(f"no requests can be made for {model}; tune the model that calls it")
    if not rows:
        raise ConfigError(f"the pictures have nothing for {model}; give pictures with text")
    write_tensor_data(rows, target)


def _texts(frames: Sequence[Array], server: Address) -> tuple[list[Array], list[Array]]:
    """What the text-detector and the text-recognizer are asked about these frames."""
    import tritonclient.grpc as triton

    detected: list[Array] = []
    crops: list[Array] = []
    with triton.InferenceServerClient(f"{server.host}:{server.port}") as client:

        async def detect(batch: Array) -> Array:
            detected.append(batch[0])
            tensor = triton.InferInput("PIXELS", list(batch.shape), "UINT8")
            tensor.set_data_from_numpy(np.ascontiguousarray(batch))
            found: Array = client.infer(contract.TEXT_DETECTOR, [tensor]).as_numpy("PROBABILITY")
            return found

        async def recognise(batch: Array) -> tuple[Array, Array]:
            crops.extend(batch)
            return np.zeros((len(batch), 1), np.int32), np.zeros((len(batch), 1), np.float32)

        for frame in frames:
            asyncio.run(read(frame, detect, recognise, OcrConfig(), ["", " "]))
    return detected, crops[:: max(1, len(crops) // MOST_CROPS)][:MOST_CROPS]
