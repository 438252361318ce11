"""Distributions counted from RESULTs or metrics, and how far they are from a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from moderation.deploy.scrape import Page
from moderation.errors import ConfigError, InputError
from moderation.policy.replay import documents
from moderation.telemetry import distributions
from moderation.telemetry.reference import Reference, Shares, psi

METRIC: Final = "moderation_distribution_total"
FEWEST: Final = 100
"""Decisions below which shares of ten bins are mostly chance."""
SOME, MUCH = 0.1, 0.25
"""PSI from which a population has shifted somewhat, and from which it is another one; see `psi`."""
KS_95: Final = 1.358
"""Of the Kolmogorov distribution: times sqrt((n + m) / n m) it is what chance exceeds 5 times in 100. With bins the
distance is at most that of the values themselves, so the test is on the careful side."""

Counts = Mapping[str, Mapping[str, int]]
Verdict = Literal["stable", "some shift", "another population", "too few"]


def of_results(lines: Iterable[str]) -> dict[str, dict[str, int]]:
    """Counts of each bin by signal, of RESULTs, one JSON document a line.

    Raises:
        InputError: reason `bad_record`: a line is no RESULT.
    """
    counts: dict[str, dict[str, int]] = {}
    for number, document in documents(lines):
        try:
            places = list(distributions.of_result(document))
        except (KeyError, TypeError, AttributeError):
            raise InputError(f"line {number} is no RESULT", reason="bad_record", value=number) from None
        for signal, place in places:
            bins = counts.setdefault(signal, {})
            bins[place] = bins.get(place, 0) + 1
    return counts


def of_page(page: Page) -> dict[str, dict[str, int]]:
    """Counts of each bin by signal, of metrics."""
    counts: dict[str, dict[str, int]] = {}
    for (name, labels), value in page.samples.items():
        if name == METRIC and value:
            has = dict(labels)
            bins = counts.setdefault(has["signal"], {})
            bins[has["bin"]] = bins.get(has["bin"], 0) + int(value)
    return counts


def reference(counts: Counts) -> Reference:
    """The counts as a reference.

    Raises:
        ConfigError: there are too few decisions.
    """
    decisions = sum(counts.get("decision", {}).values())
    if decisions < FEWEST:
        raise ConfigError(f"{decisions} decisions; a reference needs {FEWEST} or more, better thousands")
    return Reference(decisions, {signal: shares(bins) for signal, bins in sorted(counts.items())})


def shares(bins: Mapping[str, int]) -> dict[str, float]:
    """Share of each bin, in order."""
    total = sum(bins.values())
    return {place: round(bins[place] / total, 6) for place in ordered(bins)}


def ordered(bins: Iterable[str]) -> list[str]:
    """Names of bins: numbers by value, others by name."""
    return sorted(bins, key=lambda place: (0, float(place), "") if _number(place) else (1, 0.0, place))


@dataclass(frozen=True)
class Drift:
    """One signal against its reference.

    Attributes:
        ks: greatest distance of the cumulative distributions; None where bins have no order.
        by_chance: what chance exceeds 5 times in 100; None likewise.
        items: live values.
    """

    signal: str
    then: Shares
    now: Shares
    items: int
    psi: float
    ks: float | None
    by_chance: float | None

    @property
    def verdict(self) -> Verdict:
        """In words; only a PSI counts of which the distance is no chance."""
        if self.items < FEWEST:
            return "too few"
        if self.psi < SOME or (self.ks is not None and self.by_chance is not None and self.ks <= self.by_chance):
            return "stable"
        return "some shift" if self.psi < MUCH else "another population"

    def moved(self) -> str:
        """The bin whose share changed most."""
        return max(ordered({*self.then, *self.now}), key=lambda b: abs(self.now.get(b, 0.0) - self.then.get(b, 0.0)))


def compare(counts: Counts, then: Reference) -> list[Drift]:
    """Every signal of a reference that has live values against them, the most drifted first."""
    found = []
    for signal, old in then.signals.items():
        bins = counts.get(signal)
        if not bins:
            continue
        items, now = sum(bins.values()), shares(bins)
        distance = limit = None
        if signal not in distributions.CATEGORIES:
            distance = ks(now, old)
            limit = KS_95 * math.sqrt((items + then.decisions) / (items * then.decisions))
        found.append(Drift(signal, old, now, items, psi(now, old), distance, limit))
    return sorted(found, key=lambda drift: -drift.psi)


def ks(now: Shares, then: Shares) -> float:
    """Kolmogorov-Smirnov distance of two distributions over bins with an order, 0-1."""
    total = worst = 0.0
    for place in ordered({*now, *then}):
        total += now.get(place, 0.0) - then.get(place, 0.0)
        worst = max(worst, abs(total))
    return worst


def _number(place: str) -> bool:
    return place.replace(".", "", 1).isdecimal()
