"""Small real networks as ONNX files, for tests only: they know nothing, but every tensor is what a trained one has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dim = int | str


def save(
    path: Path,
    nodes: Sequence[Any],
    weights: dict[str, np.ndarray[Any, Any]],
    pixels: Sequence[Dim],
    output: Sequence[Dim],
    *,
    opset: int = 18,
    dtype: int = TensorProto.FLOAT,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A network from `x` to `y`."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", dtype, list(pixels))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(output))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def redness(
    path: Path, side: Dim = 48, *, classes: int = 2, batch: Dim = "n", activation: str = "", opset: int = 18, **kw: Any
) -> Path:
    """A whole-picture classifier: its first logit is high for red pictures (pixels from 0 to 1), the others 0."""
    weights = np.zeros((3, classes), np.float32)
    weights[:, 0] = (8, -8, -8)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["l" if activation else "y"]),
    ]
    if activation:
        nodes.append(helper.make_node(activation, ["l"], ["y"]))
    return save(path, nodes, {"w": weights}, [batch, 3, side, side], [batch, classes], opset=opset, **kw)


def anchors(path: Path, side: int = 320, *, classes: int = 2, stride: int = 16) -> Path:
    """A YOLOv8 head: each cell says a box of 40 pixels around (100, 60), and its redness as the first class."""
    kernel = np.zeros((4 + classes, 3, stride, stride), np.float32)
    kernel[4, 0] = 1 / stride**2
    bias = np.zeros(4 + classes, np.float32)
    bias[:4] = (100, 60, 40, 40)
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], strides=[stride, stride]),
        helper.make_node("Reshape", ["c", "s"], ["y"]),
    ]
    cells = (side // stride) ** 2
    shape = np.array([0, 4 + classes, -1], np.int64)
    return save(path, nodes, {"k": kernel, "b": bias, "s": shape}, ["n", 3, side, side], ["n", 4 + classes, cells])


def darkness(path: Path, height: Dim = "h", width: Dim = "w") -> Path:
    """A text map: dark pixels are text."""
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    kernel, bias = np.full((1, 3, 1, 1), -8, np.float32), np.array([12], np.float32)
    return save(path, nodes, {"k": kernel, "b": bias}, ["n", 3, height, width], ["n", 1, height, width])


def steps(path: Path, classes: int = 4, *, metadata: dict[str, str] | None = None) -> Path:
    """A recogniser that sees class 1 where it is dark and the blank elsewhere, one step for 8 pixels."""
    kernel, bias = np.zeros((classes, 3, 1, 1), np.float32), np.zeros(classes, np.float32)
    kernel[1], bias[1] = -20, 55
    nodes = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[48, 8], strides=[48, 8]),
        helper.make_node("Conv", ["p", "k", "b"], ["c"]),
        helper.make_node("Squeeze", ["c", "a"], ["q"]),
        helper.make_node("Transpose", ["q"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["t"], ["y"], axis=2),
    ]
    weights: dict[str, np.ndarray[Any, Any]] = {"k": kernel, "b": bias, "a": np.array([2], np.int64)}
    return save(path, nodes, weights, ["n", 3, 48, "w"], ["n", "t", classes], metadata=metadata)
