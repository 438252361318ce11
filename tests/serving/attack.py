"""A server under attack: requests that no client library sends, and what must hold before, between and after them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil

from moderation import contract
from moderation.client import Client
from moderation.images.limits import Limits
from moderation.launcher.process import STUB
from serving.conftest import Running
from serving.load import NAMES, SAMPLES, ask

INFER = f"/v2/models/{contract.ENTRY}/infer"
GENERATE = f"/v2/models/{contract.ENTRY}/generate"
GROWTH_MB = 100
CALLERS_FAULT = (400, 404, 405, 411, 413, 414, 415, 431, 501)
TRITONS_500 = ("failed to ", "Unable to parse ", "attempt to ")
"""Of the sentences of Triton's HTTP endpoint about JSON that it cannot read: it calls them its own fault (500)."""
PICTURE = base64.b64encode(SAMPLES["sunset.png"]).decode()
LARGEST = SAMPLES["sunset.png"].ljust(Limits().max_bytes, b"\0")
ROW = {"name": "IMAGE_B64", "shape": [1, 1], "datatype": "BYTES", "data": [PICTURE]}


def triton(running: Running) -> psutil.Process:
    """The tritonserver process."""
    return psutil.Process(running.process.pid).children()[0]


def _stubs(server: psutil.Process) -> set[int]:
    return {child.pid for child in server.children() if STUB in (child.cmdline() or [""])[0]}


def _memory(server: psutil.Process) -> dict[str, float]:
    """Megabytes of the server and its Python processes; pages that they share are counted once."""
    found = {"tritonserver": server.memory_full_info().pss / 1e6}
    for child in server.children():
        name = " ".join(child.cmdline()[:1])[-40:] + f" {child.pid}"
        found[name] = child.memory_full_info().pss / 1e6
    return found


@contextmanager
def attacked(running: Running, heaviest: Callable[[Running], object]) -> Iterator[None]:
    """At the end of the block the server's processes are those of its start, hardly larger, and decide rightly.

    Before it starts, everything is used, and every thread and instance has seen the heaviest request: buffers and
    shared memory are then as large as they get, and what still grows leaks.

    Args:
        running: the server.
        heaviest: sends that request; called eight times at once.
    """
    server = triton(running)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: _decide(running, NAMES[n % len(NAMES)]), range(24)))
        list(pool.map(lambda _: heaviest(running), range(8)))
    before, stubs = _memory(server), _stubs(server)
    yield
    after = _memory(server)
    assert (triton(running).pid, _stubs(server)) == (server.pid, stubs), "a process died and was replaced"
    grown = {name: round(value - before.get(name, 0)) for name, value in after.items()}
    assert sum(grown.values()) < GROWTH_MB, {name: size for name, size in grown.items() if size > 1}
    for name in NAMES:
        assert _decide(running, name)


def _decide(running: Running, name: str) -> bool:
    with Client(running.grpc, timeout_s=30) as client:
        return ask(client, name).right


def tensor(image: bytes) -> dict[str, Any]:
    """A request of one picture in JSON."""
    return {"inputs": [{**ROW, "data": [base64.b64encode(image).decode()]}]}


def post(
    running: Running, path: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, Any]:
    """Status and body of an answer, as JSON where it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(running.http.split("//")[1], timeout=60)
    try:
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    with contextlib.suppress(ValueError):
        return answer.status, json.loads(text)
    return answer.status, text


def raw(address: str, *parts: bytes, timeout_s: float = 10.0, end: bool = False) -> bytes:
    """Send bytes on a connection of their own; the first of the answer.

    Args:
        address: `http://host:port` or `grpc://host:port`.
        end: close our side after the last part.

    Returns:
        What came; empty when the server closed the connection or said nothing in time.
    """
    host, _, port = address.split("//")[1].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=timeout_s)
    with connection, contextlib.suppress(OSError):
        for part in parts:
            connection.sendall(part)
        if end:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(65536)
    return b""


def parsed(answer: bytes) -> tuple[int, Any]:
    """Status and body of the first of a raw HTTP answer, as `post` gives them."""
    head, _, body = answer.partition(b"\r\n\r\n")
    with contextlib.suppress(ValueError):
        return int(head.split()[1]), json.loads(body)
    return int(head.split()[1]), body


def refused(status: int, answer: Any) -> bool:
    """Whether an answer says that the caller is at fault."""
    if status == 500 and isinstance(answer, dict):
        return any(words in str(answer.get("error")) for words in TRITONS_500)
    return status in CALLERS_FAULT
