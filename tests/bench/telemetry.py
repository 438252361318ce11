"""What it costs that the server says what it does: traces and log lines, on top of what is always on.

    python tests/bench/telemetry.py     # 3 minutes

Three servers side by side, blocks of requests to each in turn, so that the machine's moods fall on all of them alike.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.meter import cpu_seconds  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation.client import Client  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402
from serving.load import SAMPLES  # noqa: E402
from serving.otlp import receiver  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "telemetry.md"
ROUNDS, REQUESTS = 5, 16
SHIPPED = "metrics, latency summaries, failures logged (as shipped)"


def variants(endpoint: str) -> dict[str, list[str]]:
    """Options of `moderation serve` by what they turn on, each on top of the one before."""
    traces = [f"--trace-endpoint={endpoint}"]
    return {
        SHIPPED: [],
        "and one request in 100 traced": [*traces, "--trace-rate=100"],
        "and each one traced, each item logged": [*traces, "--trace-rate=1", "--request-log=all"],
    }


def block(running: Running, client: Client) -> tuple[float, float]:
    """Milliseconds of a request in one block: of time, the median, and of processor, the mean."""
    pids = [running.process.pid]
    before, taken = cpu_seconds(pids), []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.moderate([SAMPLES["sunset.png"]])
        taken.append((time.perf_counter() - started) * 1e3)
    return median(taken), (cpu_seconds(pids) - before) * 1e3 / REQUESTS


def ratios(values: list[float], base: list[float]) -> str:
    """The median of each round's ratio, and the smallest and largest."""
    found = [value / other for value, other in zip(values, base, strict=True)]
    return f"**{median(found):.2f}** ({min(found):.2f}-{max(found):.2f})"


def measure(folder: Path) -> list[str]:
    """The rows of the report."""
    with ExitStack() as stack:
        traces = stack.enter_context(receiver(folder))
        servers: dict[str, tuple[Running, Client]] = {}
        for number, (name, options) in enumerate(variants(traces.url).items()):
            (folder / str(number)).mkdir()
            running = stack.enter_context(launched(folder / str(number), *options))
            servers[name] = running, stack.enter_context(Client(running.grpc))
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for lap in range(ROUNDS + 1):  # the first one warms up
            for name, (running, client) in servers.items():
                result = block(running, client)
                if lap:
                    found[name].append(result)
        assert traces.spans, "nothing was traced"
        for running, _ in servers.values():  # all at once: a stop takes 15 s
            running.process.send_signal(signal.SIGTERM)
    rows = []
    for name, blocks in found.items():
        (times, processor), base = zip(*blocks, strict=True), found[SHIPPED]
        rows.append(
            f"| {name} | {median(times):.1f} | {ratios(list(times), [t for t, _ in base])} "
            f"| {median(processor):.1f} | {ratios(list(processor), [p for _, p in base])} |"
        )
    return rows


def main() -> None:
    """Measure and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    head = (
        f"# What telemetry costs\n\n{describe()}\n\nRerun: `make bench-telemetry`. {ROUNDS} rounds of {REQUESTS} "
        "requests, one at a time. Ratios are each round's, to the first line: median (smallest-largest).\n"
    )
    table = ["| with | ms a request | ratio | CPU ms a request | ratio |", "|---|---|---|---|---|", *rows]
    RESULTS.write_text("\n".join((head, *table)) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
