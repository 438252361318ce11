"""The architecture that this project replaces: a FastAPI service in front of Triton, which serves networks only.

The service decodes the image and asks Triton for each stage over gRPC; pixels cross the wire once for each network. It
runs the very code of the pipeline (`pipeline.moderate`), so its decisions are the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from fastapi import FastAPI, HTTPException, Request
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from bench.compare.local import preprocessor
from moderation import contract
from moderation.errors import InputError, StageError
from moderation.launcher.run import REPOSITORY
from moderation.pipeline.items import Item
from moderation.pipeline.labels import load_labels
from moderation.pipeline.moderate import moderate as pipeline
from moderation.pipeline.release import Release
from moderation.pipeline.run import Array, Run

app = FastAPI()
_pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
_decode = preprocessor(REPOSITORY, "cpu")
_release = Release.load(REPOSITORY / contract.ENTRY / "1")
_labels = load_labels(REPOSITORY, _release)
_client: list[Any] = []


async def call(
    model: str, version: int, inputs: Mapping[str, Array], outputs: Sequence[str], parameters: Mapping[str, str]
) -> dict[str, Array]:
    """One stage: decoding here, everything else in Triton."""
    if model == contract.PREPROCESSOR:
        return await asyncio.get_running_loop().run_in_executor(_pool, _decode, inputs)
    if not _client:
        _client.append(triton.InferenceServerClient(os.environ["TRITON"]))
    tensors = []
    for name, value in inputs.items():
        tensor = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        tensor.set_data_from_numpy(np.ascontiguousarray(value))
        tensors.append(tensor)
    wanted = [triton.InferRequestedOutput(name) for name in outputs]
    try:
        answer = await _client[0].infer(model, tensors, str(version), wanted, parameters=dict(parameters) or None)
    except InferenceServerException as error:
        raise StageError(f"{model}: {error.message()}") from None
    return {name: answer.as_numpy(name) for name in outputs}


async def moderate(request: Request) -> dict[str, Any]:
    """One image to one decision."""
    item = Item(await request.body(), None, None)
    try:
        return await pipeline(item, Run(call, _release, _labels, time.monotonic() + 120, lambda: False))
    except InputError as error:
        raise HTTPException(400, error.message) from None


async def ready() -> dict[str, bool]:
    """Whether it serves."""
    return {"ready": True}


app.post("/moderate")(moderate)
app.get("/ready")(ready)
