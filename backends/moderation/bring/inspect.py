"""What an ONNX file takes and gives, and whether a role can be built from it: every difference, with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation import contract
from moderation.bring.export import load_module
from moderation.errors import ModelBuildError

OPSETS: Final = (9, 25)
"""First and last ONNX opset: TensorRT's parser reads 9 to 25 (TensorRT 11.x, ONNX opset guide); OpenVINO 2026.4
converted a small network of each. What an operator needs beyond that, the build finds out."""
SIDES: Final[dict[str, tuple[int, int]]] = {
    name: (dims[0], dims[1])
    for name in (contract.CLASSIFIER, contract.SAFETY)
    for dims in (contract.MODELS[name].inputs[0].dims,)
}
"""Height and width of the roles whose size is fixed, because the preprocessor makes their pixels."""
_TYPES: Final = {1: "FP32", 2: "UINT8", 6: "INT32", 7: "INT64", 10: "FP16", 11: "FP64", 16: "BF16"}
_Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """The input or output of a network; a dimension is None where it is dynamic."""

    name: str
    dtype: str
    dims: _Dims

    def __str__(self) -> str:
        """As messages show it."""
        return f"`{self.name}` {self.dtype} [{', '.join('any' if d is None else str(d) for d in self.dims)}]"


@dataclass(frozen=True)
class Facts:
    """One ONNX file.

    Attributes:
        takes_bytes: whether it takes UINT8 pixels, height × width × channel, and so normalises inside.
        metadata: the file's own notes.
    """

    opset: int
    input: Port
    output: Port
    metadata: dict[str, str]

    @property
    def takes_bytes(self) -> bool:
        """UINT8 input."""
        return self.input.dtype == "UINT8"

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width of the input; None where any is taken."""
        dims = self.input.dims[1:3] if self.takes_bytes else self.input.dims[2:4]
        return dims[0], dims[1]


def inspect(path: Path) -> Facts:
    """Read an ONNX file.

    Raises:
        ModelBuildError: no ONNX, another number of inputs or outputs than one, or an opset that an engine cannot read.
    """
    onnx = load_module("onnx")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise ModelBuildError(f"{path} is not an ONNX network: {type(error).__name__}") from None
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [_port(value) for value in model.graph.input if value.name not in constants]
    outputs = [_port(value) for value in model.graph.output]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelBuildError(
            f"{path.name} has inputs {', '.join(map(str, inputs)) or 'none'} and outputs "
            f"{', '.join(map(str, outputs)) or 'none'}; one input (pixels) and one output are wanted: export only these"
        )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ModelBuildError(
            f"{path.name} has opset {opset}; TensorRT and OpenVINO read {OPSETS[0]} to {OPSETS[1]}: export again with "
            "opset 18, or convert with onnx.version_converter"
        )
    strangers = sorted({o.domain for o in model.opset_import} - {"", "ai.onnx", "ai.onnx.ml"})
    used = sorted({node.domain for node in model.graph.node} & set(strangers))
    if used:
        raise ModelBuildError(
            f"{path.name} uses operators of {', '.join(used)}; only standard ONNX operators are wanted"
        )
    return Facts(opset, inputs[0], outputs[0], {p.key: p.value for p in model.metadata_props})


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in tensor.shape.dim)
    return Port(value.name, _TYPES.get(tensor.elem_type, f"type {tensor.elem_type}"), dims)


def misfits(facts: Facts, role: str, classes: int | None, *, resize: bool) -> list[str]:
    """Why a network cannot take a role, one sentence each.

    Args:
        facts: of the original network.
        role: name of the network model.
        classes: number of labels, of characters for a text-recognizer; None where the file says it itself.
        resize: whether the graph may scale the pixels of a role with a fixed size.
    """
    faults = _input(facts)
    if not faults:
        faults = _size(facts, role, resize=resize)
    return faults + _OUTPUTS[role](facts.output, classes)


