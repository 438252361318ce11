"""Reads Triton's metrics page: the few series that a drain and an analysis need."""

from __future__ import annotations

import math
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from moderation.errors import ServerError

_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Page:
    """The samples of one or more metrics pages, added up."""

    samples: Mapping[Key, float]

    @classmethod
    def parse(cls, text: str) -> Page:
        """Read the Prometheus text format; comments and lines it does not know are left out."""
        samples: dict[Key, float] = {}
        for line in text.splitlines():
            if found := _LINE.match(line):
                samples[found[1], frozenset(_LABEL.findall(found[2] or ""))] = float(found[3])
        return cls(samples)

    def __add__(self, other: Page) -> Page:
        """The pages of two pods as one."""
        keys = self.samples.keys() | other.samples.keys()
        return Page({key: self.samples.get(key, 0.0) + other.samples.get(key, 0.0) for key in keys})

    def since(self, before: Page) -> Page:
        """What counters gained since an earlier page; a series that fell was reset and counts from zero."""
        return Page(
            {
                key: value - earlier if value >= (earlier := before.samples.get(key, 0.0)) else value
                for key, value in self.samples.items()
            }
        )

    def total(self, name: str, **labels: str) -> float:
        """Sum of all series of a name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= has)

    def quantile(self, name: str, share: float, **labels: str) -> float:
        """Upper edge of the histogram bucket that holds a quantile; NaN without observations.

        The edge and not a point inside the bucket: a limit that equals an edge is then judged exactly.
        """
        wanted = set(labels.items())
        buckets: dict[float, float] = {}
        for (found, has), value in self.samples.items():
            if found == f"{name}_bucket" and wanted <= has:
                edge = float(dict(has)["le"])
                buckets[edge] = buckets.get(edge, 0.0) + value
        if not buckets or not (count := buckets.get(math.inf, 0.0)):
            return math.nan
        return min(edge for edge, below in buckets.items() if below >= share * count)


def fetch(url: str, timeout_s: float = 5.0) -> Page:
    """One server's metrics.

    Raises:
        ServerError: no answer.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - http of our own server
            return Page.parse(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        raise ServerError(f"no metrics from {url}: {getattr(error, 'reason', error)}") from None
