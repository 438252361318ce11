"""What a benchmark ran on, for the head of its report."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median


def describe() -> str:
    """One line: date, processor, cores, versions."""
    info = Path("/proc/cpuinfo").read_text()
    cpu = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown")
    cores = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in ("openvino", "nvidia-pytriton", "tritonclient"))
    return f"{date.today()}, {cpu}, {cores} cores, Python {platform.python_version()}, {packages}"


def resident() -> float:
    """Memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def cpu_ms(work: Callable[[], object], laps: int, runs: int = 5) -> str:
    """CPU milliseconds that one call takes: the median of several runs, and the smallest and largest of them."""
    work()
    taken = []
    for _ in range(runs):
        start = time.process_time()
        for _ in range(laps):
            work()
        taken.append(1000 * (time.process_time() - start) / laps)
    return f"{median(taken):.2f} | {min(taken):.2f}-{max(taken):.2f}"
