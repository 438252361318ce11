"""A long mixed load on the real server, with clients that crash, time out and cancel: does anything grow or go wrong?

    make soak HOURS=1        # python tests/bench/soak.py --hours 1

Writes results/soak.md: throughput, memory, shared memory and file descriptors over time, errors by kind, and their
drift. Nothing here passes or fails but wrong decisions, which stop the run.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression, mean

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation import contract  # noqa: E402
from moderation.client import Client  # noqa: E402
from moderation.errors import InputError, ModerationError  # noqa: E402
from moderation.samples import EXPECTED  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402
from serving.load import SAMPLES  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "soak.md"
SHORT = (
    "**A run this short shows how the server warms up: buffers and allocators still fill, so the slopes below are no "
    "drift, and nothing follows from them for an hour.**"
)
CRASHER = "import sys; from bench.soak import crash; crash(sys.argv[1])"


@dataclass
class Tally:
    """What all clients got."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: int = 0

    def add(self, kind: str) -> None:
        """Count one outcome."""
        self.counts[kind] += 1
        self.done += 1


@dataclass(frozen=True)
class Sample:
    """The server at one moment; megabytes where nothing else is said."""

    at: float
    done: int
    server: float
    stubs: float
    shm: float
    descriptors: int
    threads: int


def look(running: Running, started: float, tally: Tally) -> Sample:
    """Measure the server and all of its processes."""
    server = psutil.Process(running.process.pid).children()[0]
    stubs = [child for child in server.children(recursive=True) if child.is_running()]
    everybody = [server, *stubs]
    regions = Path("/dev/shm").glob(f"moderation-{running.process.pid}-*")
    return Sample(
        time.monotonic() - started,
        tally.done,
        server.memory_info().rss / 1e6,
        sum(stub.memory_info().rss for stub in stubs) / 1e6,
        sum(region.stat().st_blocks * 512 for region in regions) / 1e6,
        sum(process.num_fds() for process in everybody),
        sum(process.num_threads() for process in everybody),
    )


def ordinary(url: str, tally: Tally, stop: threading.Event, seed: int) -> None:
    """Pictures one by one and several at once, with and without captions, and files that are none."""
    choose = random.Random(seed)
    names = sorted(SAMPLES)
    while not stop.is_set():
        with Client(url, timeout_s=30) as client:
            for _ in range(50):
                if stop.is_set():
                    return
                picked = [choose.choice(names) for _ in range(choose.choice((1, 1, 1, 4)))]
                bad = choose.random() < 0.05
                images = [b"no picture"] if bad else [SAMPLES[name] for name in picked]
                try:
                    results = client.moderate(images, ["a caption"] * len(images) if choose.random() < 0.3 else None)
                except InputError:
                    tally.add("refused as bad" if bad else "refused wrongly")
                    continue
                except ModerationError as error:
                    tally.add(f"error: {error.message.split(': ', 1)[-1][:60]}")
                    break
                for name, result in zip(picked, results, strict=True):
                    tally.add(str(result["decision"]))
                    if result["decision"] != EXPECTED[name] and not result["unknown"]:
                        tally.wrong.append(f"{name}: {result['decision']}")


def impatient(address: str, tally: Tally, stop: threading.Event, seed: int) -> None:
    """gRPC calls that are cancelled or time out in the middle."""
    import tritonclient.grpc as grpc

    choose = random.Random(seed)
    while not stop.wait(choose.random() * 2):
        client = grpc.InferenceServerClient(address.split("//")[1])
        tensor = grpc.InferInput("IMAGE", [4, 1], "BYTES")
        tensor.set_data_from_numpy(np.full((4, 1), SAMPLES["threat.jpg"], dtype=object))
        call = client.async_infer(
            contract.ENTRY, [tensor], lambda result, error: None, client_timeout=choose.choice((0.05, 10))
        )
        stop.wait(choose.random() * 0.5)
        call.cancel()
        tally.add("cancelled or timed out by its client")
        client.close()


def crashing(url: str, tally: Tally, stop: threading.Event, seed: int) -> None:
    """Client processes that are killed in the middle of a request."""
    choose = random.Random(seed)
    while not stop.wait(5 + choose.random() * 10):
        process = subprocess.Popen([sys.executable, "-c", CRASHER, url], cwd=ROOT / "tests")
        stop.wait(2 + choose.random() * 2)
        process.kill()
        process.wait()
        tally.add("killed client")


