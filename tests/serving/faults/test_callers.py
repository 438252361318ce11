"""Callers that are slow, break off, cancel, come all at once or too late: it costs them, and nobody else."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as grpc

from moderation import contract
from moderation.samples import EXPECTED
from serving.attack import INFER, triton
from serving.conftest import Running, launched, wait_until
from serving.faults.report import ROWS, Row, note
from serving.load import SAMPLES, Outcome, Protocol, ask_once, load

HEAD = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` a reset, as when a client dies."""


def tensor(name: str) -> Any:
    """A sample as an input for tritonclient."""
    made = grpc.InferInput("IMAGE", [1, 1], "BYTES")
    made.set_data_from_numpy(np.array([[SAMPLES[name]]], dtype=np.object_))
    return made


@contextmanager
def others(server: Running, fault: str) -> Iterator[Protocol]:
    """Two clients that ask all the time while the fault happens in the block, and get what they always get at its
    end."""
    with load(server.http, server.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        yield protocol
        after = time.monotonic()
        wait_until(lambda: protocol.healthy(after, 4), 60)
    note(fault, protocol, moment)


def connected(server: Running) -> socket.socket:
    """A connection to the HTTP port."""
    host, _, port = server.http.split("//")[1].partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def open_files(server: Running) -> int:
    """File descriptors of tritonserver."""
    return triton(server).num_fds()


def test_slow_clients_hold_up_nobody(server: Running) -> None:
    """Promise: fifty clients that send a byte now and then, or never read their answer, delay no other's answer and
    leave no connection behind."""
    before = open_files(server)
    with others(server, "50 clients that send bytes one by one, 10 that never read") as protocol:
        moment = time.monotonic()
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(connected(server)) for _ in range(50)]
            for connection in slow:
                connection.sendall(HEAD)
            for _ in range(10):
                deaf = stack.enter_context(connected(server))
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                deaf.sendall(b"GET /v2/models/content-moderation-ensemble/config HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            for _ in range(20):
                for connection in slow:
                    connection.sendall(b"{")
                time.sleep(0.1)
            wait_until(lambda: len(protocol.since(moment)) >= 8, 60)
        assert all(o.right for o in protocol.since(moment))
    wait_until(lambda: open_files(server) <= before + 4, 30)


def test_uploads_that_break_off(server: Running) -> None:
    """Promise: two hundred clients that die in the middle of their upload leave nothing behind and delay nobody."""
    before = open_files(server)
    with others(server, "200 connections dropped in the middle of an upload") as protocol:
        moment = time.monotonic()
        for _ in range(200):
            connection = connected(server)
            connection.sendall(HEAD + bytes(500_000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
        wait_until(lambda: len(protocol.since(moment)) >= 8, 60)
        assert all(o.right for o in protocol.since(moment))
    wait_until(lambda: open_files(server) <= before + 4, 30)


def test_cancelled_calls(server: Running) -> None:
    """Promise: gRPC calls that are cancelled at any moment end for their caller, with a decision only if it is right,
    and change no other answer."""
    choose, ended = random.Random(7), list[str]()

    def end(result: Any, error: Exception | None) -> None:
        ended.append(str(error) if error else str(result.as_numpy("DECISION").reshape(-1)[0].decode()))

    with others(server, "40 gRPC calls cancelled"):
        client = grpc.InferenceServerClient(server.grpc.split("//")[1])
        for _ in range(40):
            call = client.async_infer(contract.ENTRY, [tensor("sunset.png")], end)
            time.sleep(choose.choice((0.0, 0.002, 0.02, 0.1)))
            call.cancel()
        wait_until(lambda: len(ended) == 40, 60)
        client.close()
    assert all("CANCELLED" in text or "UNAVAILABLE" in text or text == EXPECTED["sunset.png"] for text in ended), ended
    assert any("CANCELLED" in text for text in ended)


def test_deadlines_that_pass(server: Running) -> None:
    """Promise: whatever time a request gets, it ends as unavailable or with the decision that its picture has."""
    with others(server, "60 requests with deadlines of 1 to 200 ms") as protocol:
        for number in range(60):
            protocol.outcomes.append(ask_once(server.grpc, "threat.jpg", deadline_ms=(1, 10, 40, 80, 200)[number % 5]))
    late = [o for o in protocol.outcomes if "deadline" in o.detail]
    assert late
    assert all("UNAVAILABLE" in o.detail for o in late)


def test_a_full_queue(server: Running) -> None:
    """Promise: of a hundred requests at once each gets its decision or is told that there is no room."""
    with others(server, "100 requests at once, 24 places") as protocol, ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda _: ask_once(server.grpc, "sunset.png"), range(100)))
        protocol.outcomes += found
    refused = [o for o in found if o.decision == "error"]
    assert 0 < len(refused) < 100
    assert all("UNAVAILABLE" in o.detail for o in refused), refused


def test_a_stop_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Promise: SIGTERM with requests at work and in the queue answers every one of them rightly, refuses what comes
    later, ends with code 0 and leaves no shared memory."""
    with launched(tmp_path) as running:
        owner, found = running.process.pid, list[Outcome]()
        names = ("animation.gif", "threat.jpg", "sunset.png", "notice.jpg")
        urls = (running.http, running.grpc)
        senders = [
            threading.Thread(target=lambda n=n: found.append(ask_once(urls[n % 2], names[n % 4]))) for n in range(16)
        ]
        for sender in senders:
            sender.start()
        wait_until(lambda: bool(found) or waiting(running) >= 16 - 8, 30)
        moment = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        late = Protocol()
        while running.process.poll() is None and len(late.outcomes) < 50:
            late.outcomes.append(ask_once(running.grpc, "sunset.png"))
        for sender in senders:
            sender.join(60)
        assert running.process.wait(60) == 0
        over = time.monotonic() - moment
        assert not list(Path("/dev/shm").glob(f"moderation-{owner}-*"))
    assert [o for o in found if not o.right] == []
    assert late.wrong == []
    refused = next((o.at - moment for o in late.outcomes if o.decision == "error"), 0.0)
    ROWS.append(Row("SIGTERM with 16 requests in flight", refused, over, len(found), 0, 0))


def waiting(running: Running) -> int:
    """Requests in the entry model's queue."""
    with urllib.request.urlopen(f"{running.metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(rf'nv_inference_pending_request_count{{model="{contract.ENTRY}"[^}}]*}} (\d+)', text)
    return sum(map(int, found))
