"""Who is measured, and how each is started, asked, understood and stopped."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from bench.compare import load
from bench.compare.bare import read_block, write_block
from bench.compare.load import Answer, Call
from bench.compare.pictures import Picture
from moderation import contract
from moderation.launcher.command import SINGLE_THREADED
from serving.conftest import Running, free_ports, launched

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parents[1]
CORES: Final = len(os.sched_getaffinity(0))
START_S: Final = 120.0
TITLES: Final = {
    "triton": "this server",
    "usual": "FastAPI + RapidOCR + NudeNet, defaults",
    "tuned": "FastAPI + RapidOCR + NudeNet, tuned",
    "proxy": "FastAPI in front of this Triton",
    "bare": "bare loop, one process per core (the limit)",
}
"""In the order of the report."""
SINGLE: Final = "single"
"""One bare process alone: what the work costs."""
IDENTITY: Final = {"accept-encoding": "identity"}
"""Nobody spends time on compressing answers."""
SERVERS: Final = ("triton", "usual", "tuned", "proxy")
"""Those that take requests; the limit has no callers to keep waiting."""


class Contender(ABC):
    """One that moderates pictures."""

    pids: Sequence[int]

    @abstractmethod
    def closed(self, pictures: Sequence[Picture], concurrency: int) -> list[Answer]:
        """All pictures, so many at a time."""

    @abstractmethod
    def result(self, answer: Answer) -> dict[str, Any]:
        """What an accepted answer says; it has a `decision`."""


class Server(Contender):
    """One behind a URL."""

    def __init__(self, url: str, pids: Sequence[int]) -> None:
        self.url, self.pids = url, pids

    def call(self, picture: Picture) -> Call:
        """The request for a picture."""
        return Call(picture.name, picture.data, {"content-type": "application/octet-stream", **IDENTITY})

    def closed(self, pictures: Sequence[Picture], concurrency: int) -> list[Answer]:
        return load.closed(self.url, [self.call(picture) for picture in pictures], concurrency)

    def poisson(self, pictures: Sequence[Picture], rate: float, seconds: float) -> list[Answer]:
        """Pictures in turn at random times."""
        return load.poisson(self.url, [self.call(picture) for picture in pictures], rate, seconds)

    def result(self, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(answer.body)
        return found


class Triton(Server):
    """The entry model over HTTP, pictures as binary tensors."""

    def __init__(self, server: Running) -> None:
        super().__init__(f"{server.http}/v2/models/{contract.ENTRY}/infer", [server.process.pid])

    def call(self, picture: Picture) -> Call:
        size = {"parameters": {"binary_data_size": len(picture.data) + 4}}
        image = {"name": "IMAGE", "shape": [1, 1], "datatype": "BYTES", **size}
        head = json.dumps({"inputs": [image], "outputs": [{"name": "RESULT"}]}).encode()
        body = head + struct.pack("<I", len(picture.data)) + picture.data
        return Call(picture.name, body, {"Inference-Header-Content-Length": str(len(head)), **IDENTITY})

    def result(self, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.loads(answer.body)["outputs"][0]["data"][0])
        return found


class Bare(Contender):
    """Processes without a server.

    Args:
        count: of them.
    """

    def __init__(self, count: int = CORES) -> None:
        environment = {**os.environ, **SINGLE_THREADED}
        self.processes = [
            subprocess.Popen(
                [sys.executable, HERE / "bare.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            for _ in range(count)
        ]
        self.pids = [process.pid for process in self.processes]
        for process in self.processes:
            assert process.stdout is not None
            assert read_block(process.stdout) == b"ready"

    def closed(self, pictures: Sequence[Picture], concurrency: int) -> list[Answer]:
        """All pictures; `concurrency` beyond the number of processes changes nothing."""
        answers: list[Answer] = []
        todo, lock, started = iter(pictures), threading.Lock(), time.perf_counter()

        def feed(process: subprocess.Popen[bytes]) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            while True:
                with lock:
                    picture = next(todo, None)
                if picture is None:
                    return
                due = time.perf_counter() - started
                write_block(process.stdin, picture.data)
                body = read_block(process.stdout)
                answers.append(
                    Answer(picture.name, due, time.perf_counter() - started, 200 if body else 0, body or b"")
                )

        threads = [threading.Thread(target=feed, args=(p,)) for p in self.processes[:concurrency]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def result(self, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def stop(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


class Stage:
    """Everybody who was asked for, started once; idle ones cost nothing but memory.

    Args:
        scratch: folder for logs.
        options: for `moderation serve`.
    """

    def __init__(self, scratch: Path, options: Sequence[str] = ()) -> None:
        self._scratch, self._options = scratch, options
        self._stack, self._ready = ExitStack(), dict[str, Contender]()
        self._server: Running | None = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, name: str) -> Contender:
        """One of `TITLES`, ready."""
        if name not in self._ready:
            self._ready[name] = self._start(name)
        return self._ready[name]

    def _start(self, name: str) -> Contender:
        if name in ("bare", SINGLE):
            bare = Bare(1 if name == SINGLE else CORES)
            self._stack.callback(bare.stop)
            return bare
        if name in ("usual", "tuned"):
            return self._uvicorn("usual", {"TUNED": "1"} if name == "tuned" else {}, [])
        if self._server is None:
            self._server = self._stack.enter_context(launched(self._scratch, *self._options))
        if name == "triton":
            return Triton(self._server)
        return self._uvicorn("proxy", {"TRITON": self._server.grpc.removeprefix("grpc://")}, [self._server.process.pid])

    def _uvicorn(self, app: str, environment: dict[str, str], others: Sequence[int]) -> Server:
        (port,) = free_ports(1)
        log = self._stack.enter_context((self._scratch / f"{app}-{port}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"bench.compare.apps.{app}:app", f"--port={port}", "--log-level=warning"],
            env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._stack.callback(_end, process)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_S
        while not _answers(f"{address}/ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{app} did not start: {(self._scratch / f'{app}-{port}.log').read_text()[-2000:]}")
            time.sleep(0.1)
        return Server(f"{address}/moderate", [process.pid, *others])


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
