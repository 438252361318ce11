"""Settings on a running server: applied by loading models anew, measured in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from moderation.launcher.control import Control
from moderation.perf.analyzer import Load, PerfAnalyzer
from moderation.perf.target import Target
from moderation.tune import settings
from moderation.tune.judge import Round
from moderation.tune.space import Axis, Choice, Space, Value

WARM_S: Final = 2.0
"""A fresh instance compiles every shape of its network once; this is sent before each measurement."""


class OutOfTimeError(Exception):
    """The time that was given is over; what is measured is written down."""


class Bench:
    """One server on which candidates take turns.

    Args:
        control: of the server.
        target: the same server, for perf_analyzer.
        analyzer: measures.
        data: input file of the measured model.
        space: what is tuned.
    """

    def __init__(self, control: Control, target: Target, analyzer: PerfAnalyzer, data: Path, space: Space) -> None:
        self._control, self._target, self._analyzer, self._data, self._space = control, target, analyzer, data, space
        self._base = {model: control.call(f"/v2/models/{model}/config") for model in space.models}
        self._now: dict[str, dict[str, Any]] = dict(self._base)

    def present(self, axis: Axis) -> Value | None:
        """The value that the profile has."""
        return settings.get(self._base[axis.model], axis.path)

    def apply(self, choice: Choice) -> None:
        """Load the models whose settings differ from what is loaded, with what they call first."""
        wanted = dict(self._base)
        for (model, path), value in choice.items():
            wanted[model] = settings.put(wanted[model], path, value)
        for model in self._space.models:
            if wanted[model] != self._now[model]:
                self._control.configure(model, wanted[model])
                self._now[model] = wanted[model]

    def measure(self, choice: Choice) -> tuple[float, float]:
        """Rate and p95 in milliseconds under some settings."""
        self.apply(choice)
        rules = self._space.judge
        load = Load("concurrency", rules.concurrency)
        self._analyzer.measure(self._target, self._space.model, self._data, load, WARM_S)
        found = self._analyzer.measure(self._target, self._space.model, self._data, load, rules.seconds)
        return found.rate, found.latency_ms["p95"]

    def rounds(
        self, candidates: Sequence[Choice], done: list[Round], keep: Callable[[], None], over: Callable[[], bool]
    ) -> list[Round]:
        """Measure all candidates in turn until there are enough rounds.

        Args:
            candidates: the present settings first.
            done: rounds that exist; new ones are added to it.
            keep: called after each round, to write `done` down.
            over: whether time is up.

        Raises:
            OutOfTimeError: before a round.
        """
        while len(done) < self._space.judge.rounds:
            if over():
                raise OutOfTimeError
            # every other round backwards, so that a machine that gets slower does not favour the first
            order = range(len(candidates)) if len(done) % 2 == 0 else range(len(candidates) - 1, -1, -1)
            found = {index: self.measure(candidates[index]) for index in order}
            both = [found[index] for index in range(len(candidates))]
            done.append(Round([rate for rate, _ in both], [p95 for _, p95 in both]))
            keep()
        return done


def named(choice: Choice, axes: Sequence[Axis]) -> str:
    """A candidate as a report says it."""
    names = {(axis.model, axis.path): axis.name for axis in axes}
    return ", ".join(f"{names[key]} {value}" for key, value in choice.items()) or "as it is"


def dump(choice: Choice) -> list[list[Any]]:
    """A candidate as JSON."""
    return [[model, list(path), value] for (model, path), value in choice.items()]


def parse(rows: Sequence[Sequence[Any]]) -> Choice:
    """The candidate that `dump` wrote."""
    return {(model, tuple(path)): value for model, path, value in rows}


class State:
    """What a sweep has found so far, in one JSON file."""

    def __init__(self, path: Path, sweep: Mapping[str, Any]) -> None:
        self.path = path
        self.document: dict[str, Any] = {"sweep": sweep, "candidates": None, "rounds": [], "turns": []}
        if path.is_file():
            found = json.loads(path.read_text())
            if found["sweep"] == json.loads(json.dumps(sweep)):  # a changed sweep begins anew
                self.document = found

    def keep(self) -> None:
        """Write everything down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.document, indent=1) + "\n")


def rounds_of(rows: Sequence[Mapping[str, Any]]) -> list[Round]:
    """Rounds from JSON."""
    return [Round(**row) for row in rows]


def rows_of(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Rounds as JSON."""
    return [asdict(each) for each in rounds]
