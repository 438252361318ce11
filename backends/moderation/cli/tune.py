"""`moderation tune`: better settings for models on this machine, found by measurement, shown as a diff."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.syntax import Syntax

from moderation.cli.bench import pictures_or_samples
from moderation.errors import ModerationError
from moderation.launcher.run import REPOSITORY
from moderation.tune.run import CONFIGS, ROOT, OutOfTimeError, Task
from moderation.tune.run import tune as tune_model

AGAIN: Final = 75
"""Exit code when time was up: the same command goes on (sysexits.h EX_TEMPFAIL)."""


def tune(
    models: Annotated[list[str], typer.Argument(help="Models that have a sweep in analyzer_configs/<profile>/.")],
    pictures: Annotated[list[str] | None, typer.Option(help="Images; without any, the drawn samples.")] = None,
    profile: Annotated[str, typer.Option(help="Profile to tune; `default` is config.pbtxt.")] = "cpu",
    repository: Annotated[Path, typer.Option(help="Model repository.")] = REPOSITORY,
    configs: Annotated[Path, typer.Option(help="Folder of the sweeps; reports go into its reports/.")] = CONFIGS,
    minutes: Annotated[float, typer.Option(min=0, help="Begin nothing after so long; run again to go on.")] = 60.0,
    write: Annotated[bool, typer.Option("--write", help="Change the configuration files.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was measured before.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of unfinished sweeps.")] = ROOT / "build" / "tune",
    analyzer: Annotated[Path, typer.Option(help="Python of the environment with Model Analyzer.")] = ROOT
    / ".venv-tune"
    / "bin"
    / "python",
) -> None:
    """Search settings with Model Analyzer, measure the best again beside what is there, show what to change.

    Exit code 75: time was up, the same command goes on; 2: it could not be done.
    """
    console, errors = Console(), Console(stderr=True)
    until = time.monotonic() + 60 * minutes
    try:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moderation-tune-")))
            files = pictures_or_samples(pictures, scratch)
            for model in models:
                if fresh:
                    shutil.rmtree(work / profile / model, ignore_errors=True)
                _one(
                    Task(
                        model,
                        files,
                        profile,
                        repository.resolve(),
                        configs.resolve(),
                        work.resolve(),
                        analyzer,
                        until,
                        lambda sentence: errors.print(sentence, markup=False, highlight=False),
                    ),
                    console,
                    write,
                )
    except OutOfTimeError:
        errors.print(f"{minutes:g} minutes are over; run the same command again to go on")
        raise typer.Exit(AGAIN) from None
    except (ModerationError, OSError) as error:
        message = error.message if isinstance(error, ModerationError) else str(error)
        errors.print(message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None


def _one(task: Task, console: Console, write: bool) -> None:
    outcome = tune_model(task)
    if not outcome.changes:
        console.print(f"{task.model}: what is there stays", markup=False, highlight=False)
        return
    console.print(Syntax(outcome.diff(ROOT), "diff", background_color="default"))
    if write:
        for path, text in outcome.changes.items():
            path.write_text(text)
        console.print(f"{task.model}: written", highlight=False)
    else:
        console.print(f"{task.model}: add --write to change the files", markup=False, highlight=False)
