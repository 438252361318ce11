"""Two versions of a stage compared: by RESULTs that were kept, or by what the metrics counted."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, quantiles, variance
from typing import Any, Final
from urllib.parse import unquote

from moderation.contract import DECISIONS
from moderation.deploy.scrape import Page
from moderation.errors import InputError
from moderation.pipeline.run import STAGE_KEYS
from moderation.policy.replay import documents
from moderation.rollout import guards
from moderation.rollout.shadow import DIFFERS
from moderation.rollout.stats import Interval, Z, difference, needed, share

_FIELD: Final = re.compile(r"(\w+)=(\S+)")
EXAMPLES: Final = 20
"""Requests that are named; more are counted."""


@dataclass(frozen=True)
class Side:
    """One version.

    Attributes:
        decisions: items by decision.
        errors: items that it could not answer.
        times: milliseconds of the stage, where they are known one by one.
        p95_ms: their 95th percentile; NaN where nothing is known.
    """

    decisions: Mapping[str, int]
    errors: int
    times: tuple[float, ...] = ()
    p95_ms: float = math.nan

    @property
    def items(self) -> int:
        """Items with a decision."""
        return sum(self.decisions.values())

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {"decisions": dict(self.decisions), "errors": self.errors, "p95_ms": _number(self.p95_ms)}


@dataclass(frozen=True)
class Example:
    """Requests that two versions decided differently; with a shadow both are the same one."""

    old_id: str
    new_id: str
    old: str
    new: str


@dataclass(frozen=True)
class Comparison:
    """Outcome.

    Attributes:
        matrix: (decision of the old version, of the new one) → pictures that both saw.
        examples: those on which they differ.
    """

    old: Side
    new: Side
    matrix: Mapping[tuple[str, str], int]
    examples: tuple[Example, ...] = field(default=())

    def changes(self) -> dict[str, Interval]:
        """Difference of the share of each decision and of errors."""
        counts = {name: (self.new.decisions.get(name, 0), self.old.decisions.get(name, 0)) for name in DECISIONS}
        found = {name: difference(new, self.new.items, old, self.old.items) for name, (new, old) in counts.items()}
        totals = [side.items + side.errors for side in (self.new, self.old)]
        return {**found, "error": difference(self.new.errors, totals[0], self.old.errors, totals[1])}

    def slower(self) -> Interval | None:
        """Difference of the mean time of the stage in milliseconds (Welch, normal quantile)."""
        if min(len(self.new.times), len(self.old.times)) < 2:
            return None
        value = fmean(self.new.times) - fmean(self.old.times)
        spread = sum(variance(side.times) / len(side.times) for side in (self.new, self.old))
        return Interval(value, value - Z * math.sqrt(spread), value + Z * math.sqrt(spread))

    def missing(self, effect: float) -> dict[str, int]:
        """Items that the version with fewer of them still has to see, so that a change of `effect` is noticed."""
        seen, total = min(self.old.items, self.new.items), max(1, self.old.items)
        return {
            name: max(0, needed(self.old.decisions.get(name, 0) / total, _towards_half(self, name, effect)) - seen)
            for name in DECISIONS
        }

    def agreement(self) -> Interval:
        """Share of the pictures that both versions saw and decided alike."""
        total = sum(self.matrix.values())
        return share(sum(n for (old, new), n in self.matrix.items() if old == new), total)

    def with_examples(self, more: Iterable[Example]) -> Comparison:
        """The same with requests that a shadow differs on."""
        return replace(self, examples=(*self.examples, *more))

    def document(self, effect: float) -> dict[str, Any]:
        """For programs."""
        slower = self.slower()
        return {
            "old": {
                "decisions": dict(self.old.decisions),
                "errors": self.old.errors,
                "p95_ms": _number(self.old.p95_ms),
            },
            "new": {
                "decisions": dict(self.new.decisions),
                "errors": self.new.errors,
                "p95_ms": _number(self.new.p95_ms),
            },
            "changes": {name: _interval(found) for name, found in self.changes().items()},
            "slower_ms": _interval(slower) if slower else None,
            "items_needed": self.missing(effect),
            "agreement": _interval(self.agreement()),
            "matrix": [{"old": old, "new": new, "items": n} for (old, new), n in sorted(self.matrix.items())],
            "examples": [vars(example) for example in self.examples[:EXAMPLES]],
            "differing": len(self.examples),
        }


def of_results(lines: Iterable[str], model: str, old: int, new: int) -> Comparison:
    """Compare by RESULTs, one JSON document a line. Testers' requests are left out.

    Raises:
        InputError: reason `bad_record`: a line is no RESULT.
    """
    decisions: dict[int, Counter[str]] = {old: Counter(), new: Counter()}
    errors: Counter[int] = Counter()
    times: dict[int, list[float]] = {old: [], new: []}
    seen: dict[str, dict[int, tuple[str, str]]] = {}
    for number, result in documents(lines):
        try:
            by = result.get("routes", {}).get(model, {}).get("by")
            version = int(result["versions"].get(model, 0))
            if by == "fallback":
                errors[new if version == old else old] += 1
            if by == "override" or version not in decisions:
                continue
            decisions[version][result["decision"]] += 1
            if (key := STAGE_KEYS[model]) in result["timings_ms"]:
                times[version].append(float(result["timings_ms"][key]))
            said = str(result["decision"]), str(result.get("request_id", f"line {number}"))
            seen.setdefault(result["image"]["sha256"], {}).setdefault(version, said)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"line {number} is no RESULT", reason="bad_record", value=number) from None
    pairs = [(both[old], both[new]) for both in seen.values() if len(both) == 2]
    return Comparison(
        _side(decisions[old], errors[old], times[old]),
        _side(decisions[new], errors[new], times[new]),
        Counter((a[0], b[0]) for a, b in pairs),
        tuple(Example(a[1], b[1], a[0], b[0]) for a, b in pairs if a[0] != b[0]),
    )


def of_page(page: Page, model: str, old: int, new: int) -> Comparison:
    """Compare by what metrics counted since the servers started; the matrix is that of the shadow."""
    arms = [guards.arm(page, model, version) for version in (old, new)]
    sides = [Side(arm.decisions, arm.errors, (), arm.p95() * 1e3) for arm in arms]
    return Comparison(sides[0], sides[1], guards.looks(page, model, new).pairs)


def shadow_examples(lines: Iterable[str], model: str, version: int) -> Iterator[Example]:
    """Requests in a server's log that a version in the shadow would have decided otherwise."""
    for line in lines:
        if DIFFERS in line:
            found = dict(_FIELD.findall(line.partition(DIFFERS)[2]))
            if (found.get("model"), found.get("version")) == (model, str(version)):
                request = unquote(found.get("request_id", "").rstrip('"'))
                yield Example(request, request, found.get("live", ""), found.get("shadow", ""))


def _side(decisions: Counter[str], errors: int, times: list[float]) -> Side:
    p95 = quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else math.nan
    return Side(dict(decisions), errors, tuple(times), p95)


def _towards_half(found: Comparison, name: str, effect: float) -> float:
    """The change in the direction that needs more items."""
    return effect if found.old.decisions.get(name, 0) * 2 <= found.old.items else -effect


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _interval(found: Interval) -> list[float | None]:
    return [_number(found.value), _number(found.low), _number(found.high)]
