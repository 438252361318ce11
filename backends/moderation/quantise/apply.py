"""Puts measured ranges into an FP32 graph: the engine then computes these layers in INT8."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from openvino import opset13 as ops

from moderation.errors import ModelBuildError
from moderation.quantise.ranges import Activation, Ranges, fingerprint

ACTIVATION_LEVELS: Final = 256
WEIGHT_LEVELS: Final = 255
"""Symmetric around 0, which is then exact (NNCF's choice for weights)."""


def apply(model: Any, ranges: Ranges) -> None:
    """Quantise a network in place.

    Args:
        model: `ov.Model` in FP32, with the layers that `ranges` were measured in.
        ranges: from `calibrate`.

    Raises:
        ModelBuildError: the ranges are of another graph.
    """
    found = fingerprint(model)
    if found != ranges.graph:
        raise ModelBuildError(
            f"the ranges for INT8 are of graph {ranges.graph}, this network is {found} (another source, surgery or "
            "OpenVINO); measure them again with `moderation models quantise`, or take `int8` out of the manifest"
        )
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    for bias in ranges.biases:
        port = _input(nodes, bias.into)
        old = port.get_source_output().get_node()
        values = np.array(bias.values, np.float32).reshape(tuple(old.get_output_shape(0)))
        port.replace_source_output(ops.constant(values).output(0))
    for weights in ranges.weights:
        port = _input(nodes, weights.into)
        high = np.float32(weights.spread) * greatest(port.get_source_output().get_node().get_data(), weights.axis)
        port.replace_source_output(_fake(port.get_source_output(), -high, high, WEIGHT_LEVELS))
    for activation in ranges.activations:
        _activation(nodes, activation)
    _store_weights_as_bytes(model)


def greatest(constants: Any, axis: int | None) -> npt.NDArray[np.float32]:
    """Greatest magnitude of each slice along an axis, or of all; as many axes as the constants.

    A slice of zeros, or almost, has a hundredth of the greatest of all slices instead (NNCF's
    `fix_zero_filters_symmetric`): its levels would be too fine for the arithmetic.
    """
    values = np.abs(np.asarray(constants, np.float32))
    others = tuple(i for i in range(values.ndim) if i != axis) if axis is not None else None
    found = values.max(axis=others, keepdims=True)
    return np.asarray(np.maximum(found, max(0.01 * float(found.max()), 8e-5)), np.float32)


def _activation(nodes: dict[str, Any], activation: Activation) -> None:
    name, _, index = activation.source.rpartition(":")
    source = nodes[name].output(int(index))
    rank = len(source.get_partial_shape())
    low, high = (_along_channels(values, rank) for values in (activation.low, activation.high))
    fake = _fake(source, low, high, ACTIVATION_LEVELS)
    for into in activation.into:
        _input(nodes, into).replace_source_output(fake)


def _along_channels(values: list[float], rank: int) -> Any:
    array = np.array(values, np.float32)
    return array.reshape(()) if len(values) == 1 else array.reshape([1, -1, *[1] * (rank - 2)])


def _fake(source: Any, low: Any, high: Any, levels: int) -> Any:
    """Rounds to levels between two ends and back: what the engine turns into INT8 arithmetic."""
    ends = [ops.constant(np.asarray(end, np.float32)) for end in (low, high, low, high)]
    return ops.fake_quantize(source, *ends, levels).output(0)


def _input(nodes: dict[str, Any], place: str) -> Any:
    name, _, index = place.rpartition(":")
    return nodes[name].input(int(index))


def _store_weights_as_bytes(model: Any) -> None:
    """A quarter of the file. The pass is what NNCF itself ends with; OpenVINO has no public name for it."""
    from openvino._offline_transformations import compress_quantize_weights_transformation

    compress_quantize_weights_transformation(model)
    model.validate_nodes_and_infer_types()
