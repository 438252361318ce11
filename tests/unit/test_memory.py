"""What requests leave in the memory of a backend's process."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation import contract
from moderation.errors import DeadlineError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.launcher.run import REPOSITORY
from moderation.pipeline.items import Item
from moderation.pipeline.moderate import moderate
from moderation.pipeline.release import Release
from moderation.pipeline.run import Labels, Run
from moderation.samples import render
from moderation.serving.memory import EVERY_S, Sweeper, confine

PICTURE = render()["sunset.png"]
RELEASE = Release.load(REPOSITORY / contract.ENTRY / "1")


@pytest.fixture
def sweeper() -> Iterator[Sweeper]:
    """As a backend has it, with the collector left alone otherwise, so that nothing is freed by luck."""
    made = Sweeper()
    gc.disable()
    yield made
    gc.enable()
    gc.unfreeze()


def late(held: list[weakref.ref[Any]]) -> None:
    """A request whose time is up in the first branch; weak references to its pixels are added to `held`."""

    async def call(
        model: str, version: int, inputs: Mapping[str, Any], outputs: Sequence[str], parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        if model != contract.PREPROCESSOR:
            raise DeadlineError("late")
        found = preprocess(PICTURE, PreprocessConfig())
        held.append(weakref.ref(found.text))
        info = np.array([json.dumps(found.info).encode()], object)
        return {
            "SAFETY_PIXELS": found.safety,
            "CLASSIFIER_PIXELS": found.classifier,
            "TEXT_PIXELS": found.text,
            "INFO": info,
        }

    run = Run(call, RELEASE, Labels(), time.monotonic() + 10, lambda: False)
    with pytest.raises(DeadlineError):
        asyncio.run(moderate(Item(PICTURE, None, None), run))


def test_the_pixels_of_late_requests_are_freed(sweeper: Sweeper) -> None:
    """Promise: pixels of requests that failed go with the next sweep, however many requests failed."""
    held: list[weakref.ref[Any]] = []
    for _ in range(5):
        late(held)
    assert any(found() is not None for found in held), "nothing was held: the sweeper is needed no more"
    sweeper._last -= EVERY_S
    sweeper.sweep()
    assert [found() for found in held] == [None] * 5


def test_a_sweep_is_rare(sweeper: Sweeper) -> None:
    """Promise: requests that follow each other closely do not each pay for one."""
    held: list[weakref.ref[Any]] = []
    late(held)
    sweeper._last = time.monotonic() + EVERY_S
    sweeper.sweep()
    assert held[0]() is not None


def greedy() -> None:
    """Confines itself, then wants more; exits with 0 when it is refused and goes on with less."""
    confine(64 << 20)
    try:
        bytearray(200 << 20)
    except MemoryError:
        sys.exit(len(bytearray(16 << 20)) != 16 << 20)
    sys.exit(2)


def test_a_confined_process_is_refused_memory() -> None:
    """Promise: what a decoder wants beyond its share is a MemoryError, and smaller wishes are still granted."""
    command = [sys.executable, "-c", "from unit.test_memory import greedy; greedy()"]
    assert subprocess.run(command, cwd=Path(__file__).parents[1], timeout=60).returncode == 0
