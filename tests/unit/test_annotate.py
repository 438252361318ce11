"""What was found is drawn on the picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from moderation.cli.annotate import annotate

QUAD = [[40, 40], [120, 40], [120, 120], [40, 120]]
RESULT: dict[str, Any] = {"decision": "allow", "severity": 0, "reasons": [], "labels": [], "text": [], "codes": []}


def drawn(**found: Any) -> np.ndarray[Any, Any]:
    target = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(target, "PNG")
    return np.asarray(Image.open(io.BytesIO(annotate(target.getvalue(), {**RESULT, **found}))))


def test_codes_are_drawn_where_they_are() -> None:
    """Promise: a code has an edge and its kind on the picture."""
    code = {"format": "QRCode", "text": "x", "quad": QUAD, "frame": 0}
    plain, marked = drawn(), drawn(codes=[code])
    assert plain.shape == marked.shape
    rows, columns = np.nonzero((plain != marked).any(axis=2))
    top = plain.shape[0] - 200
    assert 118 <= columns.max() <= 140
    assert 118 <= rows.max() - top <= 124
    assert columns.min() >= 38
