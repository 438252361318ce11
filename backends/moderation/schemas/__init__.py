"""Published JSON Schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def result() -> dict[str, Any]:
    """The JSON Schema (2020-12) of RESULT."""
    return dict(json.loads((Path(__file__).parent / "result.schema.json").read_text(encoding="utf-8")))
