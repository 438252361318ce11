"""What a benchmark ran on, for the head of its report."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """One line: date, processor, cores, versions."""
    info = Path("/proc/cpuinfo").read_text()
    cpu = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown")
    cores = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in ("openvino", "nvidia-pytriton", "tritonclient"))
    return f"{date.today()}, {cpu}, {cores} cores, Python {platform.python_version()}, {packages}"
