"""What is not known, and how it spreads: the third truth value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ERROR: Final = "error"
"""Cause of an unknown that a division by zero or the like left behind."""


@dataclass(frozen=True)
class Unknown:
    """A value that is not known.

    Attributes:
        causes: stages without a signal, `subject.<name>` for attributes that the caller did not send, or `error`.
        low: what a number is at the least: a lost label can only add to the findings that are there.
    """

    causes: frozenset[str]
    low: float | None = None


@dataclass(frozen=True)
class Partial:
    """A list of which some items are lost."""

    items: list[Any]
    causes: frozenset[str]


@dataclass
class Scope:
    """The signals of one picture, as expressions see them.

    Attributes:
        values: signals by name; a record's members may be Unknown, a list may be Partial.
        labels: (name, score) of each finding.
        labels_lost: causes when findings may be missing.
        rules: for each rule that is no expression how many things it found, or Unknown.
        best: scores that were asked for; filled by use.
        item: the item that a macro is at.
    """

    values: Mapping[str, Any]
    labels: list[tuple[str, float]]
    labels_lost: frozenset[str]
    rules: Mapping[str, int | Unknown]
    best: dict[str, float] = field(default_factory=dict)
    item: Any = None

    def best_score(self, label: str) -> float:
        """The best score of a label or of one below it, 0 when nothing was found."""
        known = self.best.get(label)
        if known is None:
            below = label + "/"
            known = max((s for name, s in self.labels if name == label or name.startswith(below)), default=0.0)
            self.best[label] = known
        return known

    def count(self, label: str, least: float) -> int:
        """Findings of a label or below it from a score on."""
        below = label + "/"
        return sum(1 for name, s in self.labels if s >= least and (name == label or name.startswith(below)))


def join(*values: Any) -> Unknown | None:
    """The unknown among operands, with the causes of all; None when every one is known."""
    lost = [value.causes for value in values if isinstance(value, Unknown)]
    return Unknown(frozenset().union(*lost)) if lost else None
