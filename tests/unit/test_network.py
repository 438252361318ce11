"""A compiled network: rows, what is kept for the next start."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigError
from moderation.serving.network import CACHE_FOLDER, OpenVinoNetwork, parts
from networks import darkness

PIXELS = np.random.default_rng(1).random((7, 3, 8, 8), np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ov.save_model(ov.convert_model(darkness(tmp_path / "network.onnx")), tmp_path / "model.xml")
    return tmp_path


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


def test_what_was_compiled_is_kept(folder: Path) -> None:
    """Promise: the second start takes what the first one compiled, and answers the same."""
    first = OpenVinoNetwork(folder, 1)
    (kept,) = (folder / CACHE_FOLDER).glob("*.blob")
    written = kept.stat().st_mtime_ns
    second = OpenVinoNetwork(folder, 1)
    assert [p.stat().st_mtime_ns for p in (folder / CACHE_FOLDER).glob("*.blob")] == [written]
    (name,), (out,) = first.inputs, first.outputs
    np.testing.assert_array_equal(first.infer({name: PIXELS})[out], second.infer({name: PIXELS})[out])


def test_instances_that_start_together_do_not_disturb_each_other(folder: Path) -> None:
    """Promise: processes that compile the same network at the same time all get it."""
    code = "import sys, pathlib, moderation.serving.network as n; n.OpenVinoNetwork(pathlib.Path(sys.argv[1]), 1)"
    started = [subprocess.Popen([sys.executable, "-c", code, folder]) for _ in range(3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert len(list((folder / CACHE_FOLDER).glob("*.blob"))) == 1


def test_a_folder_that_cannot_be_written_is_served_all_the_same(folder: Path) -> None:
    """Promise: a read-only image starts; it only compiles each time."""
    shutil.rmtree(folder / CACHE_FOLDER, ignore_errors=True)
    (folder / CACHE_FOLDER).write_text("a file in the place of the folder: root may write anywhere else")
    network = OpenVinoNetwork(folder, 1)
    assert network.infer({network.inputs[0]: PIXELS})[network.outputs[0]].shape == (7, 1, 8, 8)
