"""`moderation licences`: what the product is made of, and whether each licence may be in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moderation.cli.report import reported
from moderation.launcher.run import REPOSITORY
from moderation.supply import licences as supply

_COLOURS = {"allowed": "green", "exception": "yellow", "refused": "red"}


def licences(
    requirements: Annotated[Path, typer.Option(help="Locked packages.")] = REPOSITORY.parent / "requirements.txt",
    repository: Annotated[Path, typer.Option(help="Model repository.")] = REPOSITORY,
) -> None:
    """List the licence of every locked package and every model; exit code 1 when one is not allowed."""
    table = Table("part", "version", "licence", "verdict", "reason")
    with reported():
        known = supply.rules()
        parts = [*supply.models(repository, known), *supply.packages(requirements, known)]
    for part in parts:
        table.add_row(
            part.name, part.version, part.licence, f"[{_COLOURS[part.verdict]}]{part.verdict}[/]", part.reason
        )
    Console().print(table)
    if any(part.verdict == "refused" for part in parts):
        raise typer.Exit(1)
