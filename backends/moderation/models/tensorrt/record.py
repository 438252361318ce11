"""`plan.json` beside a plan: what it was built from, by and for; and why an older one does not serve here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from moderation.models.store import Entry
from moderation.models.tensorrt.shapes import Profile

FILE: Final = "plan.json"
NO_GPU: Final = "none"


class Record(BaseModel):
    """One plan.

    Attributes:
        tensorrt: flavour and version.
        gpu: name, `none` where it was built without one.
        compute_capability: such as `9.0`; empty without a GPU.
        onnx: SHA-256 of the operated ONNX graph in FP32.
        precision: `fp16`.
        profile: shapes of PIXELS.
        context_bytes: GPU memory of one execution context, that is of one Triton instance; 0 where there was none.
        parity: `plan` when the plan's answers were compared with the FP32 graph's, `graph` when only the FP16 graph's
            were, because there was no GPU.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensorrt: str
    gpu: str
    compute_capability: str
    onnx: str
    precision: str
    profile: Profile
    context_bytes: int
    parity: str

    def write(self, folder: Path) -> None:
        """Into the plan's folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> Record | None:
    """The record of a plan's folder; None where there is none that can be read."""
    try:
        return Record.model_validate(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None


def why_not(entry: Entry, tensorrt: str, gpu: str, profile: Profile) -> str:
    """Why the newest other plan of a network does not serve here, in one sentence; empty where there is none."""
    others = sorted(
        (folder for folder in entry.folder.parent.glob("*") if folder != entry.folder and (folder / FILE).is_file()),
        key=lambda folder: (folder / FILE).stat().st_mtime,
    )
    last = read(others[-1]) if others else None
    if last is None:
        return ""
    differences = [
        f"{what} was {seen}, is {wanted}"
        for what, seen, wanted in (
            ("GPU", last.gpu, gpu),
            ("TensorRT", last.tensorrt, tensorrt),
            ("shapes", _written(last.profile), _written(profile)),
        )
        if seen != wanted
    ]
    return f"{entry.name}: the plan that is there does not fit: {'; '.join(differences) or 'the network has changed'}"


def _written(profile: Profile) -> str:
    return " ".join("x".join(map(str, shape)) for shape in (profile.smallest, profile.usual, profile.largest))
