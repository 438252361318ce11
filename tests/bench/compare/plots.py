"""Plots of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.compare.contenders import SERVERS, TITLES
from bench.compare.journal import Journal
from bench.compare.pictures import MIXES
from bench.compare.steps import Row

COLOURS: Final = {"triton": "#0b6e4f", "usual": "#c0392b", "tuned": "#e08e0b", "proxy": "#5b6abf", "bare": "#8a8a8a"}


def by_concurrency(journal: Journal, contender: str) -> dict[int, list[Row]]:
    """Measurements with mixed pictures by requests in flight."""
    found: dict[int, list[Row]] = {}
    for kind in ("mix", "curve"):
        for row in journal.of(kind, "mixed", contender):
            found.setdefault(int(row.step["concurrency"]), []).append(row)
    return dict(sorted(found.items()))


def curves(journal: Journal, path: Path) -> None:
    """Throughput to the right, p95 upwards, one line for each contender; a point is a number of requests in flight.

    A hollow point: some requests were refused, as there were more than the queue takes.
    """
    figure, axes = _figure(8, 4.6)
    for name in SERVERS:
        points = [
            (concurrency, median(r.rate for r in rows), median(r.latency_ms["p95"] for r in rows), _refused(rows))
            for concurrency, rows in by_concurrency(journal, name).items()
            if all(r.images for r in rows)
        ]
        if not points:
            continue
        axes.plot([p[1] for p in points], [p[2] for p in points], "o-", color=COLOURS[name], label=TITLES[name], ms=4)
        hollow = [p for p in points if p[3]]
        axes.plot([p[1] for p in hollow], [p[2] for p in hollow], "o", color=COLOURS[name], mfc="white", ms=4, zorder=3)
        for concurrency, rate, latency, _ in points:
            axes.annotate(str(concurrency), (rate, latency), (4, 4), textcoords="offset points", size=7, color="#555")
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel("images per second, mixed photos and pictures full of text (right is better)")
    axes.set_ylabel("p95 latency, ms (down is better)")
    axes.set_title(
        "Numbers: requests in flight; hollow points: some of them were refused at once",
        size=9,
        loc="left",
        color="#555",
    )
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _refused(rows: Sequence[Row]) -> bool:
    return any(status != "200" for row in rows for status in row.statuses)


def mixes(journal: Journal, path: Path) -> None:
    """Bars of throughput for each kind of pictures, with the smallest and the largest of the rounds."""
    figure, axes = _figure(8, 3.8)
    width = 0.8 / len(TITLES)
    for index, (name, title) in enumerate(TITLES.items()):
        rates = [[row.rate for row in journal.of("mix", mix, name)] for mix in MIXES]
        middles = [median(each) for each in rates]
        places = [position + (index - (len(TITLES) - 1) / 2) * width for position in range(len(MIXES))]
        errors = [
            [m - min(r) for m, r in zip(middles, rates, strict=True)],
            [max(r) - m for m, r in zip(middles, rates, strict=True)],
        ]
        bars = axes.bar(
            places,
            middles,
            width * 0.92,
            yerr=errors,
            color=COLOURS[name],
            label=title,
            ecolor="#333",
            error_kw={"lw": 0.8},
        )
        axes.bar_label(bars, [f"{m:.1f}" for m in middles], size=6.5, padding=2)
    axes.set_xticks(range(len(MIXES)), MIXES)
    axes.set_ylabel("images per second")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    _save(figure, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e5e5", lw=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    # no date in the file, so that the same measurements give the same bytes
    figure.savefig(path, dpi=140, metadata={"Software": None})
