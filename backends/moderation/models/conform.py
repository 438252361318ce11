"""Whether a built network keeps its role's contract: every difference, with what is wanted and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from moderation.contract import CLASSIFIER, MODELS, SAFETY_CLASSIFIER, Tensor
from moderation.errors import ModelBuildError
from moderation.models.manifest import Manifest

MODEL_FILE: Final = "model.xml"
_SAMPLE_SIDE: Final = 64
"""Side of the picture that the network is tried on where the contract leaves the size open."""
_SAMPLES: Final = 2
"""More than one, so that a network that takes single pictures only is found out."""
_TYPES: Final = {"u8": "UINT8", "f32": "FP32", "i32": "INT32"}
_SUM_SLACK: Final = 0.02
"""How far from 1 the scores of exclusive classes may sum: FP16 and the rounding of many classes."""


def check(folder: Path, model: str, manifest: Manifest) -> None:
    """Compile a built network and run it on random pictures.

    Args:
        folder: holds `model.xml`.
        model: the role.
        manifest: with the labels that the classes must match.

    Raises:
        ModelBuildError: with all differences.
    """
    compiled = ov.Core().compile_model(
        folder / MODEL_FILE, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    contract = MODELS[model]
    faults = [*_ports("input", compiled.inputs, contract.inputs), *_ports("output", compiled.outputs, contract.outputs)]
    if not faults:
        faults = _try(compiled, model, manifest)
    if faults:
        raise ModelBuildError(f"does not keep the contract of {model}: " + "; ".join(faults))


def _ports(kind: str, found: Any, wanted: tuple[Tensor, ...]) -> list[str]:
    """Differences of names and types."""
    ports = {port.any_name: port for port in found}
    names = [tensor.name for tensor in wanted]
    if sorted(ports) != sorted(names):
        return [f"{kind}s are {', '.join(ports) or 'none'}; wanted: {', '.join(names)}"]
    return [
        f"{kind} {tensor.name} has type {seen}; wanted: {tensor.dtype}"
        for tensor in wanted
        if (seen := _TYPES.get(ports[tensor.name].element_type.get_type_name(), "another")) != tensor.dtype
    ]


def _try(compiled: Any, model: str, manifest: Manifest) -> list[str]:
    """Differences of shapes and values, from one run."""
    (pixels,) = MODELS[model].inputs
    dims = (*manifest.size(model), 3)
    shape = [_SAMPLES, *(d if d > 0 else _SAMPLE_SIDE for d in dims)]
    try:
        answer = compiled({pixels.name: np.random.default_rng(0).integers(0, 256, shape, np.uint8)})
    except RuntimeError as error:
        takes = next(iter(compiled.inputs)).partial_shape
        reason = " ".join(str(error).split())[-200:]
        return [
            f"input {pixels.name} does not take {shape}, it is {takes}; wanted: [batch, {_written(dims)}] for any "
            f"batch; export the network with a dynamic batch and this size ({reason})"
        ]
    faults = []
    for tensor in MODELS[model].outputs:
        value = np.asarray(answer[tensor.name])
        fits = value.ndim == len(tensor.dims) + 1 and all(
            want in (-1, got) for want, got in zip((_SAMPLES, *tensor.dims), value.shape, strict=True)
        )
        if not fits:
            seen, want = _written(value.shape), _written((_SAMPLES, *tensor.dims))
            faults.append(f"output {tensor.name} is [{seen}] for {_SAMPLES} pictures; wanted: [{want}]")
        elif not np.isfinite(value).all():
            faults.append(f"output {tensor.name} has values that are no numbers; wanted: finite ones")
    return faults or _classes(model, manifest, answer)


def _classes(model: str, manifest: Manifest, answer: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    """What is wrong with the scores of a classifier."""
    if model not in (CLASSIFIER, SAFETY_CLASSIFIER):
        return []
    (output,) = MODELS[model].outputs
    scores = np.asarray(answer[output.name])
    if scores.shape[1] != len(manifest.labels):
        return [
            f"output {output.name} has {scores.shape[1]} classes, the manifest has {len(manifest.labels)} labels; "
            "give one label for each class, in order"
        ]
    if scores.min() < -1e-3 or scores.max() > 1 + 1e-3:
        return [
            f"output {output.name} goes from {scores.min():.3g} to {scores.max():.3g}; wanted: probabilities 0-1; "
            "these look like logits: set graph.head to softmax_scores or sigmoid_scores (--activation)"
        ]
    if manifest.classes == "exclusive" and abs(scores.sum(axis=1) - 1).max() > _SUM_SLACK:
        return [
            f"output {output.name} sums to {scores.sum(axis=1)[0]:.3g} over the classes; exclusive classes sum to 1: "
            "set `classes: independent`, or graph.head to softmax_scores (--activation)"
        ]
    return []


def _written(dims: tuple[int, ...]) -> str:
    return ", ".join(str(d) if d > 0 else "any" for d in dims)
