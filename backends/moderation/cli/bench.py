"""`moderation bench`: throughput and latency of any deployment, by the real perf_analyzer with real images."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moderation import contract
from moderation.cli.check import find
from moderation.client import Address
from moderation.errors import ConfigError, ModerationError
from moderation.perf.analyzer import PERCENTILES, Measurement, PerfAnalyzer, median_of
from moderation.perf.inputs import write_input_data
from moderation.perf.loads import Wanted, parse_concurrency, parse_rates
from moderation.perf.target import Target


def bench(
    files: Annotated[list[str] | None, typer.Argument(help="Images; without any, the drawn samples.")] = None,
    url: Annotated[str, typer.Option(help="http(s)://host:port or grpc(s)://host:port.")] = "grpc://127.0.0.1:8001",
    concurrency: Annotated[str, typer.Option(help="Requests in flight, one run each; empty for none.")] = "1,2,4,8",
    rate: Annotated[
        str, typer.Option(help="Requests a second that arrive at random (Poisson), or % of the best run before.")
    ] = "50%,80%",
    constant: Annotated[
        bool, typer.Option("--constant", help="Evenly spaced requests instead of random ones.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Length of one run.")] = 9.0,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each load; the middle one is shown.")] = 1,
    policy: Annotated[str | None, typer.Option(help="Profile of the policy.")] = None,
    caption: Annotated[str | None, typer.Option(help="Text that goes with each image.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="`name: value`; repeat for more.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="File for every run, as CSV.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for every run, as JSON.")] = None,
) -> None:
    """Measure a running server with the real perf_analyzer and your images.

    Closed loop (--concurrency) says what a server can do, open loop (--rate) what callers see. Exit code 1: a run was
    refused, late or beyond capacity (the table says which), 2: nothing could be measured.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        target = Target(Address.parse(url), tuple(header or ()))
        loads = [*parse_concurrency(concurrency), *parse_rates(rate, "constant" if constant else "poisson")]
        if not loads:
            raise ConfigError("nothing to measure: give --concurrency or --rate")
        extra = {name: text for name, text in (("POLICY", policy), ("TEXT", caption)) if text is not None}
        with tempfile.TemporaryDirectory(prefix="moderation-bench-") as folder:
            data = Path(folder) / "input.json"
            write_input_data(pictures_or_samples(files, Path(folder)), data, extra)
            runs = _measure(PerfAnalyzer(Path(folder)), target, data, loads, seconds, rounds, errors)
    except (ModerationError, OSError) as error:
        message = error.message if isinstance(error, ModerationError) else str(error)
        errors.print(message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    console.print(table(runs))
    middle = [median_of(each) for each in runs]
    for run in middle:
        for note in run.notes:
            console.print(f"{run.load}: {note}", style="yellow", markup=False, highlight=False)
    write(url, runs, csv_file, json_file)
    raise typer.Exit(1 if any(run.notes for run in middle) else 0)


def _measure(
    analyzer: PerfAnalyzer,
    target: Target,
    data: Path,
    loads: Sequence[Wanted],
    seconds: float,
    rounds: int,
    console: Console,
) -> list[list[Measurement]]:
    """Runs of each load; rounds take turns, so that a slow minute of a machine does not fall on one load."""
    runs: list[list[Measurement]] = [[] for _ in loads]
    for number in range(rounds):
        for each, wanted in zip(runs, loads, strict=True):
            best = max((run.rate for done in runs for run in done), default=0.0)
            load = each[0].load if each else wanted.at(best)
            with console.status(f"round {number + 1} of {rounds}: {load}"):
                each.append(analyzer.measure(target, contract.ENTRY, data, load, seconds))
    return runs


def pictures_or_samples(files: Sequence[str] | None, scratch: Path) -> list[Path]:
    """The named pictures, or the drawn samples."""
    if files:
        return [Path(name) for name in find(files)]
    from moderation.samples import render

    pictures = [scratch / name for name in render()]
    for path, data in zip(pictures, render().values(), strict=True):
        path.write_bytes(data)
    return pictures


def table(runs: Sequence[Sequence[Measurement]]) -> Table:
    """The middle run of each load, and how far the others are."""
    out = Table("load", "images/s", *(f"{p} ms" for p in PERCENTILES), "queue ms", "compute ms")
    for each in runs:
        run = median_of(each)
        rates = [r.rate for r in each]
        spread = f" ({min(rates):.2f}-{max(rates):.2f})" if len(each) > 1 else ""
        out.add_row(
            str(run.load),
            f"{run.rate:.2f}{spread}",
            *(f"{run.latency_ms[p]:.0f}" for p in PERCENTILES),
            f"{run.server_ms['queue']:.0f}",
            f"{run.server_ms['compute']:.0f}",
        )
    return out


def write(url: str, runs: Sequence[Sequence[Measurement]], csv_file: Path | None, json_file: Path | None) -> None:
    """Every run, in the files that are asked for."""
    rows = [_row(run, number) for each in runs for number, run in enumerate(each, 1)]
    if csv_file:
        with csv_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if json_file:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        json_file.write_text(json.dumps({"measured": now, "url": url, "runs": rows}, indent=1) + "\n")


def _row(run: Measurement, number: int) -> dict[str, Any]:
    return {
        "mode": run.load.mode,
        "load": run.load.value,
        "round": number,
        "images_per_s": round(run.rate, 3),
        **{f"{name}_ms": round(value, 2) for name, value in run.latency_ms.items()},
        **{f"server_{name}_ms": round(value, 2) for name, value in run.server_ms.items()},
        "notes": "; ".join(run.notes),
    }
