"""The GPU profile, as far as it can be checked without a GPU: Triton's settings, plans and callers agree."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from moderation import contract
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.models.tensorrt.shapes import Profile, profile, read_config
from moderation.ocr.crops import buckets
from moderation.ocr.read import OcrConfig, read

ENTRIES = store.entries(REPOSITORY)
NAMES = [entry.name for entry in ENTRIES]


def config(model: str) -> Any:
    return read_config(REPOSITORY / model / "config.pbtxt")


def shapes(model: str) -> Profile:
    entry = next(e for e in ENTRIES if e.model == model)
    return profile(config(model), entry.manifest.size(model))


def ocr() -> OcrConfig:
    """ocr-engine's settings in the GPU profile."""
    parameters = config(contract.OCR).parameters
    return OcrConfig.from_parameters({key: parameters[key].string_value for key in parameters})


@pytest.mark.parametrize("model", contract.NETWORKS)
def test_networks_run_as_plans_with_batches_that_fill_a_gpu(model: str) -> None:
    """Promise: plans on the GPU in FP16, several instances, batches of 8, 16 and 32, a wait of 100 to 500 µs."""
    found = config(model)
    assert found.platform == "tensorrt_plan"
    assert found.default_model_filename == "model.plan"
    (group,) = found.instance_group
    assert group.kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert 4 <= group.count <= 6
    assert list(found.dynamic_batching.preferred_batch_size) == [8, 16, 32]
    assert 100 <= found.dynamic_batching.max_queue_delay_microseconds <= 500


@pytest.mark.parametrize("model", contract.NETWORKS)
def test_cuda_graphs_where_shapes_are_fixed(model: str) -> None:
    """Promise: a graph is captured for each batch size where the shape is fixed, and only there."""
    found = config(model)
    assert found.optimization.cuda.graphs == (-1 not in found.input[0].dims)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_preferred_batches_and_warmups_lie_inside_the_plan(entry: store.Entry) -> None:
    """Promise: no batch that Triton prefers, and no call it makes at loading, is refused by the plan."""
    found, plan = config(entry.model), shapes(entry.model)
    assert plan.largest[0] == found.max_batch_size
    for batch in (1, *found.dynamic_batching.preferred_batch_size, found.max_batch_size):
        assert plan.holds((batch, *plan.usual[1:]))
    assert found.model_warmup
    for call in found.model_warmup:
        pixels = call.inputs["PIXELS"]
        assert pixels.data_type == found.input[0].data_type
        assert plan.holds((call.batch_size, *pixels.dims)), call.name


@given(height=st.integers(1, 2000), width=st.integers(1, 2000))
def test_every_picture_that_ocr_sends_is_one_that_the_detectors_plan_takes(height: int, width: int) -> None:
    """Promise: whatever the preprocessor lets through, the detector never refuses its size."""
    plan, settings = shapes(contract.TEXT_DETECTOR), ocr()
    pixels = np.zeros((height, width, 3), np.uint8)
    sent = []

    async def detect(batch: Any) -> Any:
        sent.append(batch.shape[1:])
        found = np.zeros(batch.shape[:3], np.uint8)
        found[:, :2, :2] = 255  # too small to be read, enough to look at this part closely
        return found

    async def recognise(batch: Any) -> Any:
        raise AssertionError("nothing to recognise")

    for first in (False, True):
        asyncio.run(read(pixels, detect, recognise, settings, [], check_first=first))
    assert sent
    for shape in sent:
        assert plan.holds((1, *shape)), shape


@given(height=st.integers(3, 400), width=st.integers(3, 3000))
def test_every_strip_that_ocr_sends_is_one_that_the_recognisers_plan_takes(height: int, width: int) -> None:
    """Promise: from a single character to a hairline across the picture, the recogniser never refuses a strip."""
    plan, settings = shapes(contract.TEXT_RECOGNIZER), ocr()
    (part,) = buckets([np.zeros((height, width, 3), np.uint8)], settings.widths, settings.max_width, settings.batch)
    assert plan.holds(part.pixels.shape), part.pixels.shape
    assert settings.batch <= plan.largest[0]
