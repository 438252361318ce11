"""What one item is to be answered by: a version of each stage, and what stands in for those that are on trial."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from moderation.errors import InputError
from moderation.rollout.routes import WHOLE, Routes

PARAMETER: Final = "versions"
"""Request parameter of testers: `model:version`, several with commas."""
DEFAULT: Final = "default"
By = Literal["subject", "image", "override", "fallback"]


@dataclass(frozen=True)
class Plan:
    """Versions for one item.

    Attributes:
        versions: by stage.
        by: why, for each stage whose version was chosen among several.
        stable: what stands in for a stage's version that is on trial.
        shadows: versions by stage that look on.
    """

    versions: Mapping[str, int]
    by: Mapping[str, By] = field(default_factory=dict)
    stable: Mapping[str, int] = field(default_factory=dict)
    shadows: tuple[tuple[str, int], ...] = ()

    @property
    def trials(self) -> dict[str, int]:
        """Stages that are answered by another version than the stable one."""
        return {model: self.versions[model] for model, stable in self.stable.items() if stable != self.versions[model]}

    def without(self, models: Mapping[str, int]) -> Plan:
        """The same with the stable version of some stages."""
        return Plan(
            {**self.versions, **{model: self.stable[model] for model in models}},
            {**self.by, **dict.fromkeys(models, "fallback")},
            self.stable,
        )

    def report(self) -> dict[str, dict[str, int | str]]:
        """For RESULT: the version of each stage that was chosen among several, and by what."""
        return {model: {"version": self.versions[model], "by": by} for model, by in self.by.items()}


def overrides(text: str, routes: Routes) -> dict[str, int]:
    """What a tester asks for in the request parameter `versions`.

    Raises:
        InputError: reason `bad_versions`; it may not be asked for, or is none.
    """
    if not text.strip():
        return {}
    if not routes.overrides:
        raise InputError(
            f"parameter {PARAMETER} is refused: the server's routes allow no overrides", reason="bad_versions"
        )
    found: dict[str, int] = {}
    for part in text.split(","):
        model, _, version = part.strip().partition(":")
        listed = sorted({v for route in routes.routes if route.model == model for v in route.listed})
        if not version.isdecimal() or int(version) not in listed:
            known = [f"{m}:{v}" for m in routes.models() for r in routes.routes if r.model == m for v in r.listed]
            allowed = ", ".join(dict.fromkeys(known)) or "nothing, no model has a route"
            raise InputError(
                f"parameter {PARAMETER} has `{part.strip()[:80]}`; allowed: {allowed}", reason="bad_versions"
            )
        found[model] = int(version)
    return found


def make(
    release: Mapping[str, int],
    routes: Routes,
    profile: str | None,
    subject: str | None,
    digest: Callable[[], str],
    wanted: Mapping[str, int],
    draw: Callable[[], float] = random.random,
) -> Plan:
    """Versions for one item.

    Args:
        release: the release's own version of each stage that it calls.
        profile: what the request names.
        subject: who calls, if that is known.
        digest: of the image, asked for only where it decides.
        wanted: from `overrides`.
        draw: a number in [0, 1) for each shadow: by request and not by caller, so that a sample has everybody in it.
    """
    versions: dict[str, int] = dict(release)
    by: dict[str, By] = {}
    stable: dict[str, int] = {}
    shadows: list[tuple[str, int]] = []
    key: str | None = None
    for model in routes.models():
        route = routes.find(model, profile or DEFAULT)
        if model not in release or (route is None and model not in wanted):
            continue
        if model in wanted:  # a tester wants to see it fail where it fails: nothing stands in
            versions[model], by[model] = wanted[model], "override"
        elif route is not None:
            stable[model] = versions[model] = route.stable
            if route.shared:
                if key is None:
                    key = f"subject {subject}" if subject else f"image {digest()}"
                versions[model], by[model] = routes.version(route, key), "subject" if subject else "image"
            shadows += [(model, version) for version, sample in route.shadow.items() if draw() * WHOLE < sample]
    return Plan(versions, by, stable, tuple(shadows))


def image_key(data: bytes) -> str:
    """The digest that RESULT has of an image, so that an assignment can be worked out again from it."""
    return hashlib.sha256(data).hexdigest()
