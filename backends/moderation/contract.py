"""Every model and tensor of the pipeline, declared once.

Configurations, backends and clients are tied to this file by contract tests. Shapes are per item, without the batch
dimension; -1 is a size known only at run time. Pixels are RGB, UINT8, height × width × channel (0-255).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ENTRY: Final = "content-moderation-ensemble"
PREPROCESSOR: Final = "image-preprocessor"
CLASSIFIER: Final = "content-classifier"
SAFETY: Final = "safety-detector"
SAFETY_CLASSIFIER: Final = "safety-classifier"
OCR: Final = "ocr-engine"
TEXT_DETECTOR: Final = "text-detector"
TEXT_RECOGNIZER: Final = "text-recognizer"
DECISION_LOGIC: Final = "moderation-decision-logic"
READERS: Final = (TEXT_DETECTOR, TEXT_RECOGNIZER)
"""Called by ocr-engine, in the versions that the entry model names."""

DECISIONS: Final = ("allow", "review", "block")
"""From weakest to strongest; the strongest matching action decides."""
ERROR_DECISION: Final = "error"
"""DECISION of a bad item in a request of several items."""
SEVERITIES: Final = (0, 2, 4, 6)

SAFETY_CANDIDATES: Final = 300
"""Rows the safety-detector's graph keeps, best first."""
RECOGNIZER_HEIGHT: Final = 48
"""Rows of pixels of a text line, as PP-OCR recognisers are trained (PaddleOCR `rec_image_shape` 3×48×320)."""


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model: `dtype` is Triton's name without the `TYPE_` prefix."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class Model:
    """One model's interface.

    `network` models run on TensorRT or on the CPU engine backend; the others name their Python backend.
    `batched` is false where items of different shapes make a common batch dimension impossible.
    """

    name: str
    backend: str
    batched: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    network: bool = False


CPU_ENGINE_BACKEND: Final = "moderation_engine"

MODELS: Final[dict[str, Model]] = {
    model.name: model
    for model in (
        Model(
            ENTRY,
            "moderation_orchestrate",
            batched=True,
            inputs=(
                Tensor("IMAGE", "STRING", (1,), optional=True),  # the encoded file
                Tensor("IMAGE_B64", "STRING", (1,), optional=True),  # the same in base64, for plain JSON
                Tensor("TEXT", "STRING", (1,), optional=True),  # caption, UTF-8
                Tensor("POLICY", "STRING", (1,), optional=True),  # name of a policy profile
            ),
            outputs=(
                Tensor("DECISION", "STRING", (1,)),
                Tensor("SEVERITY", "INT32", (1,)),
                Tensor("RESULT", "STRING", (1,)),  # JSON, schemas/result.schema.json
            ),
        ),
        Model(
            PREPROCESSOR,
            "moderation_preprocess",
            batched=False,
            inputs=(Tensor("IMAGE", "STRING", (1,)),),
            outputs=(
                Tensor("SAFETY_PIXELS", "UINT8", (-1, -1, -1, 3)),  # examined frames first
                Tensor("CLASSIFIER_PIXELS", "UINT8", (-1, -1, -1, 3)),
                Tensor("TEXT_PIXELS", "UINT8", (-1, -1, -1, 3)),
                Tensor("INFO", "STRING", (1,)),  # JSON: format, size, frames, digests, views
            ),
        ),
        Model(
            CLASSIFIER,
            CPU_ENGINE_BACKEND,
            batched=True,
            network=True,
            inputs=(Tensor("PIXELS", "UINT8", (224, 224, 3)),),
            outputs=(Tensor("PROBABILITIES", "FP32", (-1,)),),  # calibrated, sum to 1, order of the model's labels
        ),
        Model(
            SAFETY,
            CPU_ENGINE_BACKEND,
            batched=True,
            network=True,
            inputs=(Tensor("PIXELS", "UINT8", (320, 320, 3)),),
            # x1, y1, x2, y2 in input pixels, score 0-1, class index; best score first
            outputs=(Tensor("CANDIDATES", "FP32", (SAFETY_CANDIDATES, 6)),),
        ),
        # Judges the picture as a whole. Beside the safety-detector or instead of it; no version of it is shipped.
        Model(
            SAFETY_CLASSIFIER,
            CPU_ENGINE_BACKEND,
            batched=True,
            network=True,
            inputs=(Tensor("PIXELS", "UINT8", (-1, -1, 3)),),  # the size is each version's own: `view` of its manifest
            outputs=(Tensor("SCORES", "FP32", (-1,)),),  # probabilities 0-1, order of the model's labels
        ),
        Model(
            OCR,
            "moderation_ocr",
            batched=False,
            inputs=(Tensor("PIXELS", "UINT8", (-1, -1, 3)),),
            outputs=(
                Tensor("TEXT", "STRING", (-1,)),  # one entry a line, reading order
                Tensor("SCORE", "FP32", (-1,)),  # mean character confidence, 0-1
                Tensor("QUAD", "FP32", (-1, 4, 2)),  # x, y of the corners in input pixels, clockwise from top left
            ),
        ),
        Model(
            TEXT_DETECTOR,
            CPU_ENGINE_BACKEND,
            batched=True,
            network=True,
            inputs=(Tensor("PIXELS", "UINT8", (-1, -1, 3)),),  # sides are multiples of 32
            outputs=(Tensor("PROBABILITY", "UINT8", (-1, -1)),),  # 255 = certainly text, same size as the input
        ),
        Model(
            TEXT_RECOGNIZER,
            CPU_ENGINE_BACKEND,
            batched=True,
            network=True,
            inputs=(Tensor("PIXELS", "UINT8", (RECOGNIZER_HEIGHT, -1, 3)),),
            outputs=(
                Tensor("INDICES", "INT32", (-1,)),  # best class for each time step; 0 is the CTC blank
                Tensor("SCORES", "FP32", (-1,)),  # its probability
            ),
        ),
        Model(
            DECISION_LOGIC,
            "moderation_decide",
            batched=True,
            inputs=(Tensor("SIGNALS", "STRING", (1,)),),  # JSON, moderation.policy.signals
            outputs=(Tensor("VERDICT", "STRING", (1,)),),  # JSON, moderation.policy.verdict
        ),
    )
}

NETWORKS: Final = tuple(name for name, model in MODELS.items() if model.network)
