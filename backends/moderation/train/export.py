"""The trained network as the ONNX file that is built and served."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
import torch

from moderation.train.network import SIDE, ContentClassifier, Served

OPSET: Final = 18
FILE: Final = "classifier.onnx"


def export(network: ContentClassifier, temperature: float, folder: Path) -> Path:
    """Write `classifier.onnx`: PIXELS UINT8 [batch, 224, 224, 3] to PROBABILITIES [batch, classes].

    Returns:
        The file's path.
    """
    served = Served(network, temperature).eval()
    path = folder / FILE
    torch.onnx.export(
        served,
        (torch.zeros((2, SIDE, SIDE, 3), dtype=torch.uint8),),
        path,
        input_names=["PIXELS"],
        output_names=["PROBABILITIES"],
        opset_version=OPSET,
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch", min=1, max=64)}},
        external_data=False,
        dynamo=True,
    )
    model = onnx.load(path)
    for node in model.graph.node:  # the exporter notes the machine's own paths
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
