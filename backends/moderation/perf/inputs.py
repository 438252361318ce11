"""Images as an input file of perf_analyzer."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_input_data(pictures: Sequence[Path], target: Path, extra: Mapping[str, str] | None = None) -> None:
    """Write one request for each picture; BYTES values are the base64 of a 4-byte little-endian length and the content.

    Args:
        pictures: encoded images.
        target: file to write.
        extra: other BYTES inputs of every request, by name (`TEXT`, `POLICY`).
    """
    same = {name: _encoded(value.encode()) for name, value in (extra or {}).items()}
    rows = [{"IMAGE": _encoded(path.read_bytes()), **same} for path in pictures]
    target.write_text(json.dumps({"data": rows}))


def write_tensor_data(rows: Sequence[Mapping[str, npt.NDArray[Any]]], target: Path) -> None:
    """Write one request for each row of numeric tensors, in the shape that each tensor has, without a batch dimension.

    Args:
        rows: tensors by input name.
        target: file to write.
    """
    data = [
        {
            name: {
                "content": {"b64": base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()},
                "shape": list(a.shape),
            }
            for name, a in row.items()
        }
        for row in rows
    ]
    target.write_text(json.dumps({"data": data}))


def _encoded(value: bytes) -> dict[str, Any]:
    return {"b64": base64.b64encode(struct.pack("<I", len(value)) + value).decode(), "shape": [1]}
