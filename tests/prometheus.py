"""Where the tests find prometheus and promtool."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def binary(name: str) -> str:
    """Path of `prometheus` or `promtool`; skips the test where `make prometheus` found none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = cache / "content-moderation" / "tools" / "prometheus" / "usr" / "bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.is_file() else None)
    if found is None:
        pytest.skip(f"no {name}: `make prometheus` fetches it on Debian and Ubuntu")
    return found
