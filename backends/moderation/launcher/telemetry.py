"""Metrics, traces and logs of one run: what a person chooses, checked, as flags and environment of tritonserver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from moderation.errors import LaunchError
from moderation.telemetry.log import REQUEST_LOG, REQUEST_LOGS

LOG_FORMATS: Final = ("text", "json")
QUANTILES: Final = "0.5:0.05,0.95:0.005,0.99:0.001"
"""Quantile:error pairs of Triton's summaries; each is a series for every model and kind of time."""
SERVICE: Final = "content-moderation"


@dataclass(frozen=True)
class Telemetry:
    """What the server says of itself, and to whom.

    Attributes:
        metrics_address: where metrics are served; empty: where everything is.
        trace_endpoint: OTLP/HTTP receiver, as `http://127.0.0.1:4318/v1/traces`; empty: no traces.
        trace_rate: one request in this many starts a trace. A request with a `traceparent` is always traced.
        trace_service: the service's name in traces.
        log_format: one of `LOG_FORMATS`.
        request_log: which items the entry model logs, one of `REQUEST_LOGS`.
    """

    metrics_address: str = ""
    trace_endpoint: str = ""
    trace_rate: int = 100
    trace_service: str = SERVICE
    log_format: str = "text"
    request_log: str = "failures"

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            LaunchError: naming every setting that is wrong, at once.
        """
        faults = list(self._faults())
        if faults:
            raise LaunchError("; ".join(faults))

    def _faults(self) -> Iterator[str]:
        url = urlsplit(self.trace_endpoint)
        if self.trace_endpoint and (url.scheme not in ("http", "https") or not url.hostname):
            yield (
                f"--trace-endpoint is `{self.trace_endpoint}`; give the OTLP/HTTP receiver's URL, "
                "as http://127.0.0.1:4318/v1/traces"
            )
        if self.trace_rate < 1:
            yield f"--trace-rate is {self.trace_rate}; one request in this many is traced, so 1 or more is allowed"
        for setting, value, allowed in (
            ("--log-format", self.log_format, LOG_FORMATS),
            ("--request-log", self.request_log, REQUEST_LOGS),
        ):
            if value not in allowed:
                yield f"{setting} is `{value}`; allowed: {', '.join(allowed)}"

    def flags(self, address: str) -> list[str]:
        """Arguments for tritonserver.

        Args:
            address: where everything else is served.
        """
        flags = [
            f"--metrics-address={self.metrics_address or address}",
            "--metrics-config=summary_latencies=true",
            f"--metrics-config=summary_quantiles={QUANTILES}",
        ]
        if self.trace_endpoint:
            flags += [
                "--trace-config=mode=opentelemetry",
                "--trace-config=level=TIMESTAMPS",
                f"--trace-config=rate={self.trace_rate}",
                f"--trace-config=opentelemetry,url={self.trace_endpoint}",
                f"--trace-config=opentelemetry,resource=service.name={self.trace_service}",
            ]
        return flags

    def environment(self) -> dict[str, str]:
        """Environment of the Python models."""
        return {REQUEST_LOG: self.request_log}
