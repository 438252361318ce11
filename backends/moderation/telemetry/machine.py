"""What the server takes from its machine: cores and shared memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from moderation.telemetry.record import Sample

SHM: Final = Path("/dev/shm")  # noqa: S108 - the kernel's shared memory, which Triton's Python backend uses
CGROUP: Final = Path("/sys/fs/cgroup")


def cores_available(cgroup: Path = CGROUP) -> float:
    """Cores this process may use: those of its affinity, or the limit of its control group when that is less.

    Args:
        cgroup: mount point of cgroup v2; `cpu.max` holds quota and period (Linux, admin-guide/cgroup-v2).
    """
    cores = float(len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        if quota != "max":
            return min(cores, int(quota) / int(period))
    return cores


class Meter:
    """Cores that a process and its children used since the last look.

    Args:
        pid: of the process; its children of any depth count too.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seconds = self._look()
        self._time = time.monotonic()

    def samples(self) -> Iterator[Sample]:
        """Gauges of now. A process that ended since the last look does not count: its last seconds are lost."""
        seconds, now = self._look(), time.monotonic()
        used = sum(value - self._seconds.get(pid, 0.0) for pid, value in seconds.items())
        elapsed = now - self._time
        self._seconds, self._time = seconds, now
        if elapsed > 0:
            yield Sample("moderation_cpu_cores_used", used / elapsed, {})
        yield Sample("moderation_cpu_cores_available", cores_available(), {})
        with contextlib.suppress(OSError):
            shm = shutil.disk_usage(SHM)
            yield Sample("moderation_shared_memory_used_bytes", shm.used, {})
            yield Sample("moderation_shared_memory_total_bytes", shm.total, {})

    def _look(self) -> dict[int, float]:
        """CPU seconds by pid."""
        found: dict[int, float] = {}
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self._pid)
            for process in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    found[process.pid] = times.user + times.system
        return found
