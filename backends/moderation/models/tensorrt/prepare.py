"""The graph as TensorRT wants it: pixels cast first, the network itself in FP16.

TensorRT builds strongly typed networks (the only kind since version 11): what computes in FP16 is written in the graph.
"""

from __future__ import annotations

from typing import Any, Final

from moderation.errors import ModelBuildError

PIXELS: Final = "PIXELS"
OURS: Final = "moderation_"
"""Nodes that graph surgery added: normalisation in front and small heads behind stay FP32, they cost nothing."""


def prepare(model: Any, *, half: bool) -> Any:
    """A copy of an operated network that TensorRT parses.

    Args:
        model: `onnx.ModelProto` with UINT8 PIXELS.
        half: whether the network computes in FP16. Inputs and outputs keep their types.

    Returns:
        Another `onnx.ModelProto`.

    Raises:
        ModelBuildError: the packages for it are not installed.
    """
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise ModelBuildError(
            f"module {error.name} is not installed; install what plans need: pip install onnx onnxruntime"
        ) from None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _cast_first(copy)
    if not half:
        return copy
    ours = [node.name for node in copy.graph.node if node.name.startswith(OURS)]
    return convert_float_to_float16(copy, keep_io_types=True, node_block_list=ours)


def _cast_first(model: Any) -> None:
    """TensorRT lets UINT8 into a Cast and into nothing else: networks that turn the pixels before they cast them get
    the cast in front, and their own casts find FP32 already."""
    from onnx import TensorProto, helper

    readers = [node for node in model.graph.node if PIXELS in node.input]
    if all(node.op_type == "Cast" for node in readers):
        return
    cast = f"{OURS}pixels"
    for node in readers:
        for index, name in enumerate(node.input):
            if name == PIXELS:
                node.input[index] = cast
    node = helper.make_node("Cast", [PIXELS], [cast], name=f"{OURS}cast", to=TensorProto.FLOAT)
    model.graph.node.insert(0, node)
    del model.graph.value_info[:]  # types between the nodes have changed; they are inferred again
