"""Everything about the machine that is checked before tritonserver is started."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from moderation.errors import LaunchError

SHM: Final = Path("/dev/shm")  # noqa: S108 - the kernel's shared memory, which Triton's Python backend uses
REGION_BYTES: Final = 2 * 1024 * 1024
"""Shared memory each Python instance starts with and grows by (1 MiB + 1 MiB, python_backend README)."""
PIXEL_BYTES: Final = 24 * 1024 * 1024
"""Room for the largest tensors one Python instance holds at a time: three rendered views of four frames."""


@dataclass(frozen=True)
class Ports:
    """Where the server listens."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    @classmethod
    def free(cls) -> Ports:
        """Three that nobody on this machine listens on now."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return cls(*(int(each.getsockname()[1]) for each in sockets))


def check_python() -> None:
    """Refuse a Python this product is not tested on.

    Raises:
        LaunchError: naming the version and the range.
    """
    if not (3, 10) <= sys.version_info[:2] < (3, 14):
        raise LaunchError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} is not supported; use 3.10, 3.11, 3.12 or 3.13"
        )


def check_numpy(origin: str, version: str = np.__version__) -> None:
    """Refuse NumPy 2 beside the embedded server, whose Python stubs read NumPy 1's memory layout and would crash.

    Args:
        origin: of the server, see `ServerInstall`.
        version: of NumPy.

    Raises:
        LaunchError: naming both versions and the remedy.
    """
    if origin == "wheel" and not version.startswith("1."):
        raise LaunchError(f"NumPy {version} does not work with the embedded tritonserver 24.10; install `numpy<2`")


def check_ports(address: str, ports: Ports) -> None:
    """Refuse ports that another process holds; all of them in one message.

    Raises:
        LaunchError: naming each taken port and the setting that changes it.
    """
    taken = []
    for setting, port in (("--http-port", ports.http), ("--grpc-port", ports.grpc), ("--metrics-port", ports.metrics)):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                taken.append(f"{setting} {port} ({os.strerror(error.errno or 0).lower()})")
    if taken:
        raise LaunchError(
            f"cannot listen on {address}: {', '.join(taken)}. Choose other ports or stop the other process"
        )


def check_shared_memory(python_instances: int, shm: Path = SHM) -> None:
    """Refuse a /dev/shm that the Python instances would overflow; a container's default is 64 MB.

    Args:
        python_instances: how many Python model instances will run.
        shm: mount point.

    Raises:
        LaunchError: with the size that is needed and how to get it.
    """
    needed = python_instances * (REGION_BYTES + PIXEL_BYTES)
    free = shutil.disk_usage(shm).free
    if free < needed:
        raise LaunchError(
            f"{shm} has {free >> 20} MiB free and {python_instances} Python instances need {needed >> 20} MiB. "
            f"Give the container --shm-size={needed >> 20}m, or mount a memory volume there"
        )


def count_instances(config: str) -> int:
    """Instances that a config.pbtxt asks for; 1 without an instance_group."""
    return sum(int(n) for n in re.findall(r"count:\s*(\d+)", config)) or 1


def python_instances(repository: Path, profile: str) -> int:
    """Python model instances of a served repository under a profile."""
    total = 0
    for default in repository.glob("*/config.pbtxt"):
        variant = default.parent / "configs" / f"{profile}.pbtxt"
        text = (variant if variant.is_file() else default).read_text()
        if 'backend: "moderation_' in text:
            total += count_instances(text)
    return total


REGION_PREFIX: Final = "moderation-"


def region_prefix(pid: int) -> str:
    """Prefix of the shared memory regions of one launcher, so that leftovers can be told from live ones."""
    return f"{REGION_PREFIX}{pid}-"


def clear_own(pid: int, shm: Path = SHM) -> None:
    """Remove what a server that had to be killed left in shared memory; call it when all of its processes are gone."""
    for path in shm.glob(f"{region_prefix(pid)}*"):
        path.unlink(missing_ok=True)


def clear_leftovers(shm: Path = SHM) -> int:
    """Remove the shared memory of launchers that are gone; regions of living ones stay.

    Returns:
        Number of regions removed.
    """
    removed = 0
    for path in shm.glob(f"{REGION_PREFIX}*"):
        owner = path.name.removeprefix(REGION_PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            path.unlink(missing_ok=True)
            removed += 1
    return removed
