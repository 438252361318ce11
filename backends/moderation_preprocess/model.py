"""image-preprocessor: encoded bytes to checked, bounded pixels, digests and facts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from moderation.errors import InputError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.serving import adapter
from moderation.serving.memory import DECODER_BYTES, confine

_NO_PIXELS = np.zeros((1, 1, 1, 3), np.uint8)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        self.config = PreprocessConfig.from_parameters(adapter.parameters(args))
        confine(DECODER_BYTES)

    def execute(self, requests: list[Any]) -> list[Any]:
        """One image a request: decoding does not batch."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            settings = adapter.from_pipeline(request, self.name)
            config = self.config.narrowed(settings)
            try:
                result = preprocess(bytes(adapter.required(request, "IMAGE").reshape(-1)[0]), config)
            except InputError as error:
                if adapter.wants_inline_faults(settings):
                    return self._fault(error)
                raise
            return adapter.response(
                {
                    "SAFETY_PIXELS": result.safety,
                    "CLASSIFIER_PIXELS": result.classifier,
                    "TEXT_PIXELS": result.text,
                    "INFO": adapter.strings([json.dumps(result.info)]),
                }
            )
        except Exception as error:
            return adapter.error_response(error, self.name)

    @staticmethod
    def _fault(error: InputError) -> Any:
        return adapter.response(
            {
                "SAFETY_PIXELS": _NO_PIXELS,
                "CLASSIFIER_PIXELS": _NO_PIXELS,
                "TEXT_PIXELS": _NO_PIXELS,
                "INFO": adapter.strings([json.dumps({"fault": error.as_fault()})]),
            }
        )
