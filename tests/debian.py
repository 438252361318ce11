"""Where the tests find programs of Debian's packages: on PATH, or unpacked by deploy/debian.sh."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def tools() -> Path:
    """Folder of the unpacked packages."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "content-moderation" / "tools"


def binary(name: str) -> str:
    """Path of a program; skips the test where `make debian-tools` found none."""
    unpacked = [*tools().glob(f"*/usr/bin/{name}"), *tools().glob(f"*/usr/sbin/{name}")]
    found = shutil.which(name) or (str(unpacked[0]) if unpacked else None)
    if found is None:
        pytest.skip(f"no {name}: `make debian-tools` fetches it on Debian and Ubuntu")
    return found


def environment(program: str) -> dict[str, str]:
    """Environment to run it in: with the libraries that were unpacked beside it."""
    libraries = [str(path) for path in Path(program).parents[1].glob("lib/*-linux-gnu")]
    if Path(program).is_relative_to(tools()) and libraries:
        return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    return dict(os.environ)
