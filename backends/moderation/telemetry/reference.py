"""The distributions that drift is measured against: `reference.yaml` in a version folder of the entry model.

    decisions: 12000
    signals:
      decision: {allow: 0.93, review: 0.05, block: 0.02}
      score/nudity: {"0.0": 0.9, "0.1": 0.02, ...}

Each signal maps its bins to shares that add up to 1. The file is optional; without it nothing is said about drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from moderation.errors import ConfigError
from moderation.telemetry.record import Sample

FILE: Final = "reference.yaml"
FLOOR: Final = 1e-4
"""Least share of a bin in `psi`: an empty bin would make it infinite. The recording rule has the same floor."""

Shares = Mapping[str, float]


@dataclass(frozen=True)
class Reference:
    """Stored distributions.

    Attributes:
        decisions: how many they were taken from.
        signals: share of each bin, by signal.
    """

    decisions: int
    signals: Mapping[str, Shares]

    @classmethod
    def load(cls, folder: Path) -> Reference | None:
        """The reference of a version folder, or None where there is none.

        Raises:
            ConfigError: with every fault of the file.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
        if not isinstance(document, dict) or not isinstance(document.get("signals"), dict):
            raise ConfigError(f"{path}: `decisions` must be a number and `signals` map each signal to its bins")
        faults = [
            f"unknown key `{key}`; allowed: decisions, signals" for key in document.keys() - {"decisions", "signals"}
        ]
        decisions = document.get("decisions")
        if not isinstance(decisions, int) or isinstance(decisions, bool) or decisions < 1:
            faults.append(f"decisions is {decisions!r}; a number above 0 is expected")
            decisions = 0
        for signal, shares in document["signals"].items():
            faults += _faults(str(signal), shares)
        if faults:
            raise ConfigError(f"{path}: " + "; ".join(faults))
        return cls(
            decisions,
            {str(s): {str(b): float(share) for b, share in bins.items()} for s, bins in document["signals"].items()},
        )

    def dump(self) -> str:
        """The file's text."""
        document = {"decisions": self.decisions, "signals": {s: dict(bins) for s, bins in self.signals.items()}}
        return yaml.safe_dump(document, sort_keys=False)

    def samples(self) -> Iterator[Sample]:
        """The reference as gauges, so that a recording rule can compare."""
        for signal, shares in self.signals.items():
            for place, share in shares.items():
                yield Sample("moderation_reference_ratio", share, {"signal": signal, "bin": place})


def _faults(signal: str, shares: Any) -> list[str]:
    if not isinstance(shares, dict) or not shares:
        return [f"signals.{signal} is a {type(shares).__name__}; a map from bins to shares is expected"]
    numbers = [s for s in shares.values() if isinstance(s, int | float) and not isinstance(s, bool) and 0 <= s <= 1]
    if len(numbers) < len(shares):
        return [f"signals.{signal} has a share that is no number from 0 to 1"]
    total = math.fsum(numbers)
    return [] if abs(total - 1) < 0.01 else [f"signals.{signal} adds up to {total:.3f}; its shares must add up to 1"]


def psi(current: Shares, reference: Shares) -> float:
    """Population stability index: sum of (p - q) · ln(p / q) over all bins of either.

    0 is no change. The usual reading in credit scoring (Siddiqi, Credit Risk Scorecards, 2006): below 0.1 stable, to
    0.25 some shift, above that another population.

    Args:
        current: share of each bin now.
        reference: share of each bin then.
    """
    total = 0.0
    for place in current.keys() | reference.keys():
        p, q = max(current.get(place, 0.0), FLOOR), max(reference.get(place, 0.0), FLOOR)
        total += (p - q) * math.log(p / q)
    return total
