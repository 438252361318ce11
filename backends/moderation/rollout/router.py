"""Plans for the entry model's items, and what a run by a plan needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from moderation.errors import ConfigError
from moderation.pipeline.items import Item
from moderation.pipeline.labels import load_labels
from moderation.pipeline.release import Release
from moderation.pipeline.run import Labels
from moderation.rollout import plan, routes
from moderation.rollout.plan import Plan
from moderation.rollout.watch import WatchedRoutes

SUBJECT: Final = "x-subject"
"""The attribute of the caller that keeps a caller with a version."""


class Router:
    """Shares one release's items among versions.

    Args:
        release: the versions of stages without a route.
        folder: version folder of the entry model in the served repository.
        on_change: see `WatchedRoutes`.

    Raises:
        ConfigError: the routes or the release's manifests have faults.
    """

    def __init__(self, release: Release, folder: Path, on_change: Callable[[str | None], None]) -> None:
        self._release = release
        self._repository = folder.parents[1]
        self._watched = WatchedRoutes(routes.locate(folder), on_change)
        self._watched.follow()
        self._own = load_labels(self._repository, release)
        self._parts: dict[tuple[tuple[str, int], ...], tuple[Release, Labels]] = {}
        self._parts_of = self._watched.current()

    def plan(self, item: Item, subject: Mapping[str, str], settings: Mapping[str, Any]) -> Plan:
        """Who answers an item.

        Raises:
            InputError: the parameter `versions` asks for what may not be had.
        """
        current = self._watched.current()
        wanted = plan.overrides(str(settings.get(plan.PARAMETER, "")), current)
        return plan.make(
            self._release.versions,
            current,
            item.profile,
            subject.get(SUBJECT),
            lambda: plan.image_key(item.image),
            wanted,
        )

    def parts(self, found: Plan) -> tuple[Release, Labels]:
        """The release with a plan's versions, and what their labels mean."""
        if found.versions == self._release.versions:
            return self._release, self._own
        current = self._watched.current()
        if current is not self._parts_of:
            self._parts, self._parts_of = {}, current
        key = tuple(sorted(found.versions.items()))
        if key not in self._parts:
            release = replace(self._release, versions=found.versions)
            try:
                labels = load_labels(self._repository, release)
            except ConfigError:
                labels = Labels()  # networks without labels give no signal, and the stable version stands in
            self._parts[key] = release, labels
        return self._parts[key]
