"""When a version on trial has to go: pure functions over what it and the stable version did meanwhile.

A guard breaks when the damage is larger than its limit beyond doubt: the near end of the 95 % interval of the
difference is past the limit. Few items prove little; a version that always fails is caught at its third item.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from moderation.contract import DECISIONS
from moderation.deploy.scrape import Page
from moderation.policy.rule_schema import Strict
from moderation.rollout.shadow import ERROR
from moderation.rollout.stats import difference, share

P95: Final = 0.95
FEWEST_ERRORS: Final = 3
"""One or two are no proof, whatever an interval says of a version's first items."""
ENOUGH: Final = 20
"""Items below which times and decisions say nothing: the guards look often, and each look may be fooled by chance."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Limits(Strict):
    """How far a version on trial may differ from the stable one."""

    errors: Share = Field(default=0.01, description="more errors for each item")
    slower: Share = Field(default=0.1, description="more items slower than the stable version's 95th percentile")
    decisions: Share = Field(default=0.05, description="change of the share of any decision")
    disagreement: Share = Field(default=0.05, description="items that it would decide otherwise in the shadow")
    min_items: Annotated[int, Field(ge=ENOUGH)] = Field(default=50, description="items that a step needs")


@dataclass(frozen=True)
class Arm:
    """What one version did in a window.

    Attributes:
        decisions: items by decision.
        errors: items that it could not answer.
        seconds: items up to each edge, cumulative, as a Prometheus histogram has them.
    """

    decisions: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0
    seconds: Mapping[float, int] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Items that it was to answer."""
        return sum(self.decisions.values()) + self.errors

    def p95(self) -> float:
        """Edge, in seconds, below which 95 % of its items lie; NaN without items."""
        total = self.seconds.get(math.inf, 0)
        return (
            min((e for e, below in self.seconds.items() if below >= P95 * total), default=math.nan)
            if total
            else math.nan
        )


@dataclass(frozen=True)
class Looks:
    """What a version said in the shadow: (what callers were told, what it would have told them) → items."""

    pairs: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Items that it saw."""
        return sum(self.pairs.values())

    @property
    def differing(self) -> int:
        """Items on which it has another opinion, or none."""
        return sum(count for (live, shadow), count in self.pairs.items() if live != shadow)


def arm(gained: Page, model: str, version: int) -> Arm:
    """A version's part of what the metrics gained."""
    labels = {"model": model, "version": str(version)}
    wanted = set(labels.items())
    seconds: dict[float, int] = {}
    for (name, has), value in gained.samples.items():
        if name == "moderation_arm_seconds_bucket" and {*wanted, ("of", "stage")} <= has:
            seconds[float(dict(has)["le"])] = int(value)
    decisions = {d: int(gained.total("moderation_arm_decisions_total", **labels, decision=d)) for d in DECISIONS}
    return Arm(decisions, int(gained.total("moderation_arm_errors_total", **labels)), seconds)


def looks(gained: Page, model: str, version: int) -> Looks:
    """What the metrics gained of a version in the shadow."""
    labels = {"model": model, "version": str(version)}
    name = "moderation_shadow_decisions_total"
    pairs = {
        (live, shadow): int(gained.total(name, **labels, live=live, shadow=shadow))
        for live in DECISIONS
        for shadow in (*DECISIONS, ERROR)
    }
    return Looks({pair: count for pair, count in pairs.items() if count})


def broken(trial: Arm, stable: Arm, shadow: Looks, limits: Limits) -> list[str]:
    """Every guard that is broken, one sentence each; none: the version may stay."""
    versions = trial, stable, limits
    return [*_errors(*versions), *_slower(*versions), *_decisions(*versions), *_disagreement(shadow, limits)]


def all_broken(gained: Page, limits: Limits) -> list[str]:
    """Every guard that is broken by any version on trial of any stage; the stable one is that with the most items."""
    seen: dict[str, set[int]] = {}
    for name, labels in gained.samples:
        if name.startswith(("moderation_arm_", "moderation_shadow_decisions_")):
            has = dict(labels)
            seen.setdefault(has["model"], set()).add(int(has["version"]))
    found = []
    for model, versions in sorted(seen.items()):
        arms = {version: arm(gained, model, version) for version in versions}
        stable = max(versions, key=lambda version: (arms[version].items, -version))
        for version in sorted(versions - {stable}):
            faults = broken(arms[version], arms[stable], looks(gained, model, version), limits)
            found += [f"{model} {version}: {fault}" for fault in faults]
    return found


def _errors(trial: Arm, stable: Arm, limits: Limits) -> Iterator[str]:
    # a version that has nobody to be compared with is compared with one that makes no errors
    total = max(stable.items, trial.items)
    more = difference(trial.errors, trial.items, stable.errors, total)
    if trial.errors >= FEWEST_ERRORS and more.low > limits.errors:
        yield (
            f"errors: {trial.errors} of {trial.items} items, stable {stable.errors} of {stable.items}; "
            f"at least {more.low:.1%} more, the limit is {limits.errors:.1%}"
        )


def _slower(trial: Arm, stable: Arm, limits: Limits) -> Iterator[str]:
    edge = stable.p95()
    if math.isnan(edge) or trial.items < ENOUGH:
        return
    slow = [a.seconds.get(math.inf, 0) - a.seconds.get(edge, 0) for a in (trial, stable)]
    more = difference(slow[0], trial.seconds.get(math.inf, 0), slow[1], stable.seconds.get(math.inf, 0))
    if more.low > limits.slower:
        yield (
            f"slower: {slow[0]} of {trial.seconds[math.inf]} items took longer than {edge * 1e3:.0f} ms, the stable "
            f"version's p95; at least {more.low:.1%} more, the limit is {limits.slower:.1%}"
        )


def _decisions(trial: Arm, stable: Arm, limits: Limits) -> Iterator[str]:
    counts = [sum(a.decisions.values()) for a in (trial, stable)]
    for decision in DECISIONS if min(counts) >= ENOUGH else ():
        change = difference(trial.decisions.get(decision, 0), counts[0], stable.decisions.get(decision, 0), counts[1])
        least = max(change.low, -change.high)
        if least > limits.decisions:
            yield (
                f"decisions: {decision} went from {stable.decisions.get(decision, 0) / counts[1]:.1%} to "
                f"{trial.decisions.get(decision, 0) / counts[0]:.1%}; at least {least:.1%} apart, "
                f"the limit is {limits.decisions:.1%}"
            )


def _disagreement(shadow: Looks, limits: Limits) -> Iterator[str]:
    apart = share(shadow.differing, shadow.items)
    if shadow.items >= ENOUGH and apart.low > limits.disagreement:
        yield (
            f"disagreement: {shadow.differing} of {shadow.items} items in the shadow; at least {apart.low:.1%}, "
            f"the limit is {limits.disagreement:.1%}"
        )
