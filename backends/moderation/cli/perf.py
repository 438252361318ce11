"""`moderation perf-analyzer` and `perf-data`: the real perf_analyzer with the libraries it needs around it."""

from __future__ import annotations

import os
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from moderation.cli.check import find
from moderation.errors import ConfigError, LaunchError
from moderation.perf.analyzer import PerfAnalyzer
from moderation.perf.inputs import write_input_data
from moderation.perf.target import token_option


def perf_data(
    output: Annotated[Path, typer.Argument(help="File to write.")],
    files: Annotated[list[str], typer.Argument(help="Images: files, folders or patterns.")],
) -> None:
    """Make an --input-data file for perf_analyzer from images."""
    try:
        names = find(files)
        write_input_data([Path(name) for name in names], output)
    except (ConfigError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{output}: {len(names)} images")


def perf_analyzer(context: typer.Context) -> None:
    """Run perf_analyzer; every option goes to it as it is (try `moderation perf-analyzer --help`)."""
    try:
        # execve replaces this process, so nobody could remove a folder of its own afterwards: one folder for a user
        folder = Path(tempfile.gettempdir()) / f"moderation-perf-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise LaunchError(f"{folder} belongs to another user; remove it or set TMPDIR")
        analyzer = PerfAnalyzer(folder)
    except LaunchError as error:
        typer.secho(error.message, fg="red", err=True)
        raise typer.Exit(2) from None
    values = dict(pairwise(context.args))
    grpc = values.get("-i", "http").lower() == "grpc"
    token = token_option(values.get("-u", "127.0.0.1:8001" if grpc else "127.0.0.1:8000"), grpc)
    arguments = [str(analyzer.binary), *context.args, *token]
    os.execve(analyzer.binary, arguments, analyzer.environment)  # noqa: S606 - an argument list, no shell
