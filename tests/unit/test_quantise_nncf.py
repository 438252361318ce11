"""Ranges are measured by the real NNCF; `make test-torch` has it, the locked environment does without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from PIL import Image

pytest.importorskip("nncf", reason="NNCF is not installed here: `make test-torch` runs these tests")

from moderation import contract
from moderation.models import manifest
from moderation.quantise import ranges
from moderation.quantise.apply import apply
from moderation.quantise.calibrate import calibrate, tail
from moderation.quantise.run import compiled, quantise
from networks import anchors
from unit.test_quantise import named, names


def head(tmp_path: Path) -> Any:
    """A convolution with thousands of weights, and a reshape behind it."""
    return named(ov.convert_model(anchors(tmp_path / "network.onnx")))


def test_nncf_and_a_build_give_the_same_network(tmp_path: Path) -> None:
    """Promise: what was read off NNCF's network, put into the FP32 graph again, answers almost as FP32."""
    model = head(tmp_path)
    samples = list(np.random.default_rng(1).random((8, 1, 3, 320, 320), np.float32))
    made = calibrate(model, samples, "random pixels")
    assert made.weights
    assert made.activations
    assert made.made_with.endswith("random pixels")
    small = head(tmp_path)
    apply(small, made)
    full, quantised = compiled(model), compiled(small)
    (output,) = full(samples[0])
    worst = max(float(np.abs(full(s)[output] - quantised(s)[output]).max()) for s in samples)
    assert 0 < worst < 0.05


def test_what_comes_behind_the_last_weights_stays_in_fp32(tmp_path: Path) -> None:
    """Promise: thresholds meet values in full precision."""
    model = head(tmp_path)
    behind = tail(model)
    assert names(model, "Reshape")[0] in behind
    assert names(model, "Convolution")[0] not in behind


def test_a_network_gets_ranges_or_a_reason(repository_copy: Path, tmp_path: Path) -> None:
    """Promise: `models quantise` writes one line into the manifest, in the place of the one before, and the ranges
    only when INT8 passed."""
    home = repository_copy / contract.CLASSIFIER / "1"
    path = home / manifest.FILE
    random = np.random.default_rng(1)
    for index in range(12):
        Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / f"{index}.png")
    found = quantise(repository_copy, contract.CLASSIFIER, "1", tmp_path, lambda _: None)
    after = manifest.load(path)
    assert bool(after.int8) != bool(after.full_precision)
    assert (found.written is not None) == bool(after.int8) == (home / ranges.FILE).is_file()
    assert path.read_text().count("int8:") + path.read_text().count("full_precision:") == 1
