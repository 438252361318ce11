"""The pipeline's stages in this process, without Triton: the same library, the same compiled networks.

Each function does what the thin backend of its model does; `Local.call` is what the pipeline calls instead of BLS.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from moderation import contract
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.launcher.repository import assemble_repository
from moderation.models import store
from moderation.ocr.ctc import load_characters
from moderation.ocr.read import OcrConfig, read
from moderation.pipeline.items import Item
from moderation.pipeline.labels import load_labels
from moderation.pipeline.moderate import moderate
from moderation.pipeline.release import Release
from moderation.pipeline.run import Array, Run
from moderation.policy.evaluate import evaluate
from moderation.policy.load import load as load_policy
from moderation.serving.network import OpenVinoNetwork

Stage = Callable[[Mapping[str, Array]], dict[str, Array]]


def settings_of(repository: Path, model: str, profile: str) -> dict[str, str]:
    """The parameters that a model has in a profile."""
    text = (repository / model / "configs" / f"{profile}.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    return {name: value.string_value for name, value in config.parameters.items()}


def preprocessor(repository: Path, profile: str) -> Stage:
    """The image-preprocessor."""
    config = PreprocessConfig.from_parameters(settings_of(repository, contract.PREPROCESSOR, profile))

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        result = preprocess(bytes(inputs["IMAGE"].reshape(-1)[0]), config)
        return {
            "SAFETY_PIXELS": result.safety,
            "CLASSIFIER_PIXELS": result.classifier,
            "TEXT_PIXELS": result.text,
            "INFO": _bytes(json.dumps(result.info)),
        }

    return run


@dataclass
class Carried:
    """What calls of one model carried: how many, and the bytes of the tensors there and back."""

    calls: int = 0
    asked: int = 0
    answered: int = 0


class Local:
    """Every stage of a repository in one process, one thread, with a count of the CPU time of each.

    Args:
        repository: the tree's `model_repository`; its networks must be built.
        served: empty folder that gets the assembled repository.
        profile: whose parameters the stages get.
    """

    def __init__(self, repository: Path, served: Path, profile: str = "cpu") -> None:
        folder = assemble_repository(repository, served / "models", store.artefacts(repository))
        self.release = Release.load(folder / contract.ENTRY / "1")
        self.labels = load_labels(folder, self.release)
        self.cpu: dict[str, float] = {}
        self.carried: dict[str, Carried] = {}

        def network(model: str) -> OpenVinoNetwork:
            settings = settings_of(repository, model, profile)
            version = max((p for p in (folder / model).iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
            return OpenVinoNetwork(version, int(settings.get("threads", "1")), settings.get("precision", "auto"))

        self._preprocess = preprocessor(repository, profile)
        self._networks = {m: network(m) for m in (contract.SAFETY, contract.CLASSIFIER)}
        self._detector, self._recognizer = network(contract.TEXT_DETECTOR), network(contract.TEXT_RECOGNIZER)
        self._ocr = OcrConfig.from_parameters(settings_of(repository, contract.OCR, profile))
        recognizers = (folder / contract.TEXT_RECOGNIZER).glob("*/characters.txt")
        self._characters = load_characters(max(recognizers, key=lambda path: int(path.parent.name)))
        policy = self.release.versions[contract.DECISION_LOGIC]
        self._policy = load_policy(folder / contract.DECISION_LOGIC / str(policy))

    @property
    def classes(self) -> int:
        """How many the recogniser tells apart."""
        return len(self._characters)

    def moderate(self, image: bytes) -> dict[str, Any]:
        """RESULT of one image.

        Raises:
            InputError: the image is refused.
        """
        run = Run(self.call, self.release, self.labels, time.monotonic() + 600, lambda: False)
        return asyncio.run(moderate(Item(image, None, None), run))

    async def call(
        self,
        model: str,
        version: int,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        parameters: Mapping[str, str],
    ) -> dict[str, Array]:
        """One stage, here and now."""
        started = time.process_time()
        try:
            answer = await self._answer(model, inputs, parameters)
            self._count(model, inputs, answer)
            return answer
        finally:
            self.cpu[model] = self.cpu.get(model, 0.0) + time.process_time() - started

    async def _answer(self, model: str, inputs: Mapping[str, Array], parameters: Mapping[str, str]) -> dict[str, Array]:
        if model == contract.PREPROCESSOR:
            return self._preprocess(inputs)
        if model == contract.OCR:
            return await self._read(inputs["PIXELS"], parameters)
        if model == contract.DECISION_LOGIC:
            return {"VERDICT": _bytes(json.dumps(evaluate(self._policy, json.loads(inputs["SIGNALS"][0, 0]))))}
        return self._networks[model].infer(dict(inputs))

    def _count(self, model: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        carried = self.carried.setdefault(model, Carried())
        carried.calls += 1
        carried.asked += sum(map(size, inputs.values()))
        carried.answered += sum(map(size, outputs.values()))

    async def _read(self, pixels: Array, settings: Mapping[str, str]) -> dict[str, Array]:
        async def detect(batch: Array) -> Array:
            found = self._detector.infer({"PIXELS": batch})
            self._count(contract.TEXT_DETECTOR, {"PIXELS": batch}, found)
            return found["PROBABILITY"]

        async def recognise(batch: Array) -> tuple[Array, Array]:
            found = self._recognizer.infer({"PIXELS": batch})
            self._count(contract.TEXT_RECOGNIZER, {"PIXELS": batch}, found)
            return found["INDICES"], found["SCORES"]

        first = settings.get("check_first") == "true"
        lines = await read(pixels, detect, recognise, self._ocr, self._characters, check_first=first)
        text = np.array([line.text.encode() for line in lines], dtype=np.object_)
        return {
            "TEXT": text,
            "SCORE": np.array([line.score for line in lines], np.float32),
            "QUAD": np.array([line.quad for line in lines], np.float32).reshape(-1, 4, 2),
        }


def size(tensor: Array) -> int:
    """Bytes of a tensor as Triton carries it: an element of BYTES has four bytes for its length."""
    if tensor.dtype == np.object_:
        return sum(4 + len(element if isinstance(element, bytes) else str(element).encode()) for element in tensor.flat)
    return tensor.nbytes


def _bytes(text: str) -> Array:
    out = np.empty((1, 1), dtype=np.object_)
    out[0, 0] = text.encode()
    return out
