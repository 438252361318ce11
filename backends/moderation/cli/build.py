"""Building networks with a bar for each, for `moderation models build` and `moderation serve --build`."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from moderation.models import store
from moderation.models.tensorrt.api import CHECKED


class Engine(str, Enum):
    """What networks are built for."""

    openvino = "openvino"
    tensorrt = "tensorrt"


def build_networks(
    console: Console,
    repository: Path,
    only: list[str],
    engine: Engine,
    *,
    force: bool = False,
    memory_mib: int | None = None,
) -> None:
    """Build what is missing or changed and say what was done.

    Raises:
        ModelBuildError: see `build_all`.
    """
    from moderation.models.build import build_all, openvino  # OpenVINO takes a moment to import

    started = time.monotonic()
    built: set[str] = set()
    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.fields[step]:<9}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        note = ""
        if engine is Engine.tensorrt:
            from moderation.models.tensorrt.build import MEMORY_MIB, here, recipe

            place = here()
            chosen = recipe(place, memory_mib or MEMORY_MIB, lambda line: console.print(line, highlight=False))
            if not place.serves:
                what = "TensorRT for RTX" if place.api.flavour == CHECKED else "no GPU"
                note = f"{place.api.name}, GPU {place.gpu_name}: {what} here; a check, not plans that Triton can serve"
        else:
            chosen = openvino()

        def progress(name: str, step: str) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=len(chosen.steps), step=step)
            if step == "done":
                bar.update(tasks[name], completed=len(chosen.steps), step="built")
                return
            built.add(name)
            bar.update(tasks[name], completed=chosen.steps.index(step.split(" ")[0]), step=step)

        entries = build_all(repository, only, progress, force=force, recipe=chosen)
    fresh = f"{len(built)} built, " if built else ""
    console.print(
        f"{fresh}{len(entries) - len(built)} up to date in {time.monotonic() - started:.1f} s; store: {store.root()}",
        highlight=False,
    )
    if note:
        console.print(note, highlight=False)
