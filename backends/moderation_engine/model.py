"""CPU engine: any network of the repository, compiled by OpenVINO, one inference request for each instance."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from moderation.serving import adapter
from moderation.serving.network import OpenVinoNetwork


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        settings = adapter.parameters(args)
        self.network = OpenVinoNetwork(
            Path(pb.get_model_dir()),
            int(settings.get("threads", "1")),
            settings.get("precision", "f32"),
            [int(size) for size in settings["rows"].split(",")] if "rows" in settings else (),
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """One inference for all requests whose inputs have the same shape."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for index, request in enumerate(requests):
            try:
                adapter.from_pipeline(request, self.name)
                inputs = {name: adapter.required(request, name) for name in self.network.inputs}
            except Exception as error:
                responses[index] = adapter.error_response(error, self.name)
                continue
            groups[tuple(value.shape[1:] for value in inputs.values())].append((index, inputs))
        for members in groups.values():
            try:
                self._run(members, responses)
            except Exception as error:
                for index, _ in members:
                    responses[index] = adapter.error_response(error, self.name)
        return responses

    def _run(self, members: list[tuple[int, dict[str, Any]]], responses: list[Any]) -> None:
        parts = [inputs for _, inputs in members]
        batch = parts[0] if len(parts) == 1 else {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        outputs = self.network.infer(batch)
        start = 0
        for index, inputs in members:
            end = start + len(next(iter(inputs.values())))
            responses[index] = adapter.response({name: value[start:end] for name, value in outputs.items()})
            start = end
