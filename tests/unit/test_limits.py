"""Quotas: token buckets, concurrency, capacity by priority, over processes that may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import ConfigError, OverloadError
from moderation.limits import table
from moderation.limits.admission import Admission, draw
from moderation.limits.settings import Limits, Tenant
from moderation.limits.table import Table

SPAWN = multiprocessing.get_context("spawn")


@given(
    size=st.integers(1, 50),
    rate=st.floats(0.1, 100),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10)), max_size=60),
)
def test_a_bucket_never_gives_more_than_it_got(size: int, rate: float, steps: list[tuple[float, int]]) -> None:
    """Promise: over any time at most the burst and what flowed in is given out; nothing that is there is refused."""
    level, given_out, passed = -1.0, 0, 0.0
    for pause, images in steps:
        passed += pause
        full = float(size) if level < 0 else min(size, level + pause * rate)
        try:
            level = draw(size, rate, level, pause, images)
        except OverloadError:
            assert images > full - 1e-6
            level = full  # what `draw` would have seen; it changes nothing when it refuses
            continue
        given_out += images
    assert given_out <= size + passed * rate + 1e-6


def test_a_refusal_says_when_to_come_back() -> None:
    """Promise: the sentence names the quota and the time, or that the request itself is too large."""
    with pytest.raises(OverloadError, match=r"quota of 2 images a second is used up; try again in 0\.5 s"):
        draw(2, 2, 0.0, 0.0, 1)
    with pytest.raises(OverloadError, match="may have 2 images at most"):
        draw(2, 2, 2.0, 0.0, 3)


def admission(folder: Path, capacity: int = 100, **tenants: Tenant) -> Admission:
    return Admission(tenants, Limits(capacity=capacity), folder)


def reason(ask: Callable[[], Any]) -> str:
    with pytest.raises(OverloadError) as refused:
        ask()
    return refused.value.reason


def test_places_are_given_back(tmp_path: Path) -> None:
    """Promise: a tenant has at most its number of images in work, and each place is free again after its request."""
    gate = admission(tmp_path, a=Tenant(concurrency=2), b=Tenant())
    leave = gate.enter("a", 2)
    assert reason(lambda: gate.enter("a", 1)) == "concurrency"
    gate.enter("b", 5)()
    leave()
    gate.enter("a", 2)()
    assert gate.in_work() == 0


def test_the_last_places_are_for_those_who_matter_most(tmp_path: Path) -> None:
    """Promise: as the server fills up, low priority is refused first, then normal; high gets the last place."""
    gate = admission(
        tmp_path,
        capacity=10,
        low=Tenant(priority="low"),
        normal=Tenant(),
        high=Tenant(priority="high"),
    )
    for _ in range(6):
        gate.enter("low", 1)
    assert reason(lambda: gate.enter("low", 1)) == "capacity"
    for _ in range(2):
        gate.enter("normal", 1)
    assert reason(lambda: gate.enter("normal", 1)) == "capacity"
    for _ in range(2):
        gate.enter("high", 1)
    assert reason(lambda: gate.enter("high", 1)) == "capacity"


def test_a_server_that_is_slow_refuses_earlier(tmp_path: Path) -> None:
    """Promise: what counts is how long the images in work will take; an idle server refuses nobody."""
    gate = Admission({"low": Tenant(priority="low"), "high": Tenant(priority="high")}, Limits(max_wait_s=0.3), tmp_path)
    leave = gate.enter("high", 1)
    time.sleep(0.2)
    leave()  # an image takes 0.2 s
    first = gate.enter("low", 4)
    assert reason(lambda: gate.enter("low", 1)) == "capacity"
    assert reason(lambda: gate.enter("high", 1)) == "capacity"
    first()
    one = gate.enter("high", 1)
    assert gate.in_work() == 1
    two = gate.enter("high", 1)
    one(), two()


def test_a_refused_request_costs_no_quota(tmp_path: Path) -> None:
    """Promise: what is refused for want of room takes nothing out of the bucket."""
    gate = admission(tmp_path, a=Tenant(images_per_second=0.001, burst=2, concurrency=1))
    leave = gate.enter("a", 1)
    for _ in range(5):
        assert reason(lambda: gate.enter("a", 1)) == "concurrency"
    leave()
    gate.enter("a", 1)()
    assert reason(lambda: gate.enter("a", 1)) == "rate"


def worker(folder: Path, tries: int, entered: Any) -> None:
    gate = admission(folder, a=Tenant(images_per_second=0.001, burst=50))
    for _ in range(tries):
        try:
            gate.enter("a", 1)()
        except OverloadError:
            continue
        with entered.get_lock():
            entered.value += 1


def test_processes_share_one_bucket(tmp_path: Path) -> None:
    """Promise: four processes that ask at the same time get the burst once, not four times."""
    entered = SPAWN.Value("i", 0)
    processes = [SPAWN.Process(target=worker, args=(tmp_path, 60, entered)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert entered.value == 50


def hold(folder: Path, ready: Any) -> None:
    gate = admission(folder, a=Tenant(concurrency=3))
    gate.enter("a", 3)
    ready.set()
    time.sleep(60)


def test_a_killed_process_gives_its_places_back(tmp_path: Path) -> None:
    """Promise: kill -9 in the middle of requests leaves no place taken for ever."""
    gate = admission(tmp_path, a=Tenant(concurrency=3))
    ready = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    assert reason(lambda: gate.enter("a", 1)) == "concurrency"
    process.kill()
    process.join(10)
    gate.enter("a", 3)()
    assert gate.in_work() == 0


def clutch(folder: Path, ready: Any) -> None:
    gate = admission(folder, a=Tenant())
    with gate._table._lock:
        ready.set()
        time.sleep(60)


def test_a_stopped_process_blocks_nobody_for_long(tmp_path: Path) -> None:
    """Promise: a holder of the table that is stopped means a refusal in a tenth of a second, never a wait for ever."""
    gate = admission(tmp_path, a=Tenant())
    leave = gate.enter("a", 1)
    ready = SPAWN.Event()
    process = SPAWN.Process(target=clutch, args=(tmp_path, ready))
    process.start()
    assert ready.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    assert reason(lambda: gate.enter("a", 1)) == "table"
    leave()  # cannot be counted now, and is not forgotten
    process.kill()
    process.join(10)
    gate.enter("a", 1)()
    assert gate.in_work() == 0


def test_more_processes_than_rows_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: the table says that it is full instead of counting wrongly."""
    monkeypatch.setattr(table, "ROWS", 2)
    kept = [Table(tmp_path / "t", 1), Table(tmp_path / "t", 1)]
    with pytest.raises(ConfigError, match="2 processes use this table"):
        Table(tmp_path / "t", 1)
    assert len(kept) == 2
