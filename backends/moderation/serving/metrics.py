"""Metrics on Triton's metrics port: what `moderation.telemetry` says, through Triton's Python module."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from queue import SimpleQueue
from typing import Any, Final

from moderation.serving import adapter
from moderation.telemetry import record
from moderation.telemetry.catalogue import CATALOGUE
from moderation.telemetry.machine import Meter
from moderation.telemetry.record import Sample

MACHINE_PERIOD_S: Final = 5.0
SEND_PERIOD_S: Final = 0.1
"""Each sample that is sent costs Triton and this process a message and its answer. They are sent beside the requests,
so that no answer waits for them, and counters as one sum, so that a busy server sends few."""


class Metrics:
    """The entry model's metrics; every instance of the model adds to the same series.

    Args:
        stages: models whose failures and omissions are counted. These and the outcomes start at 0, so that the first
            failure is already a step that `rate()` sees.

    Samples show up on the metrics port `SEND_PERIOD_S` after they were added, at the latest when `close` is called.
    """

    def __init__(self, stages: Iterable[str] = ()) -> None:
        self._families = {name: adapter.metric_family(name, kind.text, kind.kind) for name, kind in CATALOGUE.items()}
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
        self._waiting: SimpleQueue[Sample | None] = SimpleQueue()
        for model in stages:
            self._send(Sample("moderation_stage_failures_total", 0, {"model": model}))
            self._send(Sample("moderation_stage_skipped_total", 0, {"model": model}))
        for code in ("INTERNAL", "UNAVAILABLE"):
            self._send(Sample("moderation_errors_total", 0, {"code": code}))
        for outcome in ("answered", "refused", "failed"):
            self._of("moderation_request_seconds", {"outcome": outcome})
        self._sender = threading.Thread(target=self._send_all, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to send; at the end of the backend's `initialize`, which until then has Triton's ear alone."""
        self._sender.start()

    def add(self, *samples: Sample) -> None:
        """Take samples of any kind of metric; from any thread, without waiting."""
        for sample in samples:
            self._waiting.put(sample)

    def close(self) -> None:
        """Send what still waits; nothing is sent after it."""
        self._waiting.put(None)
        if self._sender.is_alive():
            self._sender.join()

    def _send_all(self) -> None:
        open_ = True
        while open_:
            samples = [self._waiting.get()]
            if samples[0] is not None:
                time.sleep(SEND_PERIOD_S)
            samples += [self._waiting.get() for _ in range(self._waiting.qsize())]
            open_ = None not in samples
            for sample in record.summed(sample for sample in samples if sample is not None):
                try:
                    self._send(sample)
                except Exception as error:  # one that cannot be sent must not end all others
                    adapter.log(f"metric {sample.name} is lost: {error}", error=True)

    def _send(self, sample: Sample) -> None:
        name, value, labels = sample
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
