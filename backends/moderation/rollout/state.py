"""A rollout on its way, kept in a file beside the routes, so that it outlives whoever drives it.

`decide` says what comes next and is pure; `moderation.rollout.drive` does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from moderation.deploy.scrape import Page
from moderation.errors import ConfigError
from moderation.policy.rule_schema import Strict
from moderation.rollout import guards
from moderation.rollout.guards import Limits
from moderation.rollout.routes import WHOLE
from moderation.rollout.schema import Stage, Version

FILE: Final = "rollouts.json"
STEPS: Final = (1.0, 5.0, 25.0, 50.0, 100.0)
_NAMES: Final = ("moderation_arm_", "moderation_shadow_")
Phase = Literal["running", "promoted", "rolled_back", "aborted"]
Series = list[tuple[str, dict[str, str], float]]


class Event(Strict):
    """Something that happened to a rollout."""

    at: float = Field(description="seconds since 1970")
    what: str


class Rollout(Strict):
    """One version on its way to all callers.

    `gained` is what the metrics gained in this step, `seen` what each server's metrics were at the last look: together
    they survive restarts of the servers and of whoever drives the rollout.
    """

    model: Stage
    stable: Version
    trial: Version
    steps: Annotated[tuple[float, ...], Field(min_length=1)]
    shadow: float = 0
    hold_s: float
    limits: Limits
    phase: Phase = "running"
    step: int = Field(default=0, description="index in `steps`; -1 in the shadow, before the first share")
    since: float
    gained: Series = Field(default_factory=list)
    seen: dict[str, Series] = Field(default_factory=dict)
    history: list[Event] = Field(default_factory=list)

    @property
    def weight(self) -> float:
        """Percent of the callers that the version on trial has now."""
        if self.phase != "running":
            return 100.0 if self.phase == "promoted" else 0.0
        return 0.0 if self.step < 0 else self.steps[self.step]

    def becomes(self, now: float, what: str, **changes: object) -> Rollout:
        """The rollout after an event; what was gained before counts no more."""
        history = [*self.history, Event(at=now, what=what)]
        return self.model_copy(update={**changes, "since": now, "gained": [], "history": history})

    def looked(self, pages: dict[str, Page]) -> Rollout:
        """The rollout with what each server's metrics gained since the last look."""
        gained = to_page(self.gained)
        seen = dict(self.seen)
        for server, page in pages.items():
            mine = _mine(page, self.model)
            if server in seen:
                gained = gained + mine.since(to_page(seen[server]))
            seen[server] = to_series(mine)
        return self.model_copy(update={"gained": to_series(gained), "seen": seen})


@dataclass(frozen=True)
class Next:
    """What comes next.

    Attributes:
        act: `hold`, `step`, `finish` or `roll_back`.
        why: one sentence for each reason.
    """

    act: Literal["hold", "step", "finish", "roll_back"]
    why: tuple[str, ...]


def decide(rollout: Rollout, now: float) -> Next:
    """What comes next for a running rollout: a broken guard sends it back at once, time and items bring it on."""
    gained = to_page(rollout.gained)
    trial, stable = (guards.arm(gained, rollout.model, v) for v in (rollout.trial, rollout.stable))
    shadow = guards.looks(gained, rollout.model, rollout.trial)
    if faults := guards.broken(trial, stable, shadow, rollout.limits):
        return Next("roll_back", tuple(faults))
    waits = []
    items = shadow.items if rollout.step < 0 else trial.items
    if (left := rollout.since + rollout.hold_s - now) > 0:
        waits.append(f"{left:.0f} s of {rollout.hold_s:g} s left")
    if items < rollout.limits.min_items:
        waits.append(f"{items} of {rollout.limits.min_items} items seen")
    if 0 < rollout.weight < WHOLE and stable.items < guards.ENOUGH:
        waits.append(f"{stable.items} of {guards.ENOUGH} items of the stable version seen")
    if waits:
        return Next("hold", tuple(waits))
    last = rollout.step == len(rollout.steps) - 1
    return Next("finish" if last else "step", (f"{items} items, no guard broken",))


def to_page(series: Series) -> Page:
    """Series of the file as a metrics page."""
    return Page({(name, frozenset(labels.items())): value for name, labels, value in series})


def to_series(page: Page) -> Series:
    """A metrics page for the file."""
    return [(name, dict(sorted(labels)), value) for (name, labels), value in page.samples.items()]


def _mine(page: Page, model: str) -> Page:
    mine = {("model", model)}
    return Page({(name, has): v for (name, has), v in page.samples.items() if name.startswith(_NAMES) and mine <= has})


class _File(Strict):
    rollouts: list[Rollout] = Field(default_factory=list)


class Store:
    """The file of all rollouts of one set of routes; the newest of a model is its last.

    Args:
        routes: the routes file, which it lies beside.
    """

    def __init__(self, routes: Path) -> None:
        self.path = routes.with_name(FILE)

    def all(self) -> list[Rollout]:
        """Every rollout, oldest first.

        Raises:
            ConfigError: the file is no such file.
        """
        try:
            return _File.model_validate_json(self.path.read_text()).rollouts
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise ConfigError(f"{self.path} cannot be used: {error}") from None

    def running(self, model: str) -> Rollout | None:
        """The rollout of a model that is on its way."""
        return next((r for r in self.all() if r.model == model and r.phase == "running"), None)

    def put(self, rollout: Rollout) -> None:
        """Add a rollout, or replace the one of the same model that is on its way."""
        kept = [r for r in self.all() if not (r.model == rollout.model and r.phase == "running")]
        replace(self.path, _File(rollouts=[*kept, rollout]).model_dump_json(indent=1))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One change at a time, over processes."""
        with self.path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def replace(path: Path, text: str) -> None:
    """Write a file so that readers see the old or the new one, and a crash leaves one of them."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