def _input(facts: Facts) -> list[str]:
    port = facts.input
    wanted = "UINT8 [any, height, width, 3]" if facts.takes_bytes else "FP32 [any, 3, height, width]"
    faults = []
    if port.dtype not in ("FP32", "UINT8"):
        faults.append(f"input {port} has type {port.dtype}; wanted: FP32 (or UINT8 pixels): export in FP32")
    elif len(port.dims) != 4:
        faults.append(f"input {port} has {len(port.dims)} dimensions; wanted: {wanted}")
    else:
        channel = port.dims[3] if facts.takes_bytes else port.dims[1]
        if channel not in (3, None):
            faults.append(f"input {port} has {channel} channels; wanted: {wanted}, 3 channels")
        if port.dims[0] is not None:
            faults.append(f"input {port} has a fixed batch of {port.dims[0]}; wanted: any: export with a dynamic batch")
        if facts.takes_bytes and port.name != "PIXELS":
            faults.append(f"input {port} takes bytes and is not called PIXELS; wanted: PIXELS UINT8: rename it")
    return faults


def _size(facts: Facts, role: str, *, resize: bool) -> list[str]:
    height, width = facts.size
    shown = f"{width or 'any'}×{height or 'any'}"
    if role in SIDES and not resize:
        wide = SIDES[role][1], SIDES[role][0]
        if (width, height) != wide and not (width is None and height is None):
            return [
                f"input {facts.input} looks at {shown} pixels; wanted for {role}: {wide[0]}×{wide[1]}: export it at "
                "that size (torch: and timm: sources have --size), or give --resize so that the graph scales the "
                "pixels (detail is lost)"
            ]
    if role == contract.TEXT_DETECTOR and (height or width):
        return [f"input {facts.input} looks at {shown} pixels; wanted for {role}: any height and width: export so"]
    if role == contract.TEXT_RECOGNIZER and (width or height not in (contract.RECOGNIZER_HEIGHT, None)):
        wanted = f"height {contract.RECOGNIZER_HEIGHT} and any width"
        return [f"input {facts.input} looks at {shown} pixels; wanted for {role}: {wanted}: export so"]
    return []


def _classifier(output: Port, classes: int | None) -> list[str]:
    if output.dtype != "FP32" or len(output.dims) != 2:
        return [f"output {output} is no list of scores; wanted: FP32 [any, classes]"]
    return _count(output, output.dims[1], classes, "classes", 0)


def _detector(output: Port, classes: int | None) -> list[str]:
    wanted = "FP32 [any, 4 + classes, anchors], YOLOv8's raw head"
    if output.dtype != "FP32" or len(output.dims) != 3:
        return [f"output {output} is no such head; wanted: {wanted}: export without non-maximum suppression"]
    rows, anchors = output.dims[1:]
    if rows and anchors and rows > anchors:
        return [f"output {output} has more rows than anchors; wanted: {wanted}: transpose it"]
    if anchors and anchors < contract.SAFETY_CANDIDATES:
        return [f"output {output} has {anchors} anchors; wanted: {contract.SAFETY_CANDIDATES} at least"]
    return _count(output, rows, classes, "classes", 4)


def _text_detector(output: Port, _classes: int | None) -> list[str]:
    if output.dtype != "FP32" or len(output.dims) != 4 or output.dims[1] not in (1, None):
        return [f"output {output} is no map; wanted: FP32 [any, 1, height, width], probabilities 0-1"]
    return []


def _text_recognizer(output: Port, classes: int | None) -> list[str]:
    if output.dtype != "FP32" or len(output.dims) != 3:
        return [f"output {output} has no classes for each step; wanted: FP32 [any, steps, classes], probabilities 0-1"]
    return _count(output, output.dims[2], classes, "characters", 0)


def _count(output: Port, found: int | None, labels: int | None, what: str, extra: int) -> list[str]:
    if found is None or labels is None or found == labels + extra:
        return []
    has = f"{found - extra} {what}"
    return [f"output {output} has {has}, the labels have {labels}; wanted: one label for each, in their order"]


_OUTPUTS: Final[dict[str, Callable[[Port, int | None], list[str]]]] = {
    contract.CLASSIFIER: _classifier,
    contract.SAFETY: _detector,
    contract.SAFETY_CLASSIFIER: _classifier,
    contract.TEXT_DETECTOR: _text_detector,
    contract.TEXT_RECOGNIZER: _text_recognizer,
}
