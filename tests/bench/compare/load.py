"""Sends requests over HTTP: so many in flight, or so many a second at random. One generator for all contenders."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

PATIENCE_S: Final = 120.0
"""Longest wait for an answer; what takes longer counts as not answered."""


@dataclass(frozen=True)
class Call:
    """One request as bytes.

    Attributes:
        name: of the picture.
        headers: of HTTP.
    """

    name: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What came of one request; times in seconds since the run began.

    Attributes:
        status: of HTTP; 0 without an answer.
        body: only of accepted requests.
    """

    name: str
    due: float
    ended: float
    status: int
    body: bytes

    @property
    def latency(self) -> float:
        """Seconds since the request was due: waiting to be sent is waiting too."""
        return self.ended - self.due

    @property
    def accepted(self) -> bool:
        return self.status == 200


def closed(url: str, calls: Sequence[Call], concurrency: int) -> list[Answer]:
    """Keep `concurrency` requests in flight until all calls are answered."""
    return asyncio.run(_closed(url, calls, concurrency))


def poisson(url: str, calls: Sequence[Call], rate: float, seconds: float, seed: int = 1) -> list[Answer]:
    """Send requests at random times, `rate` a second, for so many seconds, whatever becomes of them; then wait.

    Args:
        url: where to.
        calls: taken in turn.
        rate: mean requests a second.
        seconds: length of the run.
        seed: the same seed gives the same times.
    """
    source = random.Random(seed)
    times, now = [], source.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += source.expovariate(rate)
    return asyncio.run(_open(url, calls, times))


async def _closed(url: str, calls: Sequence[Call], concurrency: int) -> list[Answer]:
    answers: list[Answer] = []
    todo = iter(calls)
    async with _session() as session:
        started = time.perf_counter()

        async def caller() -> None:
            for call in todo:
                answers.append(await _ask(session, url, call, time.perf_counter() - started, started))

        await asyncio.gather(*(caller() for _ in range(concurrency)))
    return answers


async def _open(url: str, calls: Sequence[Call], times: Sequence[float]) -> list[Answer]:
    async with _session() as session:
        started = time.perf_counter()

        async def one(index: int, due: float) -> Answer:
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - started)))
            return await _ask(session, url, calls[index % len(calls)], due, started)

        return list(await asyncio.gather(*(one(index, due) for index, due in enumerate(times))))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
    )


async def _ask(session: aiohttp.ClientSession, url: str, call: Call, due: float, started: float) -> Answer:
    status, body = 0, b""
    try:
        async with session.post(url, data=call.body, headers=call.headers) as answer:
            body, status = await answer.read(), answer.status
    except (aiohttp.ClientError, asyncio.TimeoutError):
        pass
    return Answer(call.name, due, time.perf_counter() - started, status, body if status == 200 else body[:300])
