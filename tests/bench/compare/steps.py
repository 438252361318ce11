"""What is measured, in which order, and what one measurement says."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from bench.compare import meter
from bench.compare.contenders import CORES, SERVERS, TITLES, Contender, Server
from bench.compare.load import Answer
from bench.compare.pictures import MIXES, Pictures

LAPS: Final = 24
"""Lap numbers that one measurement may use up, so that no later one repeats a picture."""


@dataclass(frozen=True)
class Size:
    """How much a run does.

    Attributes:
        pictures: in a lap of each mix.
        window_s: least length of one measurement; whole laps only, so a slow contender takes longer.
        rounds: of the mixes; contenders take turns.
        curve: concurrencies of the curve beside `together`.
        overload_s: length of an open loop.
    """

    pictures: int
    window_s: float
    rounds: int
    curve: tuple[int, ...]
    overload_s: float
    together: int = 4


SIZES: Final = {
    "full": Size(pictures=12, window_s=6, rounds=3, curve=(1, 2, 8, 16, 32), overload_s=20),
    "short": Size(pictures=6, window_s=3, rounds=2, curve=(1, 16), overload_s=8),
}


@dataclass(frozen=True)
class Step:
    """One measurement to make.

    Attributes:
        kind: `warm` (the pictures as they are, to compile every shape and to record decisions), `mix` (closed loop,
            every contender), `curve` (closed loop, other concurrencies), `single` (one bare process: what the work
            costs), `steady` and `overload` (open loop at 0.8 and 2 times capacity), `trace` (lone requests).
        number: of the step within its kind, mix and round; decides which laps are asked.
    """

    kind: str
    mix: str
    contender: str
    concurrency: int
    round: int
    number: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.mix}/{self.contender}/{self.concurrency}/{self.round}"


@dataclass
class Row:
    """One measurement.

    Attributes:
        rate: accepted answers a second, until the last one.
        latency_ms: of accepted answers.
        refusal_ms: median time to a refusal, None without any.
        statuses: number of answers by HTTP status; 0 is no answer.
        offered: requests a second of an open loop.
        cpu_s: CPU seconds of all processes of the contender.
        stages_cpu_s: of decoding, networks and reading alone (bare processes only).
        memory_mb: proportional set size at the end.
    """

    step: dict[str, Any]
    images: int
    seconds: float
    rate: float
    latency_ms: dict[str, float]
    refusal_ms: float | None
    statuses: dict[str, int]
    cpu_s: float
    memory_mb: float
    offered: float | None = None
    stages_cpu_s: float | None = None
    decisions: dict[str, str] = field(default_factory=dict)


def plan(size: Size) -> list[Step]:
    """All steps; contenders take turns within a round, and begin with another one in each."""
    names = list(TITLES)
    steps = []
    for number in range(size.rounds):
        turn = names[number % len(names) :] + names[: number % len(names)]
        steps += [Step("mix", mix, name, size.together, number, number) for mix in MIXES for name in turn]
        steps += [Step("single", mix, "bare", 1, number, number) for mix in MIXES] if number == 0 else []
    for index, concurrency in enumerate(size.curve):
        steps += [Step("curve", "mixed", name, concurrency, 0, size.rounds + index) for name in SERVERS]
    for index, kind in enumerate(("steady", "overload")):
        number = size.rounds + len(size.curve) + index
        steps += [Step(kind, "mixed", name, 0, 0, number) for name in SERVERS]
    return steps


def run(step: Step, contender: Contender, pictures: Pictures, size: Size, rate: float) -> Row:
    """Make one measurement.

    Args:
        rate: images a second that the contender is known to do with this mix, with many requests in flight.
    """
    first = (1 + step.number) * LAPS  # lap 0 is that of `warm`
    if step.kind in ("steady", "overload"):
        assert isinstance(contender, Server)
        offered = rate * (0.8 if step.kind == "steady" else 2.0)
        laps = min(LAPS, math.ceil(offered * size.overload_s * 1.3 / size.pictures))
        asked = pictures.laps(step.mix, first, laps)
        started, before = time.perf_counter(), meter.cpu_seconds(contender.pids)
        answers = contender.poisson(asked, offered, size.overload_s)
        return _row(step, contender, answers, time.perf_counter() - started, before, offered)
    least = size.window_s * rate * min(1.0, step.concurrency / CORES)
    laps = min(LAPS, max(1, math.ceil(max(least, 1.5 * step.concurrency) / size.pictures)))
    asked = pictures.laps(step.mix, first, laps)
    started, before = time.perf_counter(), meter.cpu_seconds(contender.pids)
    answers = contender.closed(asked, step.concurrency)
    return _row(step, contender, answers, time.perf_counter() - started, before, None)


def warm(contender: Contender, name: str, mix: str, pictures: Pictures) -> Row:
    """One lap of the pictures as they are."""
    step = Step("warm", mix, name, CORES, 0, 0)
    started, before = time.perf_counter(), meter.cpu_seconds(contender.pids)
    answers = contender.closed(pictures.laps(mix, 0, 1), CORES)
    return _row(step, contender, answers, time.perf_counter() - started, before, None)


def _row(
    step: Step, contender: Contender, answers: Sequence[Answer], seconds: float, before: float, offered: float | None
) -> Row:
    cpu = meter.cpu_seconds(contender.pids) - before
    accepted = [answer for answer in answers if answer.accepted]
    results = {answer.name: contender.result(answer) for answer in accepted}
    refused = [answer.latency for answer in answers if not answer.accepted]
    stages = [contender.result(answer).get("cpu_s") for answer in accepted]
    return Row(
        asdict(step),
        len(accepted),
        round(seconds, 3),
        round(len(accepted) / max((answer.ended for answer in answers), default=1.0), 4),
        _percentiles(accepted, offered is not None),
        round(float(np.median(refused)) * 1e3, 1) if refused else None,
        {str(status): count for status, count in Counter(answer.status for answer in answers).items()},
        round(cpu, 3),
        round(meter.memory_mb(contender.pids), 1),
        None if offered is None else round(offered, 3),
        round(sum(s for s in stages if s), 3) if any(stages) else None,
        {name: str(result["decision"]) for name, result in sorted(results.items()) if "#" not in name},
    )


def _percentiles(answers: Sequence[Answer], open_loop: bool) -> dict[str, float]:
    """In milliseconds. The first burst of a closed loop finds an empty server: what was sent before the first answer
    does not count, unless nothing else is left."""
    first = min((answer.ended for answer in answers), default=0.0)
    steady = answers if open_loop else [answer for answer in answers if answer.due >= first] or answers
    values = [answer.latency * 1e3 for answer in steady]
    if not values:
        return {}
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95, 99)}
