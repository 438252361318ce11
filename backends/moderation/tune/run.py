"""One model tuned: searched, judged, reported, and proposed as a change of its profile."""

from __future__ import annotations

import difflib
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from moderation.client import Address
from moderation.errors import ConfigError
from moderation.launcher.preflight import Ports
from moderation.launcher.protection import Protection
from moderation.launcher.run import REPOSITORY, Plan, serving
from moderation.perf.analyzer import PerfAnalyzer
from moderation.perf.target import Target
from moderation.tune import report, search, settings
from moderation.tune.candidates import Bench, OutOfTimeError, State, dump, named, parse, rounds_of, rows_of
from moderation.tune.inputs import write_inputs
from moderation.tune.judge import Verdict, decide
from moderation.tune.space import Choice, Space, load

ROOT: Final = REPOSITORY.parent
CONFIGS: Final = ROOT / "analyzer_configs"


@dataclass(frozen=True)
class Task:
    """What to tune and with what.

    Attributes:
        pictures: encoded images, the work that the settings are made for.
        work: folder of unfinished sweeps.
        python: of the environment with Model Analyzer.
        until: `time.monotonic()` after which nothing new begins.
        say: gets one sentence of progress at a time.
    """

    model: str
    pictures: Sequence[Path]
    profile: str
    repository: Path
    configs: Path
    work: Path
    python: Path
    until: float
    say: Callable[[str], None]

    def over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() > self.until


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        choice: the settings to use; empty when what is there stays.
        changes: new text of each configuration file that changes.
    """

    choice: Choice
    changes: dict[Path, str]

    def diff(self, root: Path) -> str:
        """Changes as a unified diff, for a person to review."""
        parts = []
        for path, text in self.changes.items():
            name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
            lines = (path.read_text().splitlines(keepends=True), text.splitlines(keepends=True))
            parts += list(difflib.unified_diff(*lines, f"a/{name}", f"b/{name}"))
        return "".join(parts)


def tune(task: Task) -> Outcome:
    """Tune a model against a server of its own on this machine.

    Raises:
        ConfigError: the sweep has faults, or there is none for the model.
        LaunchError: the server or Model Analyzer does not start.
        OutOfTimeError: time was up; the same call goes on later.
    """
    path = task.configs / task.profile / f"{task.model}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"no sweep for {task.model} in profile {task.profile}; there is: {known}")
    space = load(path)
    work = task.work / task.profile / task.model
    state = State(work / "state.json", {"file": path.read_text(), "pictures": _digest(task.pictures)})
    if not state.path.is_file():
        state.keep()
    ports = Ports.free()
    with ExitStack() as stack:
        task.say(f"{task.model}: starting the server")
        # Model Analyzer knows no headers, so the management APIs of this server, on 127.0.0.1 and short-lived, are open
        plan = Plan(
            task.repository, task.profile, ports=ports, log=work / "server.log", protection=Protection(open_admin=True)
        )
        server = stack.enter_context(serving(plan))
        address = Address.parse(f"grpc://127.0.0.1:{ports.grpc}")
        data = work / "input.json"
        write_inputs(space.model, task.pictures, address, data)
        links = work / "libraries"
        links.mkdir(exist_ok=True)
        bench = Bench(server.control, Target(address), PerfAnalyzer(links), data, space)
        if space.judge.search == "in-turn":
            choice = _in_turn(task, space, bench, state)
        else:
            choice = _search(task, space, bench, state, work, ports, data)
    report.write(task.configs / "reports" / task.profile / task.model, space, state.document, choice, work / "export")
    return Outcome(choice, _changes(task, choice))


def _search(task: Task, space: Space, bench: Bench, state: State, work: Path, ports: Ports, data: Path) -> Choice:
    """Model Analyzer's best candidates, judged against what is there."""
    document = state.document
    if document["candidates"] is None:
        task.say(f"{space.model}: Model Analyzer searches {space.combinations()} combinations")
        found = search.run(space, work, task.repository, task.profile, ports, data, task.python, task.over)
        finalists = list({str(dump(choice)): choice for choice in found if _differs(bench, space, choice)}.values())
        document["candidates"] = [dump(choice) for choice in finalists[: space.judge.finalists]]
        state.keep()
    candidates: list[Choice] = [{}, *(parse(rows) for rows in document["candidates"])]
    if len(candidates) == 1:
        return {}
    verdict = _judge(task, space, bench, state, candidates, document["rounds"])
    document["verdict"] = asdict(verdict)
    state.keep()
    return candidates[verdict.winner]


def _differs(bench: Bench, space: Space, choice: Choice) -> bool:
    """Whether a candidate is not what is there already."""
    return any(str(bench.present(axis)) != str(choice.get((axis.model, axis.path))) for axis in space.axes)


def _in_turn(task: Task, space: Space, bench: Bench, state: State) -> Choice:
    """One setting after the other: all its values against the best so far."""
    choice: Choice = {}
    turns = state.document["turns"]
    for index, axis in enumerate(space.axes):
        if index == len(turns):
            turns.append({"axis": axis.name, "candidates": None, "rounds": []})
        turn = turns[index]
        others = [v for v in axis.values if str(v) != str(bench.present(axis))]
        candidates: list[Choice] = [choice, *({**choice, (axis.model, axis.path): value} for value in others)]
        turn["candidates"] = [
            named({key: value for key, value in c.items() if key[1:] == (axis.path,) and key[0] == axis.model}, [axis])
            for c in candidates
        ]
        verdict = _judge(task, space, bench, state, candidates, turn["rounds"])
        turn["verdict"] = asdict(verdict)
        state.keep()
        choice = candidates[verdict.winner]
    return choice


def _judge(
    task: Task, space: Space, bench: Bench, state: State, candidates: Sequence[Choice], rows: list[dict[str, object]]
) -> Verdict:
    done = rounds_of(rows)

    def keep() -> None:
        rows[:] = rows_of(done)
        state.keep()
        rates = ", ".join(f"{rate:.2f}" for rate in done[-1].rates)
        task.say(f"{space.model}: round {len(done)} of {space.judge.rounds}: {rates} requests/s")

    shown = "; ".join(named(choice, space.axes) for choice in candidates)
    task.say(f"{space.model}: measuring in turn: {shown}")
    return decide(bench.rounds(candidates, done, keep, task.over), space.judge)


def _changes(task: Task, choice: Choice) -> dict[Path, str]:
    """Configuration files as they would be."""
    changes: dict[Path, str] = {}
    for (model, path), value in choice.items():
        folder = task.repository / model
        file = folder / "config.pbtxt" if task.profile == "default" else folder / "configs" / f"{task.profile}.pbtxt"
        text = changes.get(file, file.read_text())
        if str(settings.read(text, path)) != str(value):
            changes[file] = settings.edit(text, path, value)
    return changes


def _digest(pictures: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in pictures:
        total.update(path.read_bytes())
    return total.hexdigest()


__all__ = ["CONFIGS", "ROOT", "OutOfTimeError", "Outcome", "Task", "tune"]
