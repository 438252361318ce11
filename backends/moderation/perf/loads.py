"""Loads as people write them: `1,2,4` requests in flight; `5,10` requests a second; `80%` of what a server can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moderation.errors import ConfigError
from moderation.perf.analyzer import Load

MOST_IN_FLIGHT = 1024


@dataclass(frozen=True)
class Wanted:
    """A load, or a share of a capacity that is not known yet."""

    mode: Literal["concurrency", "poisson", "constant"]
    value: float
    share: bool = False

    def at(self, capacity: float) -> Load:
        """The load itself.

        Args:
            capacity: requests a second that the server can do; 0 when nobody knows.

        Raises:
            ConfigError: a share of an unknown capacity.
        """
        if not self.share:
            return Load(self.mode, self.value)
        if capacity <= 0:
            raise ConfigError(f"--rate {self.value:g}% is a share of the best run before it; give --concurrency too")
        return Load(self.mode, self.value / 100 * capacity)


def parse_concurrency(text: str) -> list[Wanted]:
    """From `1,2,4`; empty text is no load.

    Raises:
        ConfigError: names the value and what is allowed.
    """
    loads = []
    for part in _parts(text):
        if not part.isdigit() or not 1 <= int(part) <= MOST_IN_FLIGHT:
            raise ConfigError(f"--concurrency has `{part}`; allowed: whole numbers from 1 to {MOST_IN_FLIGHT}")
        loads.append(Wanted("concurrency", int(part)))
    return loads


def parse_rates(text: str, mode: Literal["poisson", "constant"]) -> list[Wanted]:
    """From `5,10.5` requests a second or `50%,80%` of capacity; empty text is no load.

    Raises:
        ConfigError: names the value and what is allowed.
    """
    loads = []
    for part in _parts(text):
        try:
            value = float(part.removesuffix("%"))
        except ValueError:
            value = -1.0
        if not 0 < value <= 1e6:
            raise ConfigError(f"--rate has `{part}`; allowed: requests a second above 0, or a share such as 80%")
        loads.append(Wanted(mode, value, part.endswith("%")))
    return loads


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
