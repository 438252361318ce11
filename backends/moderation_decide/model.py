"""moderation-decision-logic: signals to a verdict. The version folder is the policy release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

from moderation.errors import InputError
from moderation.policy.evaluate import evaluate
from moderation.policy.load import load
from moderation.serving import adapter


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        self.policy = load(Path(pb.get_model_dir()))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Every item of every request on its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            inline = adapter.wants_inline_faults(adapter.from_pipeline(request, self.name))
            items = adapter.required(request, "SIGNALS").reshape(-1)
            verdicts = [json.dumps(self._verdict(item, inline), ensure_ascii=False) for item in items]
            return adapter.response({"VERDICT": adapter.strings(verdicts).reshape(-1, 1)})
        except Exception as error:
            return adapter.error_response(error, self.name)

    def _verdict(self, item: bytes, inline: bool) -> dict[str, Any]:
        try:
            return dict(evaluate(self.policy, _signals(item)))
        except InputError as error:
            if inline:
                return {"fault": error.as_fault()}
            raise


def _signals(item: bytes) -> dict[str, Any]:
    try:
        signals = json.loads(item)
    except ValueError as error:
        raise InputError(f"SIGNALS is not JSON: {type(error).__name__}", reason="bad_signals") from None
    if not isinstance(signals, dict):
        raise InputError(f"SIGNALS is a JSON {type(signals).__name__}; an object is expected", reason="bad_signals")
    return signals
