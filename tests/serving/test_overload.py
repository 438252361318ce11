"""More than the server can do: who gets in, who is told so, and that nobody waits for nothing."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from moderation import contract
from moderation.client import Client
from moderation.samples import render
from serving.conftest import Running, launched, wait_until

QUEUE, INSTANCES = 10, 8  # of configs/cpu.pbtxt
CLIENTS = 60


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A small picture without text, so that a queue of them is soon answered."""
    return render()["sunset.png"]


def _outcome(url: str, picture: bytes, **options: Any) -> tuple[str, float, float]:
    """Decision or status code, seconds that the answer took, and when it came."""
    client = grpc.InferenceServerClient(url.removeprefix("grpc://"))
    tensor = grpc.InferInput("IMAGE", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[picture]], dtype=np.object_))
    started = time.perf_counter()
    try:
        answer = client.infer(contract.ENTRY, [tensor], **options)
        outcome = answer.as_numpy("DECISION").reshape(-1)[0].decode()
    except InferenceServerException as error:
        outcome = str(error.status())
    finally:
        client.close()
    return outcome, time.perf_counter() - started, time.perf_counter()


def test_what_finds_no_place_is_refused_at_once(server: Running, picture: bytes) -> None:
    """Promise: of a burst, as many get an answer as there are places; the rest is UNAVAILABLE, before anybody's answer
    could have taken that long, and nobody gets anything else."""
    _outcome(server.grpc, picture)
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda _: _outcome(server.grpc, picture), range(CLIENTS)))
    counts = Counter(outcome for outcome, _, _ in found)
    refused = [seconds for outcome, seconds, _ in found if "UNAVAILABLE" in outcome]
    answered = [seconds for outcome, seconds, _ in found if outcome in contract.DECISIONS]
    assert len(refused) + len(answered) == CLIENTS, counts
    assert len(answered) >= INSTANCES  # and those of the queue who did not wait too long
    assert refused, "the burst was no burst"
    assert max(refused) < max(answered)


def test_the_first_priority_overtakes(server: Running, picture: bytes) -> None:
    """Promise: with a full queue, requests of priority 1 are answered before those of priority 3 that came earlier."""
    with ThreadPoolExecutor(QUEUE + INSTANCES) as pool:
        low = [pool.submit(_outcome, server.grpc, picture, priority=3) for _ in range(INSTANCES + QUEUE - 4)]
        time.sleep(0.2)  # they are in the queue now
        high = [pool.submit(_outcome, server.grpc, picture, priority=1) for _ in range(4)]
        last_high = max(future.result()[2] for future in high)
        last_low = max(future.result()[2] for future in low)
    assert last_high < last_low


def test_a_short_timeout_ends_the_wait_in_the_queue(server: Running, picture: bytes) -> None:
    """Promise: a caller who says how long it can wait is not answered later from the queue."""
    with ThreadPoolExecutor(QUEUE + INSTANCES) as pool:
        busy = [pool.submit(_outcome, server.grpc, picture) for _ in range(INSTANCES + QUEUE - 4)]
        time.sleep(0.2)
        outcome, _, _ = _outcome(server.grpc, picture, timeout=1000)
        for future in busy:
            future.result()
    assert "UNAVAILABLE" in outcome or "DEADLINE" in outcome, outcome


def test_a_request_of_several_images_is_still_one_request(server: Running, picture: bytes) -> None:
    """Promise: running requests alone does not split or refuse a batch of a caller's own."""
    with Client(server.grpc) as client:
        assert [r["decision"] for r in client.moderate([picture] * 3)] == [_outcome(server.grpc, picture)[0]] * 3


def test_a_response_cache_changes_nothing_but_the_time(tmp_path: Path, picture: bytes) -> None:
    """Promise: repeated pictures get the same RESULT with `--response-cache-mb`, and the cache is really used."""
    with launched(tmp_path, "--response-cache-mb=64") as running, Client(running.grpc) as client:
        documents = [client.moderate([picture])[0] for _ in range(3)]
        for document in documents:
            for changing in ("timings_ms", "request_id"):
                document.pop(changing)
        assert documents[0] == documents[1] == documents[2]
        wait_until(lambda: _hits(running) > 0, 5)


def _hits(running: Running) -> float:
    with urllib.request.urlopen(f"{running.metrics}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("nv_cache_num_hits_per_model{"))
