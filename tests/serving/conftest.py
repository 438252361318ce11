"""The real tritonserver, started as a person starts it: `moderation serve`, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from moderation.launcher.control import Control
from moderation.launcher.process import STUB

COMMAND = Path(sys.executable).with_name("moderation")
START_S = 120


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    process: subprocess.Popen[bytes]
    http: str
    grpc: str
    metrics: str
    output: Path

    @property
    def control(self) -> Control:
        return Control(self.http)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


@contextmanager
def launched(folder: Path, *options: str, prefix: Sequence[str] = ()) -> Iterator[Running]:
    """`moderation serve` until the end of the block; its output stays in the folder.

    Args:
        options: of `moderation serve`.
        prefix: a command that runs it, without a process of its own.
    """
    http, grpc, metrics = free_ports(3)
    output = folder / "serve.out"
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*prefix, COMMAND, "serve", *ports, f"--log={folder / 'triton.log'}", *options],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200"},
        )
    running = Running(
        process, f"http://127.0.0.1:{http}", f"grpc://127.0.0.1:{grpc}", f"http://127.0.0.1:{metrics}", output
    )
    try:
        wait_until(lambda: b"serving;" in output.read_bytes() or process.poll() is not None, START_S)
        assert process.poll() is None, output.read_text()
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until a condition holds; fails when it does not in time."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started


def stubs(running: Running, model: str) -> list[psutil.Process]:
    """Living Python processes of a model."""
    found = []
    for child in psutil.Process(running.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = child.cmdline()
            if line and STUB in line[0] and any(a.startswith(f"{model}_") for a in line):
                found.append(child)
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave it as it is."""
    with launched(tmp_path_factory.mktemp("server")) as running:
        yield running
