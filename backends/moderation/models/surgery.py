"""Graph surgery on ONNX: UINT8 RGB pixels in, small answers out, the same for every engine.

What is put in front and behind follows the manifest, so that pixels cross processes as bytes (a quarter of FP32) and
answers as candidates, bytes or indices instead of full score tensors (the recogniser's are 18,710 floats a step).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moderation.contract import MODELS, SAFETY_CANDIDATES
from moderation.errors import ModelBuildError
from moderation.models.manifest import Input, Manifest

_TYPES: Final = {"UINT8": TensorProto.UINT8, "FP32": TensorProto.FLOAT, "INT32": TensorProto.INT32}


class _Editor:
    """Adds nodes and constants to one graph under names that nothing else has."""

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.front: list[Any] = []
        self.shrink = 1.0  # contract's pixels for each pixel that the network looks at
        self._count = 0

    def constant(self, value: Any) -> str:
        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(
        self, kind: str, inputs: Sequence[str], *, out: str | None = None, at_front: bool = False, **kw: Any
    ) -> str:
        out = out or self._name(kind.lower())
        node = helper.make_node(kind, list(inputs), [out], name=self._name("node"), **kw)
        (self.front if at_front else self.graph.node).append(node)
        return out

    def squeeze(self, value: str, axis: int, kind: str = "Squeeze") -> str:
        """(Un)squeeze: the axes are an input since opset 13, an attribute before."""
        if self.opset >= 13:
            return self.node(kind, [value, self.constant(np.array([axis], np.int64))])
        return self.node(kind, [value], axes=[axis])

    def reduce_max(self, value: str, axis: int, **kw: Any) -> str:
        if self.opset >= 18:
            return self.node("ReduceMax", [value, self.constant(np.array([axis], np.int64))], keepdims=0, **kw)
        return self.node("ReduceMax", [value], axes=[axis], keepdims=0, **kw)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"moderation_{stem}_{self._count}"


def operate(source: Path, name: str, manifest: Manifest) -> Any:
    """The network with the interface of the contract.

    Args:
        source: original ONNX file with one input and one output.
        name: model whose tensors the result has.
        manifest: what to do.

    Returns:
        A checked `onnx.ModelProto`.

    Raises:
        ModelBuildError: the file is no such network.
    """
    try:
        model = onnx.load(source)
    except Exception as error:
        raise ModelBuildError(f"{source.name} is not an ONNX network: {type(error).__name__}") from None
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]  # IR 3 lists the weights there too
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelBuildError(
            f"{source.name} has {len(inputs)} inputs and {len(model.graph.output)} outputs; one of each is expected"
        )
    editor, graph = _Editor(model), manifest.graph
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    if graph.input:
        _pixels(editor, manifest.size(name), graph.input)
    if graph.head != "none":
        _HEADS[graph.head](editor, model.graph.output[0].name, [tensor.name for tensor in MODELS[name].outputs])
        del model.graph.output[:]
        for tensor in MODELS[name].outputs:
            shape = ["batch", *(d if d > 0 else f"{tensor.name}_{i}" for i, d in enumerate(tensor.dims))]
            model.graph.output.append(helper.make_tensor_value_info(tensor.name, _TYPES[tensor.dtype], shape))
    nodes = [*editor.front, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelBuildError(
            f"{source.name} does not become {name} by this surgery (head `{graph.head}`): {error}"
        ) from None
    return model


def characters(source: Path, key: str) -> list[str]:
    """Characters of a recogniser by class: the CTC blank (empty), those of the file's metadata, the space.

    The order is PaddleOCR's (`CTCLabelDecode`, `use_space_char`).
    """
    found = {p.key: p.value for p in onnx.load(source, load_external_data=False).metadata_props}
    if key not in found:
        raise ModelBuildError(f"{source.name} has no metadata `{key}`; it has: {', '.join(found) or 'none'}")
    return ["", *found[key].splitlines(), " "]


def _pixels(editor: _Editor, sides: tuple[int, int], spec: Input) -> None:
    """PIXELS UINT8 [batch, H, W, 3] RGB → what the network takes, FP32 [batch, 3, H, W]."""
    original = editor.graph.input[0].name
    size = [side if side > 0 else axis for side, axis in zip(sides, ("height", "width"), strict=True)]
    del editor.graph.input[:]
    shape = ["batch", *size, 3]
    editor.graph.input.append(helper.make_tensor_value_info("PIXELS", TensorProto.UINT8, shape))
    value = editor.node("Cast", ["PIXELS"], at_front=True, to=TensorProto.FLOAT)
    if spec.channels == "bgr":
        order = editor.constant(np.array([2, 1, 0], np.int64))
        value = editor.node("Gather", [value, order], at_front=True, axis=3)
    # (p / 255 - mean) / std as one multiplication and one addition
    std = np.array(spec.std, np.float32)
    scale, shift = (1 / (255 * std)).astype(np.float32), (-np.array(spec.mean) / std).astype(np.float32)
    value = editor.node("Mul", [value, editor.constant(scale)], at_front=True)
    value = editor.node("Add", [value, editor.constant(shift)], at_front=True)
    if not spec.resize:
        editor.node("Transpose", [value], out=original, at_front=True, perm=[0, 3, 1, 2])
        return
    if editor.opset < 13 or min(sides) < 1:
        raise ModelBuildError("graph.input.resize needs opset 13 or later and a role with a fixed size")
    value = editor.node("Transpose", [value], at_front=True, perm=[0, 3, 1, 2])
    scales = editor.constant(
        np.array([1, 1, *(new / old for new, old in zip(spec.resize, sides, strict=True))], np.float32)
    )
    editor.node("Resize", [value, "", scales], out=original, at_front=True, mode="linear")
    editor.shrink = sides[1] / spec.resize[1]


def _yolo_top_k(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """YOLOv8 head [batch, 4 + classes, anchors] → CANDIDATES [batch, 300, 6]: x1, y1, x2, y2, score, class."""
    rows = editor.node("Transpose", [output], perm=[0, 2, 1])
    ends = [(0, 2), (2, 4), (4, 1 << 31)]
    centre, size, scores = (
        editor.node("Slice", [rows, *(editor.constant(np.array([v], np.int64)) for v in (start, end, 2))])
        for start, end in ends
    )
    centre = editor.node("Mul", [centre, editor.constant(np.float32(editor.shrink))])
    half = editor.node("Mul", [size, editor.constant(np.float32(0.5 * editor.shrink))])
    best = editor.reduce_max(scores, 2)
    index = editor.node("ArgMax", [scores], axis=2, keepdims=0)
    columns = [
        editor.node("Sub", [centre, half]),
        editor.node("Add", [centre, half]),
        editor.squeeze(best, 2, "Unsqueeze"),
        editor.squeeze(editor.node("Cast", [index], to=TensorProto.FLOAT), 2, "Unsqueeze"),
    ]
    table = editor.node("Concat", columns, axis=2)
    keep = editor.constant(np.array([SAFETY_CANDIDATES], np.int64))
    values, order = "moderation_top_values", "moderation_top_order"
    editor.graph.node.append(helper.make_node("TopK", [best, keep], [values, order], name="moderation_top", axis=1))
    tiled = editor.node("Tile", [editor.squeeze(order, 2, "Unsqueeze"), editor.constant(np.array([1, 1, 6], np.int64))])
    editor.node("GatherElements", [table, tiled], out=names[0], axis=1)


def _probability_map(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """Probability [batch, 1, H, W], 0-1 → PROBABILITY UINT8 [batch, H, W], rounded."""
    value = editor.node("Mul", [editor.squeeze(output, 1), editor.constant(np.float32(255))])
    rounded = editor.node("Floor", [editor.node("Add", [value, editor.constant(np.float32(0.5))])])
    editor.node("Cast", [rounded], out=names[0], to=TensorProto.UINT8)


def _ctc_best(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """Class probabilities [batch, steps, classes] → INDICES and SCORES [batch, steps]."""
    editor.reduce_max(output, 2, out=names[1])
    index = editor.node("ArgMax", [output], axis=2, keepdims=0)
    editor.node("Cast", [index], out=names[0], to=TensorProto.INT32)


def _softmax_scores(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """Logits of classes that exclude each other [batch, classes] → probabilities of the same shape."""
    editor.node("Softmax", [output], out=names[0], axis=-1 if editor.opset >= 13 else 1)


def _sigmoid_scores(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """Logits of independent classes [batch, classes] → probabilities of the same shape."""
    editor.node("Sigmoid", [output], out=names[0])


def _scores(editor: _Editor, output: str, names: Sequence[str]) -> None:
    """Probabilities as they are, under the contract's name."""
    editor.node("Identity", [output], out=names[0])


_HEADS: Final[dict[str, Callable[[_Editor, str, Sequence[str]], None]]] = {
    "yolo_top_k": _yolo_top_k,
    "probability_map": _probability_map,
    "ctc_best": _ctc_best,
    "softmax_scores": _softmax_scores,
    "sigmoid_scores": _sigmoid_scores,
    "scores": _scores,
}
