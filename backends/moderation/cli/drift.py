"""`moderation drift`: capture what is normal, and see how far the present is from it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from moderation import contract
from moderation.deploy.scrape import Page, fetch
from moderation.drift import measure
from moderation.drift.measure import Drift
from moderation.errors import ConfigError, ModerationError
from moderation.launcher.run import REPOSITORY
from moderation.telemetry.reference import FILE, Reference

app = typer.Typer(help="Drift: capture a reference, report the present against it.", no_args_is_help=True)
DRIFTED: Final = 1
"""Exit code: a signal is another population."""
_COLOURS: Final = {"stable": "green", "some shift": "yellow", "another population": "red", "too few": "dim"}
_BAR: Final = 40

On = Annotated[list[Path] | None, typer.Option("--on", help="RESULTs, one JSON document a line.")]
Metrics = Annotated[list[str] | None, typer.Option("--metrics", help="Metrics pages of all servers, instead of --on.")]
Window = Annotated[float, typer.Option(min=0, help="With --metrics: seconds to count; 0 is all since the start.")]
Place = Annotated[Path | None, typer.Option("--reference", help="By default beside the entry model's pipeline.yaml.")]


@app.command()
def capture(on: On = None, metrics: Metrics = None, window: Window = 0, reference: Place = None) -> None:
    """Store the distributions of a time that was looked at and found good."""
    console = Console(stderr=True)
    try:
        found = measure.reference(_counts(on, metrics, window))
        path = _place(reference)
        path.write_text(found.dump(), encoding="utf-8")
    except (ModerationError, OSError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    console.print(
        f"{path}: {found.decisions} decisions, {len(found.signals)} signals; load {contract.ENTRY} to show it"
    )


@app.command()
def report(
    on: On = None,
    metrics: Metrics = None,
    window: Window = 0,
    reference: Place = None,
    plot: Annotated[Path | None, typer.Option(help="SVG with both distributions of each signal.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """PSI and Kolmogorov-Smirnov distance of each signal. Exit code 1 where one is another population."""
    try:
        path = _place(reference)
        then = Reference.load(path.parent) if path.name == FILE else None
        if then is None:
            raise ConfigError(f"no {FILE} at {path}; make one with `moderation drift capture`")
        found = measure.compare(_counts(on, metrics, window), then)
        if plot:
            draw(found, plot)
    except (ModerationError, OSError) as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([_document(drift) for drift in found], indent=1))
    else:
        Console().print(table(found))
    if any(drift.verdict == "another population" for drift in found):
        raise typer.Exit(DRIFTED)


def table(found: list[Drift]) -> Table:
    """One row a signal, the most drifted first."""
    out = Table("signal", "items", "PSI", "KS", "KS by chance", "", "moved most")
    for drift in found:
        place = drift.moved()
        moved = f"{place}: {drift.then.get(place, 0):.1%} to {drift.now.get(place, 0):.1%}"
        numbers = ["" if n is None else f"{n:.3f}" for n in (drift.ks, drift.by_chance)]
        verdict = f"[{_COLOURS[drift.verdict]}]{drift.verdict}[/]"
        out.add_row(drift.signal, str(drift.items), f"{drift.psi:.3f}", *numbers, verdict, moved)
    return out


def draw(found: list[Drift], path: Path) -> None:
    """Bars of each bin then and now, as SVG."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=120, file=nowhere)
        for drift in found:
            bars = Table("bin", "then", "now", title=f"{drift.signal}, PSI {drift.psi:.3f}, {drift.verdict}")
            for place in measure.ordered({*drift.then, *drift.now}):
                pair = [("█" * round(s.get(place, 0) * _BAR), s.get(place, 0)) for s in (drift.then, drift.now)]
                bars.add_row(place, *(f"{bar} {value:.1%}" for bar, value in pair))
            console.print(bars)
        console.save_svg(str(path), title="Drift against the reference")


def _document(drift: Drift) -> dict[str, Any]:
    return {**vars(drift), "verdict": drift.verdict}


def _counts(on: list[Path] | None, metrics: list[str] | None, window: float) -> dict[str, dict[str, int]]:
    if bool(on) == bool(metrics):
        raise ConfigError("give either --on with recorded RESULTs or --metrics with metrics pages")
    if on:
        return measure.of_results(_lines(on))
    page = _pages(metrics or [])
    if window:
        time.sleep(window)
        page = _pages(metrics or []).since(page)
    return measure.of_page(page)


def _pages(urls: list[str]) -> Page:
    return reduce(add, (fetch(url) for url in urls))


def _lines(paths: list[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8") as file:
            yield from file


def _place(chosen: Path | None) -> Path:
    if chosen is not None:
        return chosen
    entry = REPOSITORY / contract.ENTRY
    return max((p for p in entry.iterdir() if p.name.isdigit()), key=lambda p: int(p.name)) / FILE
