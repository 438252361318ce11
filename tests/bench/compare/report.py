"""Markdown, JSON and plots of a finished run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from bench.compare import plots
from bench.compare.contenders import CORES, SERVERS, TITLES
from bench.compare.journal import Journal
from bench.compare.pictures import MIXES
from bench.compare.steps import SIZES, Row
from bench.machine import describe

NAME: Final = "side-by-side"


def write(journal: Journal, folder: Path, size: str, price: float) -> None:
    """Write `side-by-side.md`, `.json` and the plots; a short run has its name in theirs."""
    name = NAME if size == "full" else f"{NAME}-{size}"
    rows = [asdict(row) for row in journal.rows]
    (folder / f"{name}.json").write_text(
        json.dumps({"machine": describe(), "size": size, "rows": rows}, indent=1) + "\n"
    )
    plots.curves(journal, folder / f"{name}-curves.png")
    plots.mixes(journal, folder / f"{name}-mixes.png")
    (folder / f"{name}.md").write_text("\n".join(_lines(journal, name, size, price)) + "\n")


def middle(rows: Sequence[Row], value: Callable[[Row], float]) -> float:
    """Median of some rows."""
    return median(value(row) for row in rows)


def _latencies(rows: Sequence[Row]) -> str:
    """Cells of the three percentiles, in milliseconds."""
    return " | ".join(f"{median(row.latency_ms[p] for row in rows):.0f}" for p in ("p50", "p95", "p99"))


def spread(rows: Sequence[Row], value: Callable[[Row], float], digits: int = 2) -> str:
    """Median, and in brackets the smallest and the largest."""
    values = [value(row) for row in rows]
    each = f" ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):.{digits}f}{each}"


def _lines(journal: Journal, name: str, size: str, price: float) -> list[str]:
    settings = SIZES[size]
    return [
        "# This server beside the usual alternatives",
        "",
        f"{describe()}",
        "",
        f"Rerun: `make bench`{'' if size == 'full' else f' with `--size {size}`'}. One run; every contender gets the "
        f"same pictures over HTTP, in whole laps of {settings.pictures}, and takes turns with the others over "
        f"{settings.rounds} rounds (medians; smallest and largest in brackets). No lap repeats a picture of an earlier "
        "one, except in `repeats`, where nine of ten were seen before. What each contender is: "
        "[compare](../compare/README.md).",
        "",
        f"![Throughput and latency]({name}-curves.png)",
        "",
        *_ratios(journal),
        "",
        *_mixes(journal),
        "",
        f"![Throughput of each mix]({name}-mixes.png)",
        "",
        *_efficiency(journal),
        "",
        *_curves(journal),
        "",
        *_overload(journal),
        "",
        *_cost(journal, price),
    ]


def _ratios(journal: Journal) -> list[str]:
    out = [
        "## How many times as fast",
        "",
        "| pictures | " + " | ".join(f"than {TITLES[n]}" for n in SERVERS[1:]) + " |",
    ]
    out.append("|---" * len(SERVERS) + "|")
    for mix in MIXES:
        cells = [mix]
        for other in SERVERS[1:]:
            pairs = zip(journal.of("mix", mix, "triton"), journal.of("mix", mix, other), strict=True)
            ratios = [ours.rate / theirs.rate for ours, theirs in pairs if theirs.rate]
            each = f" ({min(ratios):.2f}-{max(ratios):.2f})" if len(ratios) > 1 else ""
            cells.append(f"**{median(ratios):.2f}**{each}" if ratios else "no answer")
        out.append(f"| {' | '.join(cells)} |")
    return out


def _mixes(journal: Journal) -> list[str]:
    out = [
        "## Four requests at a time",
        "",
        "| pictures | contender | images/s | p50 ms | p95 ms | p99 ms | CPU s/image | memory MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for mix in MIXES:
        for name, title in TITLES.items():
            rows = [row for row in journal.of("mix", mix, name) if row.images]
            if not rows:
                out.append(f"| {mix} | {title} | no answer | | | | | |")
                continue
            latency = " | | " if name == "bare" else _latencies(rows)
            out.append(
                f"| {mix} | {title} | {spread(rows, lambda r: r.rate)} | {latency} | "
                f"{middle(rows, lambda r: r.cpu_s / r.images):.3f} | {middle(rows, lambda r: r.memory_mb):.0f} |"
            )
    return out


def _efficiency(journal: Journal) -> list[str]:
    out = [
        "## Serving efficiency",
        "",
        "Two limits: `cores ÷ CPU` is what the cores could do if decoding, networks and reading cost what they cost in "
        "one bare process alone on the machine; `bare` is what one such process on each core really did.",
        "",
        f"| pictures | images/s | {CORES} cores ÷ CPU | efficiency | bare | efficiency | CPU s/image beyond bare |",
        "|---|---|---|---|---|---|---|",
    ]
    for mix in MIXES:
        ours, bare = list(journal.of("mix", mix, "triton")), list(journal.of("mix", mix, "bare"))
        single = list(journal.of("single", mix))
        rate, reached = middle(ours, lambda r: r.rate), middle(bare, lambda r: r.rate)
        limit = CORES / middle(single, lambda r: (r.stages_cpu_s or 0) / r.images)
        extra = middle(ours, lambda r: r.cpu_s / r.images) - middle(bare, lambda r: r.cpu_s / r.images)
        out.append(
            f"| {mix} | {rate:.2f} | {limit:.2f} | **{100 * rate / limit:.0f} %** | {reached:.2f} | "
            f"{100 * rate / reached:.0f} % | {extra:.4f} |"
        )
    for row in journal.of("trace"):
        out += [
            "",
            f"Orchestration of a lone request (photo), from Triton's trace: p50 {row.latency_ms['p50']:.2f} ms, "
            f"longest {row.latency_ms['max']:.2f} ms, in which no stage computes.",
        ]
    return out


def _curves(journal: Journal) -> list[str]:
    out = [
        "## More and fewer requests at a time (mixed)",
        "",
        "| contender | in flight | images/s | p50 ms | p95 ms | p99 ms | not answered |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in SERVERS:
        for concurrency, rows in plots.by_concurrency(journal, name).items():
            failed = sum(n for row in rows for status, n in row.statuses.items() if status != "200")
            if not any(row.images for row in rows):
                out.append(f"| {TITLES[name]} | {concurrency} | 0 | | | | {failed} |")
                continue
            rate = middle(rows, lambda r: r.rate)
            out.append(f"| {TITLES[name]} | {concurrency} | {rate:.2f} | {_latencies(rows)} | {failed} |")
    return out


def _overload(journal: Journal) -> list[str]:
    out = [
        "## Overload (mixed, arrivals at random)",
        "",
        "Each contender gets 0.8 times and then 2 times the best rate that it reached above, open loop: callers do not "
        "wait for each other. With few requests the p99 is the slowest one.",
        "",
        "| contender | offered/s | answered | refused | ms to a refusal | p50 ms | p99 ms | p99 at 2× ÷ at 0.8× |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in SERVERS:
        calm: float | None = None
        for kind in ("steady", "overload"):
            for row in journal.of(kind, "mixed", name):
                total = sum(row.statuses.values())
                p50, p99 = (row.latency_ms.get(p) for p in ("p50", "p99"))
                ratio = f"{p99 / calm:.1f}" if kind == "overload" and calm and p99 else ""
                calm = calm or p99
                out.append(
                    f"| {TITLES[name]} | {row.offered:.2f} | {row.images} of {total} | "
                    f"{100 * (total - row.images) / max(1, total):.0f} % | {_maybe(row.refusal_ms)} | {_maybe(p50)} | "
                    f"{_maybe(p99)} | {ratio} |"
                )
    return out


def _cost(journal: Journal, price: float) -> list[str]:
    out = [
        "## What it costs",
        "",
        f"At {price:g} US dollars for a core-hour.",
        "",
        "| contender | pictures | decisions per core-hour | per dollar |",
        "|---|---|---|---|",
    ]
    for name in SERVERS:
        for mix in ("photos", "mixed", "texts"):
            rows = list(journal.of("mix", mix, name))
            hourly = middle(rows, lambda r: r.rate) * 3600 / CORES
            out.append(f"| {TITLES[name]} | {mix} | {hourly:,.0f} | {hourly / price:,.0f} |")
    return out


def _maybe(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
