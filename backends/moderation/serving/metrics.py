"""Business metrics on Triton's metrics port. Labels come from small sets, so the number of series stays bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from moderation.serving import adapter

SECONDS: Final = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
"""Buckets around the goal, p95 < 0.15 s."""
BYTES: Final = [4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0]
PIXELS: Final = [1e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7]

_KINDS: Final = {
    "moderation_decisions_total": ("Decisions, by what triggered the strongest reason.", None),
    "moderation_stage_seconds": ("Time of one stage for one item.", SECONDS),
    "moderation_stage_failures_total": ("Stages without a signal, by model.", None),
    "moderation_image_bytes": ("Size of the encoded image.", BYTES),
    "moderation_image_pixels": ("Pixels of the full image.", PIXELS),
    "moderation_bad_input_total": ("Refused items, by reason.", None),
    "moderation_errors_total": ("Items without a decision, by status code.", None),
}


class Metrics:
    """The entry model's metrics; every instance of the model adds to the same series."""

    def __init__(self) -> None:
        self._families = {
            name: adapter.metric_family(name, text, histogram=buckets is not None)
            for name, (text, buckets) in _KINDS.items()
        }
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        self._of(name, labels).increment(1)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        self._of(name, labels).observe(value)

    def _of(self, name: str, labels: Mapping[str, str]) -> Any:
        key = (name, tuple(sorted(labels.items())))
        if key not in self._series:
            buckets = _KINDS[name][1]
            extra = {} if buckets is None else {"buckets": buckets}
            self._series[key] = self._families[name].Metric(labels=dict(labels), **extra)
        return self._series[key]

    def result(self, result: Mapping[str, Any]) -> None:
        """Count one RESULT with a decision."""
        reasons = result["reasons"]
        self.count(
            "moderation_decisions_total",
            decision=result["decision"],
            policy=result["versions"]["policy"],
            triggered_by=reasons[0]["triggered_by"] if reasons else "none",
        )
        for stage, milliseconds in result["timings_ms"].items():
            self.observe("moderation_stage_seconds", milliseconds / 1e3, stage=stage)
        for model in result["unknown"]:
            self.count("moderation_stage_failures_total", model=model)
        image = result["image"]
        self.observe("moderation_image_bytes", float(image["bytes"]), format=image["format"])
        self.observe("moderation_image_pixels", float(image["width"] * image["height"]), format=image["format"])
