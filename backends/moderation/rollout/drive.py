"""Brings a version to the callers step by step, on every server that shares the routes.

Everything that it does follows from the state file and can be done again: whoever finds a rollout on its way goes on
with it, also after a crash between two of its acts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from moderation import contract
from moderation.client import Client
from moderation.deploy.scrape import Page, fetch
from moderation.errors import ConfigError, LaunchError, ModerationError, ServerError
from moderation.launcher.control import Control
from moderation.pipeline.release import Release
from moderation.pipeline.run import stage_of
from moderation.rollout import routes as routes_file
from moderation.rollout.state import Rollout, Store, decide, replace
from moderation.rollout.watch import POLL_S
from moderation.samples import render

HEAD: Final = "# Written by `moderation rollout`.\n"


@dataclass(frozen=True)
class Fleet:
    """The servers that share the routes.

    Attributes:
        servers: `http://host:port` of each and its metrics page.
        repository: model repository that they serve.
        routes: the file that they read.
        headers: sent with the requests that warm a version up.
        drain_s: longest time that a request may take; then nobody is on the way to a version that lost its share.
        settle_s: until every server has seen a change of the routes; longer where the file is a mounted ConfigMap.
    """

    servers: Sequence[tuple[str, str]]
    repository: Path
    routes: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    drain_s: float = 10.0
    settle_s: float = 4 * POLL_S

    def controls(self) -> list[Control]:
        """Control interface of each server."""
        return [Control(url) for url, _ in self.servers]

    def pages(self) -> dict[str, Page]:
        """Metrics of each server that answers."""
        found = {}
        for url, metrics in self.servers:
            try:
                found[url] = fetch(metrics)
            except ServerError:
                continue  # what it counts until the next look is not lost
        return found


class Driver:
    """Drives the rollouts of a fleet.

    Args:
        tell: called with each thing that happens.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        fleet: Fleet,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.fleet, self.store = fleet, Store(fleet.routes)
        self._tell, self._clock, self._sleep = tell, clock, sleep

    def stable(self, model: str) -> int:
        """The version that all callers have now.

        Raises:
            ConfigError: they share several, or the release does not call the model.
        """
        self._none_running(model)
        route = next(
            (r for r in routes_file.load(self.fleet.routes).routes if (r.model, r.profile) == (model, None)), None
        )
        if route is not None:
            if route.shared:
                raise ConfigError(
                    f"{self.fleet.routes}: callers of {model} share several versions; give one all of them"
                )
            return route.stable
        entry = self.fleet.repository / contract.ENTRY
        newest = max((p for p in entry.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
        versions = Release.load(newest).versions
        if model not in versions:
            raise ConfigError(f"{newest}/pipeline.yaml does not call {model}")
        return versions[model]

    def start(self, rollout: Rollout) -> Rollout:
        """Load the version beside the stable one, warm it up, and give it its first share.

        Raises:
            ConfigError: a rollout of the model is on its way, or there is no such version.
            ModerationError: it does not load or answer; the stable version serves on and the routes are as they were.
        """
        with self.store.locked():
            self._none_running(rollout.model)
            if not (self.fleet.repository / rollout.model / str(rollout.trial)).is_dir():
                raise ConfigError(f"no folder {rollout.model}/{rollout.trial} in {self.fleet.repository}")
            before = self._text()
            try:
                self._load(rollout.model, {rollout.stable, rollout.trial})
                self._route(rollout, 0.0, 0.0)
                self._warm(rollout)
            except ModerationError:
                self._put_back(before)
                raise
            return self._enter(rollout, f"started: {rollout.stable} to {rollout.trial}")

    def tick(self, model: str) -> Rollout:
        """Look at a rollout once, and do what comes next.

        Raises:
            ConfigError: there is none on its way.
        """
        with self.store.locked():
            rollout = self._running(model)
            self._ensure(rollout)
            rollout = rollout.looked(self.fleet.pages())
            self.store.put(rollout)
            coming = decide(rollout, self._clock())
            why = "; ".join(coming.why)
            if coming.act == "roll_back":
                return self._end(rollout, "rolled_back", f"rolled back: {why}")
            if coming.act == "finish":
                return self._end(rollout, "promoted", f"promoted: {why}")
            if coming.act == "step":
                return self._enter(rollout.model_copy(update={"step": rollout.step + 1}), why)
            return rollout

    def promote(self, model: str, version: int, why: str) -> Rollout:
        """Give a version on its way all callers, whatever its guards say."""
        with self.store.locked():
            return self._end(self._running(model, version), "promoted", f"promoted by hand: {why}")

    def abort(self, model: str, version: int, why: str) -> Rollout:
        """Give the stable version all callers again."""
        with self.store.locked():
            return self._end(self._running(model, version), "aborted", f"aborted by hand: {why}")

    def _none_running(self, model: str) -> None:
        if other := self.store.running(model):
            raise ConfigError(f"{model} {other.trial} is on its way; promote or abort it first")

    def _running(self, model: str, version: int | None = None) -> Rollout:
        rollout = self.store.running(model)
        if rollout is None or version not in (None, rollout.trial):
            raise ConfigError(f"no rollout of {model} {version or ''} is on its way".replace("  ", " "))
        return rollout

    def _enter(self, rollout: Rollout, why: str) -> Rollout:
        """Begin a step: first the state, then the routes that follow from it."""
        rollout = rollout.becomes(self._clock(), f"{self._step(rollout)}: {why}").looked(self.fleet.pages())
        self.store.put(rollout)
        self._ensure(rollout)
        self._tell(f"{rollout.model} {rollout.trial}: {rollout.history[-1].what}")
        return rollout

    def _step(self, rollout: Rollout) -> str:
        return f"{rollout.shadow:g} % in the shadow" if rollout.step < 0 else f"{rollout.weight:g} %"

    def _end(self, rollout: Rollout, phase: str, what: str) -> Rollout:
        """Take one version's callers away, wait for their requests, and unload it."""
        rollout = rollout.becomes(self._clock(), what, phase=phase)
        self._route(rollout, rollout.weight, 0.0)
        self.store.put(rollout)
        self._tell(f"{rollout.model} {rollout.trial}: {what}")
        self._sleep(self.fleet.settle_s + self.fleet.drain_s)
        self._load(rollout.model, {rollout.trial if phase == "promoted" else rollout.stable})
        return rollout

    def _ensure(self, rollout: Rollout) -> None:
        """Versions and routes as the state says, also on a server that was started anew."""
        wanted = {rollout.stable, rollout.trial}
        for control in self.fleet.controls():
            if not wanted <= control.versions(rollout.model):
                control.serve_versions(rollout.model, wanted)
        self._route(rollout, rollout.weight, rollout.shadow if rollout.step < 0 else 0.0)

    def _load(self, model: str, versions: set[int]) -> None:
        for control in self.fleet.controls():
            if control.versions(model) != versions:
                control.serve_versions(model, versions)

    def _warm(self, rollout: Rollout) -> None:
        """Every server answers pictures by the version before any caller does."""
        self._sleep(self.fleet.settle_s)
        for url, _ in self.fleet.servers:
            with Client(url, headers=dict(self.fleet.headers)) as client:
                for name, data in render().items():
                    (result,) = client.moderate([data], versions=f"{rollout.model}:{rollout.trial}")
                    if stage_of(rollout.model) in result["unknown"]:
                        raise LaunchError(
                            f"{rollout.model} {rollout.trial} gives no answer to the sample {name} on {url}"
                        )

    def _text(self) -> str | None:
        return self.fleet.routes.read_text() if self.fleet.routes.is_file() else None

    def _put_back(self, text: str | None) -> None:
        if text is None:
            self.fleet.routes.unlink(missing_ok=True)
        elif text != self._text():
            replace(self.fleet.routes, text)

    def _route(self, rollout: Rollout, weight: float, sample: float) -> None:
        """Write the model's shares; what else the file says stays."""
        text = self._text() or ""
        document: dict[str, Any] = yaml.safe_load(text) or {}
        arms = [{"version": rollout.stable, "weight": 100 - weight}, {"version": rollout.trial, "weight": weight}]
        if rollout.phase != "running":
            arms = [arm for arm in arms if arm["weight"]]
        entry: dict[str, Any] = {"model": rollout.model, "arms": arms}
        if sample:
            entry["shadow"] = [{"version": rollout.trial, "sample": sample}]
        entries = list(document.get("routes") or ())
        mine = [n for n, e in enumerate(entries) if (e["model"], e.get("profile")) == (rollout.model, None)]
        document["routes"] = entries if mine else [*entries, entry]
        for number in mine:
            entries[number] = entry
        new = HEAD + yaml.safe_dump(document, sort_keys=False)
        routes_file.parse(new, self.fleet.routes)
        if new != text:
            replace(self.fleet.routes, new)
