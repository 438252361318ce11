"""`moderation samples`: the sample pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moderation.samples import EXPECTED, render


def samples(folder: Annotated[Path, typer.Argument(help="Folder to write to; made when it is not there.")]) -> None:
    """Write the sample pictures, and say what the default policy decides about each."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in render().items():
            (folder / name).write_bytes(data)
            typer.echo(f"{folder / name}  {EXPECTED[name]}")
    except OSError as error:
        typer.secho(f"{folder} cannot be written: {error.strerror}", fg="red", err=True)
        raise typer.Exit(2) from None
