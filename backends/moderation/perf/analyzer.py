"""Runs perf_analyzer and reads what it says.

perf_analyzer measures in windows and repeats until they agree; on a busy machine they may never. Here it always takes
`WINDOWS` windows, whatever they say: how far measurements differ is shown by repeating them, not hidden by a retry.
"""

from __future__ import annotations

import csv
import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from moderation.errors import LaunchError, ServerError
from moderation.launcher.install import ServerInstall, find_perf_analyzer, find_server
from moderation.perf.target import Target

NEEDED: Final = {"libb64.so.0d": "libb64-*.so*", "libcudart.so.12": "libcudart-*.so*"}
"""Libraries the binary asks for by these names; the wheel of the server has them under hashed names."""
WINDOWS: Final = 3
"""Fewest windows that perf_analyzer takes before it says that a measurement is stable."""
PERCENTILES: Final = ("p50", "p90", "p95", "p99")
FEWEST: Final = 5
"""Requests that a window of an open loop should see; perf_analyzer fails on one that sees none."""
ATTEMPTS: Final = 3
_TOO_SHORT: Final = re.compile(r"No valid requests recorded\s+within\s+time interval")
_FAULT: Final = re.compile(r"had error: (?:\[\w+\] )?(.+)")
_LATE: Final = re.compile(r"not able to keep up with the desired request rate\. ([\d.]+%) of the requests were delayed")
_FAILED: Final = re.compile(r"^(?:error|failed|no valid|perf analyzer failed|.*\bfailed to\b).*$", re.I | re.M)


@dataclass(frozen=True)
class Load:
    """How requests are sent.

    Attributes:
        mode: `concurrency` keeps so many requests in flight (closed loop: a slow server gets fewer requests, so its
            latency looks better than callers would see); `poisson` and `constant` send so many a second, whatever
            the server does (open loop).
        value: requests in flight, or requests a second.
    """

    mode: Literal["concurrency", "poisson", "constant"]
    value: float

    def arguments(self) -> list[str]:
        """Options of perf_analyzer."""
        if self.mode == "concurrency":
            return ["--concurrency-range", str(int(self.value))]
        return ["--request-rate-range", f"{self.value:g}", "--request-distribution", self.mode, "--async"]

    def __str__(self) -> str:
        """As a table names it."""
        return f"{self.value:g} in flight" if self.mode == "concurrency" else f"{self.value:.3g}/s {self.mode}"


@dataclass(frozen=True)
class Measurement:
    """One run of perf_analyzer.

    Attributes:
        rate: answers a second.
        latency_ms: by name in `PERCENTILES`, of answered requests.
        server_ms: mean time that the server says the model's requests wait (`queue`) and are worked on (`compute`).
        notes: what makes the figures doubtful, one sentence each.
    """

    load: Load
    rate: float
    latency_ms: dict[str, float]
    server_ms: dict[str, float]
    notes: tuple[str, ...] = ()


class PerfAnalyzer:
    """The binary with the libraries it needs around it.

    Args:
        scratch: folder for links and reports.

    Raises:
        LaunchError: the binary or a library is missing.
    """

    def __init__(self, scratch: Path) -> None:
        self.binary, install = find_perf_analyzer(), find_server()
        self._scratch = scratch
        self.environment = environment(install, library_links(install, scratch))

    def measure(self, target: Target, model: str, data: Path, load: Load, seconds: float) -> Measurement:
        """Measure for about `seconds`; longer where requests arrive so seldom that a window would see too few.

        Args:
            target: the deployment.
            model: its name there.
            data: input file, see `inputs`.
            load: how requests are sent.
            seconds: of measuring; starting and draining come on top.

        Raises:
            ServerError: no answer was measured at all; the message has perf_analyzer's own words.
        """
        window = seconds / WINDOWS
        if load.mode != "concurrency":
            window = max(window, FEWEST / load.value)
        for _ in range(ATTEMPTS):
            report, output = self._run(target, model, data, load, window)
            if report.is_file() and report.stat().st_size:
                return parse(report, load, output, window * WINDOWS)
            if fault(output) or not _TOO_SHORT.search(output):
                break
            window *= 3  # the server is slower than anybody could know before
        raise ServerError(f"perf_analyzer measured nothing ({load}): {fault(output) or why(output)}")

    def _run(self, target: Target, model: str, data: Path, load: Load, window: float) -> tuple[Path, str]:
        report = self._scratch / "perf.csv"
        report.unlink(missing_ok=True)
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            [
                *(str(self.binary), "-m", model, *target.arguments(), *load.arguments()),
                *("--input-data", str(data), "-p", str(max(100, round(window * 1000)))),
                *("--stability-percentage", "999", "--verbose-csv", "-f", str(report)),
            ],
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600 + 20 * window,
        )
        return report, done.stdout + done.stderr


def parse(report: Path, load: Load, output: str, seconds: float) -> Measurement:
    """A measurement of so many seconds from perf_analyzer's CSV file and what it printed."""
    with report.open(newline="") as file:
        row = next(csv.DictReader(file))
    rate = float(row["Inferences/Second"])
    notes = []
    if found := fault(output):
        notes.append(f"the server refused a request, after which perf_analyzer sends no more: {found}")
    elif load.mode != "concurrency" and _short_of(rate * seconds, load.value * seconds):
        notes.append(f"only {rate:.1f} of {load.value:.1f} requests a second were answered: beyond capacity")
    if late := _LATE.search(output):
        notes.append(f"perf_analyzer sent {late[1]} of the requests late")
    work = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
    return Measurement(
        load,
        rate,
        {name: float(row[f"{name} latency"]) / 1e3 for name in PERCENTILES},
        {
            "queue": float(row["Server Queue"]) / 1e3,
            "compute": sum(float(row[name]) for name in work) / 1e3,
        },
        tuple(notes),
    )


def _short_of(answered: float, sent: float) -> bool:
    """Whether so few answers are more than chance: arrivals at random vary by the root of their number."""
    return answered < min(0.9 * sent, sent - 2 * math.sqrt(sent))


def fault(output: str) -> str | None:
    """The first error that a request got, in the server's words."""
    found = _FAULT.search(output)
    return found[1].strip() if found else None


def why(output: str) -> str:
    """The line that says why perf_analyzer gave up."""
    found = _FAILED.findall(output)
    return str(found[-1]).strip() if found else " ".join(output.split())[-300:] or "it said nothing"


def library_links(install: ServerInstall, folder: Path) -> Path:
    """Fill `folder` with links that give the server's hashed libraries the names perf_analyzer asks for.

    Raises:
        LaunchError: a library is not in any folder of the installation.
    """
    for name, pattern in NEEDED.items():
        found = [path for place in install.library_path for path in sorted(place.glob(pattern))]
        if found:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(found[0])
        elif install.origin == "wheel":
            places = ", ".join(str(p) for p in install.library_path)
            raise LaunchError(f"perf_analyzer needs {name} and there is no {pattern} in {places}")
    return folder


def environment(install: ServerInstall, links: Path) -> dict[str, str]:
    """Environment for perf_analyzer."""
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join([str(links), *map(str, install.library_path)])}


def median_of(runs: Sequence[Measurement]) -> Measurement:
    """The run with the middle rate (the lower of two), with everybody's notes."""
    ordered = sorted(runs, key=lambda run: run.rate)
    middle = ordered[(len(ordered) - 1) // 2]
    notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
    return Measurement(middle.load, middle.rate, middle.latency_ms, middle.server_ms, notes)
