"""CPU seconds and memory of a contender: all its processes together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """Processes and everything they started."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                found[process.pid] = process
    return list(found.values())


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far."""
    total = 0.0
    for process in tree(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size: shared pages count once, and shared memory of Triton's Python processes too."""
    total = 0
    for process in tree(pids):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total / 1e6
