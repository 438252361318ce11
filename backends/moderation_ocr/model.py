"""ocr-engine: pixels to lines of text, by BLS calls to text-detector and text-recognizer, or by EasyOCR."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from moderation import contract
from moderation.ocr.ctc import NEWEST, Characters
from moderation.ocr.engines import build
from moderation.ocr.read import Line
from moderation.serving import adapter
from moderation.serving.executor import use_wide_executor
from moderation.serving.memory import Sweeper


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        self.characters = Characters(Path(pb.get_model_dir()).parents[1] / contract.TEXT_RECOGNIZER)
        self.engine = build(adapter.parameters(args), lambda: self.characters.of(NEWEST))
        self.sweeper = Sweeper()

    async def execute(self, requests: list[Any]) -> list[Any]:
        """All requests at once: their crops meet in the recogniser's dynamic batcher."""
        use_wide_executor()
        responses = list(await asyncio.gather(*(self._answer(request) for request in requests)))
        self.sweeper.sweep()
        return responses

    async def _answer(self, request: Any) -> Any:
        try:
            settings, trace = adapter.from_pipeline(request, self.name), request.trace()
            detector, recognizer = (int(settings.get(model, NEWEST)) for model in contract.READERS)

            async def detect(batch: Any) -> Any:
                found = await adapter.call(
                    contract.TEXT_DETECTOR, {"PIXELS": batch}, ["PROBABILITY"], version=detector, trace=trace
                )
                return found["PROBABILITY"]

            async def recognise(batch: Any) -> Any:
                found = await adapter.call(
                    contract.TEXT_RECOGNIZER, {"PIXELS": batch}, ["INDICES", "SCORES"], version=recognizer, trace=trace
                )
                return found["INDICES"], found["SCORES"]

            lines = await self.engine.read(
                adapter.required(request, "PIXELS"),
                detect,
                recognise,
                lambda: self.characters.of(recognizer),
                check_first=settings.get("check_first") == "true",
            )
            return adapter.response(as_tensors(lines))
        except Exception as error:
            return adapter.error_response(error, self.name)


def as_tensors(lines: list[Line]) -> dict[str, Any]:
    """TEXT [n], SCORE [n], QUAD [n, 4, 2]."""
    return {
        "TEXT": adapter.strings([line.text for line in lines]),
        "SCORE": np.array([line.score for line in lines], np.float32),
        "QUAD": np.array([line.quad for line in lines], np.float32).reshape(-1, 4, 2),
    }
