"""What the launcher tells a container's probes: that it lives, and which models lack a Python process.

Triton 24.10 stays ready when a Python process of a model is dead, so a probe of its HTTP interface sees nothing; the
launcher does see it. Standard library only: a probe runs every few seconds and should cost little.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOM: Final = 2048
"""Characters of a heartbeat; those of all models in trouble fit."""


@dataclass(frozen=True)
class Beat:
    """One heartbeat.

    Attributes:
        age_s: seconds since it was written.
        troubled: seconds that each model has lacked a Python process by now.
    """

    age_s: float
    troubled: dict[str, float]


def file(http_port: int) -> Path:
    """Where the launcher with this HTTP port writes."""
    return Path(tempfile.gettempdir()) / f"moderation-{http_port}.heartbeat"


def beat(path: Path, troubled: Mapping[str, float]) -> None:
    """Write a heartbeat, whole or not at all; on a full disk over the last one.

    Args:
        path: from `file`.
        troubled: model → `time.monotonic()` at which it was found to lack a process.
    """
    half = path.with_name(f"{path.name}.{os.getpid()}")
    text = json.dumps({"at": time.monotonic(), "troubled": dict(troubled)})
    try:
        half.write_text(text.ljust(_ROOM))
        half.replace(path)
    except OSError:  # disk full: what is there already has room for it
        half.unlink(missing_ok=True)
        with contextlib.suppress(OSError), path.open("r+") as file:
            file.write(text.ljust(_ROOM))


def read(path: Path) -> Beat | None:
    """The last heartbeat, or None when there is none; Linux's monotonic clock is one for all processes."""
    try:
        found = json.loads(path.read_text())
        now = time.monotonic()
        return Beat(now - found["at"], {model: now - since for model, since in found["troubled"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        return None
