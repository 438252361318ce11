"""Measures the ranges of a network by NNCF's post-training quantisation on its OpenVINO backend (no PyTorch)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moderation.errors import ModelBuildError
from moderation.quantise.apply import greatest
from moderation.quantise.ranges import Activation, Bias, Ranges, Weights, fingerprint

_FEW_WEIGHTS: Final = 64


def calibrate(model: Any, samples: Sequence[npt.NDArray[np.uint8]], described: str) -> Ranges:
    """Quantise a copy and read off what was decided.

    Args:
        model: `ov.Model` in FP32; stays as it is.
        samples: inputs of the network, batch first; the same samples give the same ranges.
        described: what the samples are, for people.

    Raises:
        ModelBuildError: NNCF is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")  # its name for: send no usage statistics
    try:
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
    except ImportError as error:
        raise ModelBuildError(
            f"module {error.name} is not installed; install what this needs: pip install content-moderation[quantise]"
        ) from None
    quantised = nncf.quantize(
        model,
        nncf.Dataset(list(samples)),
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=tail(model), validate=False),
        # weights stay visible in full precision beside their ranges
        advanced_parameters=AdvancedQuantizationParameters(backend_params={"compress_weights": False}),
    )
    original = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    ranges = Ranges(
        graph=fingerprint(model), made_with=f"NNCF {nncf.__version__}, {described}", activations=[], weights=[]
    )
    for node in quantised.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            _read(node, ranges)
        elif node.get_friendly_name() in original:
            ranges.biases.extend(_changed(node, original[node.get_friendly_name()]))
    return ranges


def tail(model: Any) -> list[str]:
    """Layers behind the last ones with weights: they are cheap, and they hold what is compared with thresholds.

    A YOLO head joins coordinates up to 320 and scores up to 1 in one tensor: in 256 levels for both, scores would be
    steps of more than 1 (measured: scores fell by 0.13 on average).
    """
    ahead: set[str] = set()
    for node in reversed(model.get_ordered_ops()):
        name = node.get_friendly_name()
        if _has_weights(node):
            ahead.add(name)
        if name in ahead:
            ahead.update(node.input_value(i).get_node().get_friendly_name() for i in range(node.get_input_size()))
    nodes = [n for n in model.get_ordered_ops() if n.get_type_name() not in ("Constant", "Parameter", "Result")]
    return [name for node in nodes if (name := node.get_friendly_name()) not in ahead]


def _has_weights(node: Any) -> bool:
    """More than a fixed sum over a few values, such as the mean of YOLO's distances (16 weights)."""
    if node.get_type_name() not in ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"):
        return False
    return node.input_value(1).partial_shape.is_dynamic or bool(np.prod(node.input_value(1).get_shape()) > _FEW_WEIGHTS)


def _read(fake: Any, ranges: Ranges) -> None:
    source = fake.input_value(0)
    into = sorted(
        f"{port.get_node().get_friendly_name()}:{port.get_index()}" for port in fake.output(0).get_target_inputs()
    )
    low, high = (np.asarray(fake.input_value(i).get_node().get_data(), np.float32) for i in (1, 2))
    if source.get_node().get_type_name() == "Constant":
        axes = [axis for axis, size in enumerate(high.shape) if size > 1]
        axis = axes[0] if axes else None
        spread = float(np.median(high / greatest(source.get_node().get_data(), axis)))
        ranges.weights.extend(Weights(into=place, axis=axis, spread=round(spread, 3)) for place in into)
        return
    if high.ndim > 1 and high.size != high.shape[1]:
        raise ModelBuildError(f"NNCF gave {source.get_node().get_friendly_name()} ranges that do not lie along axis 1")
    name = f"{source.get_node().get_friendly_name()}:{source.get_index()}"
    ranges.activations.append(Activation(source=name, into=into, low=_numbers(low), high=_numbers(high)))


def _changed(node: Any, original: Any) -> list[Bias]:
    """Constants that the correction of biases replaced."""
    found = []
    for index in range(node.get_input_size()):
        new, old = (n.input_value(index).get_node() for n in (node, original))
        if new.get_type_name() == old.get_type_name() == "Constant":
            values = np.asarray(new.get_data())
            if values.dtype.kind == "f" and not np.array_equal(values, np.asarray(old.get_data())):
                found.append(Bias(into=f"{node.get_friendly_name()}:{index}", values=_numbers(values)))
    return found


def _numbers(values: npt.NDArray[Any]) -> list[float]:
    """Seven digits say where a range ends; nine give back the same FP32, so that the zero of a range stays exact."""
    return [float(f"{value:.9g}") for value in np.asarray(values, np.float32).reshape(-1)]