def crash(url: str) -> None:
    """What a client that gets killed does."""
    with Client(url) as client:
        while True:
            client.moderate([SAMPLES["threat.jpg"]] * 8)


def run(hours: float, every_s: float) -> tuple[list[Sample], Tally]:
    """Load the server for a time and look at it every so often."""
    tally, stop, samples = Tally(), threading.Event(), []
    with tempfile.TemporaryDirectory() as folder, launched(Path(folder)) as running:
        jobs = [
            (ordinary, running.http),
            (ordinary, running.grpc),
            (ordinary, running.grpc),
            (impatient, running.grpc),
            (crashing, running.http),
        ]
        threads = [
            threading.Thread(target=job, args=(url, tally, stop, number)) for number, (job, url) in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        try:
            while time.monotonic() - started < hours * 3600 and not tally.wrong:
                samples.append(look(running, started, tally))
                stop.wait(every_s)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
    return samples, tally


def chart(title: str, unit: str, times: list[float], values: list[float]) -> str:
    """A line over the minutes of the run, as GitHub draws it."""
    step = max(1, len(values) // 60)
    shown = [mean(values[i : i + step]) for i in range(0, len(values), step)]
    top = max(*shown, 1e-9) * 1.1
    return "\n".join(
        (
            "```mermaid",
            "xychart-beta",
            f'    title "{title}"',
            f'    x-axis "minutes" 0 --> {times[-1] / 60:.1f}',
            f'    y-axis "{unit}" 0 --> {top:.1f}',
            f"    line [{', '.join(f'{v:.1f}' for v in shown)}]",
            "```",
        )
    )


def report(samples: list[Sample], tally: Tally, asked_hours: float) -> str:
    """The page."""
    times = [s.at for s in samples]
    spans = list(pairwise(samples))
    rates = [(b.done - a.done) / (b.at - a.at) for a, b in spans]
    settled = [s for s in samples if s.at > times[-1] * 0.2]  # what grows while everything is used for the first time
    rows = ["| | at first | at last | change in an hour, after the first fifth |", "|---|---|---|---|"]
    for name, values in (
        ("tritonserver, MB resident", [s.server for s in settled]),
        ("its Python processes, MB resident", [s.stubs for s in settled]),
        ("/dev/shm, MB", [s.shm for s in settled]),
        ("file descriptors", [float(s.descriptors) for s in settled]),
        ("threads", [float(s.threads) for s in settled]),
    ):
        slope = linear_regression([s.at / 3600 for s in settled], values).slope
        rows.append(f"| {name} | {values[0]:.0f} | {values[-1]:.0f} | {slope:+.1f} |")
    half = len(rates) // 2
    early, late = mean(rates[:half]), mean(rates[half:])
    minutes = times[-1] / 60
    return "\n\n".join(
        (
            "# Soak",
            describe(),
            f"{minutes:.0f} minutes of {asked_hours * 60:.0f} asked for, {tally.done} outcomes, {len(tally.wrong)} "
            f"wrong. Throughput: {early:.2f} outcomes/s in the first half, {late:.2f} in the second "
            f"({(late / early - 1) * 100:+.1f} %).",
            "Two gRPC and one HTTP client with single pictures, fours, captions and files that are none; gRPC calls "
            "that are cancelled or time out; client processes that are killed in the middle of a request. Rerun: "
            "`make soak HOURS=1`.",
            *(SHORT,) * (minutes < 30),
            "\n".join(rows),
            "\n".join(
                ("| outcome | number |", "|---|---|", *(f"| {k} | {n} |" for k, n in tally.counts.most_common()))
            ),
            chart("Throughput", "outcomes/s", times, rates),
            chart("Python processes", "MB", times, [s.stubs for s in samples]),
            chart("tritonserver", "MB", times, [s.server for s in samples]),
            chart("/dev/shm", "MB", times, [s.shm for s in samples]),
            chart("File descriptors", "open", times, [float(s.descriptors) for s in samples]),
        )
    )


def main() -> None:
    """Run and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    wanted = parser.parse_args()
    samples, tally = run(wanted.hours, wanted.every)
    RESULTS.write_text(report(samples, tally, wanted.hours) + "\n")
    print(RESULTS)
    if tally.wrong:
        sys.exit(f"wrong decisions: {tally.wrong[:5]}")


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "200")
    main()
