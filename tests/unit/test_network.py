"""A compiled network: rows, what is kept for the next start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigError
from moderation.serving.network import OpenVinoNetwork, parts
from networks import darkness

PIXELS = np.random.default_rng(1).random((7, 3, 8, 8), np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ov.save_model(ov.convert_model(darkness(tmp_path / "network.onnx")), tmp_path / "model.xml")
    return tmp_path


def test_nobody_is_told_that_it_runs() -> None:
    """Promise: OpenVINO sends nothing to its makers, whatever imports it first."""
    code = (
        "import moderation, sys, openvino.tools.ovc.telemetry_utils as used; import moderation.serving.network; "
        "assert sys.modules['openvino_telemetry'] is None; print(used.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


@given(st.integers(0, 200))
def test_a_batch_is_computed_in_few_sizes(count: int) -> None:
    """Promise: every row once, in sizes that were asked for."""
    found = parts(count, (8, 4, 2, 1))
    assert sum(found) == count
    assert set(found) <= {8, 4, 2, 1}


def test_rows_change_no_answer(folder: Path) -> None:
    """Promise: a batch that is computed in parts has the answers of the whole, in order."""
    plain, split = OpenVinoNetwork(folder, 1), OpenVinoNetwork(folder, 1, rows=(1, 2, 4))
    (name,), (out,) = plain.inputs, plain.outputs
    np.testing.assert_array_equal(split.infer({name: PIXELS})[out], plain.infer({name: PIXELS})[out])
    with pytest.raises(ConfigError, match="rows is `2,4`"):
        OpenVinoNetwork(folder, 1, rows=(2, 4))
