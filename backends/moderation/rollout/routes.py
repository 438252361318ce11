"""routes.yaml to `Routes`, or to all of its faults at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from moderation import contract
from moderation.errors import RoutesError
from moderation.policy.faults import Faults
from moderation.policy.source import Source
from moderation.rollout import schema
from moderation.rollout.assignment import choose

FILE: Final = "routes.yaml"
ENVIRONMENT: Final = "MODERATION_ROUTES"
"""Names a file elsewhere, such as one that several servers mount, instead of the one in the version folder."""
WHOLE: Final = 100.0
_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class Route:
    """How one model's callers are shared.

    Attributes:
        weights: percent by version; they add up to 100.
        shadow: percent of requests that a version looks at in the shadow.
    """

    model: str
    profile: str | None
    weights: Mapping[int, float]
    shadow: Mapping[int, float]

    @property
    def stable(self) -> int:
        """The version that stands in for another that fails: the greatest share, the oldest of equals."""
        return max(self.weights, key=lambda version: (self.weights[version], -version))

    @property
    def listed(self) -> tuple[int, ...]:
        """Versions that testers may ask for."""
        return tuple(sorted({*self.weights, *self.shadow}))

    @property
    def shared(self) -> bool:
        """Whether more than one version answers."""
        return sum(weight > 0 for weight in self.weights.values()) > 1


@dataclass(frozen=True)
class Routes:
    """Every route, and what all have in common."""

    routes: tuple[Route, ...] = ()
    salt: str = ""
    overrides: bool = True

    def find(self, model: str, profile: str) -> Route | None:
        """The first route of a model that fits a profile; None: the release's own version answers all."""
        return next((r for r in self.routes if r.model == model and r.profile in (None, profile)), None)

    def models(self) -> tuple[str, ...]:
        """Models with a route, each once."""
        return tuple(dict.fromkeys(route.model for route in self.routes))

    def version(self, route: Route, key: str) -> int:
        """The version that a caller sees, always the same for the same weights."""
        return choose(route.weights, f"{self.salt}\0{route.model}", key)


def locate(folder: Path) -> Path:
    """The routes of an entry model's version folder: the file that the environment names, else the folder's own."""
    return Path(os.environ.get(ENVIRONMENT) or folder / FILE)


def load(path: Path) -> Routes:
    """Read a routes file; where there is none, every version is that of the release.

    Raises:
        RoutesError: `faults` has one line for each fault: line, path, value, what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Routes()
    except (OSError, UnicodeDecodeError) as error:
        raise RoutesError(path, (f"{path.name}:1: cannot be read: {type(error).__name__}",)) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Routes:
    """Routes from the text of a file; `path` is for messages.

    Raises:
        RoutesError: as `load`.
    """
    document, faults = _document(text, path)
    if document is not None:
        _check(document, faults)
    if document is None or faults.any():
        raise RoutesError(path, faults.lines())
    routes = tuple(
        Route(
            route.model,
            route.profile,
            {arm.version: arm.weight for arm in route.arms},
            {shadow.version: shadow.sample for shadow in route.shadow},
        )
        for route in document.routes
    )
    return Routes(routes, document.salt, document.overrides == "allowed")


def _document(text: str, path: Path) -> tuple[schema.RoutesFile | None, Faults]:
    source = Source(text)
    faults = Faults(path.name, source)
    if source.faults:
        return None, faults
    try:
        return schema.RoutesFile.model_validate(source.data), faults
    except ValidationError as error:
        faults.add_all(error, schema.RoutesFile)
        return None, faults


def _check(document: schema.RoutesFile, faults: Faults) -> None:
    seen: dict[str, dict[str | None, int]] = {}
    for i, route in enumerate(document.routes):
        at = ("routes", i)
        total = sum(arm.weight for arm in route.arms)
        if abs(total - WHOLE) > _ROUNDING:
            faults.add((*at, "arms"), f"have weights that add up to {total:g}; 100 is expected")
        versions = [arm.version for arm in route.arms]
        for j, version in enumerate(versions):
            if version in versions[:j]:
                faults.add((*at, "arms", j, "version"), f"is {version}, which has an arm already; keep one")
        answering = {arm.version for arm in route.arms if arm.weight > 0}
        shadows = [shadow.version for shadow in route.shadow]
        for j, version in enumerate(shadows):
            if version in shadows[:j]:
                faults.add((*at, "shadow", j, "version"), f"is {version}, which is in the shadow already; keep one")
            if version in answering:
                text = f"is {version}, which answers callers; a shadow has no share (give its arm the weight 0)"
                faults.add((*at, "shadow", j, "version"), text)
        if route.shadow and route.model == contract.PREPROCESSOR:
            faults.add((*at, "shadow"), f"is not for {route.model}: everything after it would have to run twice")
        before = seen.setdefault(route.model, {})
        earlier = before.get(route.profile, before.get(None))
        if earlier is not None:
            faults.add(at, f"can never be chosen: routes[{earlier}] comes first and fits all that this one fits")
        before.setdefault(route.profile, i)
