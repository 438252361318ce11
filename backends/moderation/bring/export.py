"""A PyTorch module as ONNX, with a dynamic batch, and a pair of input and output to compare the result with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.errors import ModelBuildError

OPSET: Final = 18
"""Read by every engine in use, and the exporter's own default."""
TOLERANCE: Final = 1e-3
"""Greatest difference between the original's and the export's outputs, relative to the greatest output."""
_BATCH: Final = 2


def load_torch() -> Any:
    """The torch module.

    Raises:
        ModelBuildError: it is not installed.
    """
    return load_module("torch")


def load_module(name: str) -> Any:
    """An optional library.

    Raises:
        ModelBuildError: it is not installed, with the command that does it.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ModelBuildError(
            f"module {name} is not installed; this source needs it: pip install 'content-moderation[import]'"
        ) from None


def export(
    module: Any, role: str, size: tuple[int, int], target: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Write a module that takes FP32 [batch, 3, height, width] and gives one tensor.

    Args:
        module: an nn.Module, ExportedProgram or TorchScript module.
        role: text networks get dynamic sides.
        size: height and width to trace with.
        target: the file to write.

    Returns:
        An input, and the module's own output for it.

    Raises:
        ModelBuildError: it cannot be run or exported.
    """
    torch = load_torch()
    sample = torch.rand((_BATCH, 3, *size), generator=torch.Generator().manual_seed(0))
    program = isinstance(module, torch.export.ExportedProgram)
    run = module.module() if program else module.eval()
    try:
        with torch.no_grad():
            output = run(sample)
    except Exception as error:
        raise ModelBuildError(
            f"the network does not take FP32 [{_BATCH}, 3, {size[0]}, {size[1]}]: {_short(error)}; give --size, and "
            "export programs with a dynamic batch"
        ) from None
    if not isinstance(output, torch.Tensor):
        raise ModelBuildError(f"the network gives {type(output).__name__}; wanted: one tensor: wrap it so that it does")
    dims: dict[int, Any] = {0: torch.export.Dim.DYNAMIC}
    if role == contract.TEXT_DETECTOR:
        dims |= {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    elif role == contract.TEXT_RECOGNIZER:
        dims |= {3: torch.export.Dim.DYNAMIC}
    how: dict[str, Any] = {"dynamo": True, "external_data": False, "dynamic_shapes": (dims,)}
    if program:
        how = {"dynamo": True, "external_data": False}  # its dynamic dimensions are its own
    elif isinstance(module, torch.jit.ScriptModule):
        axes = {axis: f"axis_{axis}" for axis in dims}
        how = {"dynamo": False, "dynamic_axes": {"pixels": axes, "output": {0: "axis_0"}}}  # no Python code to trace
    try:
        with torch.no_grad():
            torch.onnx.export(
                module,
                () if program else (sample,),
                target,
                input_names=["pixels"],
                output_names=["output"],
                opset_version=OPSET,
                verbose=False,
                **how,
            )
    except Exception as error:
        raise ModelBuildError(f"the network cannot be exported to ONNX opset {OPSET}: {_short(error)}") from None
    return sample.numpy(), output.numpy()


def difference(path: Path, sample: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """How far the export is from the original, relative to the greatest output.

    Raises:
        ModelBuildError: more than `TOLERANCE`, or another shape.
    """
    import openvino as ov

    core = ov.Core()
    found = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(sample)[0]
    if found.shape != wanted.shape:
        raise ModelBuildError(f"the export gives {list(found.shape)} where the original gives {list(wanted.shape)}")
    far = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-6))
    if not far <= TOLERANCE:
        raise ModelBuildError(f"the export differs from the original by {far:.2g}; at most {TOLERANCE:g} is accepted")
    return far


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
