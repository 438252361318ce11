"""How the commands say that something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from moderation.errors import ModerationError


@contextmanager
def reported() -> Iterator[None]:
    """An error of ours as its sentence and exit code 2."""
    try:
        yield
    except ModerationError as error:
        Console(stderr=True).print(error.message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
