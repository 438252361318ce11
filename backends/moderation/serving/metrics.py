"""Metrics on Triton's metrics port: what `moderation.telemetry` says, through Triton's Python module."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from moderation.serving import adapter
from moderation.telemetry import record
from moderation.telemetry.catalogue import CATALOGUE
from moderation.telemetry.machine import Meter
from moderation.telemetry.record import Sample

MACHINE_PERIOD_S: Final = 5.0


class Metrics:
    """The entry model's metrics; every instance of the model adds to the same series.

    Args:
        stages: models whose failures and omissions are counted. These and the outcomes start at 0, so that the first
            failure is already a step that `rate()` sees.
    """

    def __init__(self, stages: Iterable[str] = ()) -> None:
        self._families = {name: adapter.metric_family(name, kind.text, kind.kind) for name, kind in CATALOGUE.items()}
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
        for model in stages:
            self.add(Sample("moderation_stage_failures_total", 0, {"model": model}))
            self.add(Sample("moderation_stage_skipped_total", 0, {"model": model}))
        for code in ("INTERNAL", "UNAVAILABLE"):
            self.add(Sample("moderation_errors_total", 0, {"code": code}))
        for outcome in ("answered", "refused", "failed"):
            self._of("moderation_request_seconds", {"outcome": outcome})

    def add(self, *samples: Sample) -> None:
        """Take samples of any kind of metric."""
        for name, value, labels in samples:
            series = self._of(name, labels)
            kind = CATALOGUE[name].kind
            if kind == "counter":
                series.increment(value)
            elif kind == "gauge":
                series.set(value)
            else:
                series.observe(value)

    def result(self, result: Mapping[str, Any]) -> None:
        """Count one RESULT with a decision."""
        self.add(*record.of_result(result))

    def error(self, error: Exception) -> None:
        """Count one item without a decision."""
        self.add(record.of_error(error))

    def request(self, seconds: float, error: Exception | None) -> None:
        """Count one request and the error it was answered with, if any."""
        self.add(record.of_request(seconds, error))

    def watch_machine(self) -> None:
        """Report cores and shared memory of the server, the parent of this process, until the process ends."""
        threading.Thread(target=self._machine, args=(Meter(os.getppid()),), daemon=True).start()

    def _machine(self, meter: Meter) -> None:
        pause = threading.Event()
        while True:
            self.add(*meter.samples())
            pause.wait(MACHINE_PERIOD_S)

    def _of(self, name: str, labels: Mapping[str, str]) -> Any:
        key = (name, tuple(sorted(labels.items())))
        if key not in self._series:
            buckets = CATALOGUE[name].buckets
            extra = {"buckets": list(buckets)} if buckets else {}
            self._series[key] = self._families[name].Metric(labels=dict(labels), **extra)
        return self._series[key]
