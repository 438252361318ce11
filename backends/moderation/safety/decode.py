"""Candidates to labelled boxes, as the `nudenet` library does it (nudenet/nudenet.py `_postprocess`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from moderation.errors import StageError
from moderation.models.labels import Label

VIEW: Final = 320
"""Side of the square that the detector looks at: the picture padded right and below, then scaled."""
CANDIDATE_SCORE: Final = 0.2
NMS_SCORE: Final = 0.25
NMS_IOU: Final = 0.45
"""nudenet's constants."""


def decode(
    candidates: npt.NDArray[np.float32], labels: Sequence[Label], width: int, height: int
) -> list[dict[str, Any]]:
    """Labels of one picture, best first.

    Args:
        candidates: [n, 6]: x1, y1, x2, y2 in pixels of the view, score 0-1, class index.
        labels: by class index; a class without a name hides nothing and is not reported.
        width: of the original picture, in pixels.
        height: likewise.

    Returns:
        `name`, `score` 0-1 and `box` [x1, y1, x2, y2] in pixels of the original picture.

    Raises:
        StageError: not a finite number, or a class without a name: an answer like this must not count as nothing found.
    """
    rows = np.asarray(candidates, np.float64)
    if not np.isfinite(rows).all():
        raise StageError("safety-detector gave values that are no numbers")
    rows = rows[rows[:, 4] >= CANDIDATE_SCORE]
    if rows.size and not (rows[:, 5].min() >= 0 and rows[:, 5].max() < len(labels)):
        raise StageError(f"safety-detector gave class {rows[:, 5].max():.0f}; its manifest names {len(labels)} labels")
    rows = rows[[labels[int(index)].name is not None for index in rows[:, 5]]]
    scale = max(width, height) / VIEW
    corner, size = rows[:, :2] * scale, (rows[:, 2:4] - rows[:, :2]) * scale
    limit = np.array([width, height], np.float64)
    corner = np.clip(corner, 0, limit)
    boxes = np.hstack([corner, np.minimum(size, limit - corner)])
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), rows[:, 4].tolist(), NMS_SCORE, NMS_IOU)
    return [
        {
            "name": labels[int(rows[i, 5])].name,
            "score": round(float(rows[i, 4]) * labels[int(rows[i, 5])].weight, 4),
            "box": [round(float(v), 1) for v in (*boxes[i, :2], *(boxes[i, :2] + boxes[i, 2:]))],
        }
        for i in np.asarray(kept, np.int64).reshape(-1)
    ]
