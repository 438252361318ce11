"""`moderation models`: build, list, verify networks; status of those that a server has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from moderation.cli.add import add
from moderation.cli.build import Engine, build_networks
from moderation.cli.labels import print_labels
from moderation.cli.report import reported
from moderation.errors import ModerationError
from moderation.launcher.control import Control
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.models.sources import describe

app = typer.Typer(help="The networks: build, add, list, verify; status on a server.", no_args_is_help=True)
app.command()(add)
Repository = Annotated[Path, typer.Option(help="Model repository.")]
Url = Annotated[str, typer.Option(help="HTTP address of the server.")]
_COLOURS: Final = {"built": "green", "READY": "green", "missing": "yellow", "LOADING": "yellow"}


def _coloured(state: str) -> str:
    return f"[{_COLOURS.get(state, 'red')}]{state}[/]"


@app.command()
def build(
    model: Annotated[list[str] | None, typer.Argument(help="Models; all when none is named.")] = None,
    repository: Repository = REPOSITORY,
    engine: Annotated[
        Engine, typer.Option(help="openvino for the profile cpu, tensorrt for the GPU.")
    ] = Engine.openvino,
    force: Annotated[bool, typer.Option("--force", help="Build again what is intact.")] = False,
    memory_mib: Annotated[
        int | None, typer.Option(min=64, help="MiB that TensorRT's builder and one execution context may use.")
    ] = None,
) -> None:
    """Build what is missing or changed, verify the rest."""
    with reported():
        build_networks(
            Console(stderr=True), repository.resolve(), model or [], engine, force=force, memory_mib=memory_mib
        )


@app.command()
def quantise(
    model: Annotated[str, typer.Argument(help="A network, or NETWORK:VERSION; its version 1 when none is named.")],
    pictures: Annotated[Path, typer.Option(help="Folder of pictures like those that will be moderated.")],
    repository: Repository = REPOSITORY,
) -> None:
    """Measure the ranges that INT8 needs, compare with FP32 on pictures that are held out, write what follows.

    Takes minutes and `pip install 'content-moderation[quantise]'`. The ranges become `int8.json` beside the manifest,
    and every build uses them; where INT8 is too far from FP32 the manifest gets the reason instead. Exit code 1 then.
    """
    from moderation.quantise.run import quantise as run  # OpenVINO takes a moment to import

    console = Console(highlight=False, soft_wrap=True)
    name, _, version = model.partition(":")
    with reported():
        found = run(repository.resolve(), name, version or "1", pictures, lambda step: console.print(f"{step} …"))
    for delta in found.deltas:
        console.print(delta.text(), style="green" if delta.passes else "red", markup=False)
    if found.written is None:
        console.print(f"{found.entry.name} stays in FP32; the reason stands in {found.entry.manifest_path}")
        raise typer.Exit(1)
    console.print(f"wrote {found.written}. Next: moderation models build {name}")


@app.command(name="list")
def list_(repository: Repository = REPOSITORY) -> None:
    """Source, version, licence, size and state of every network."""
    table = Table(Column("model", no_wrap=True), "version", "source", "licence", "precision", "MB", "state")
    with reported():
        for entry in store.entries(repository.resolve()):
            size = f"{entry.size() / 1e6:.1f}" if entry.size() else ""
            m, state = entry.manifest, _coloured(entry.state())
            precision = "INT8" if m.int8 else "FP32"
            table.add_row(entry.name, m.version, describe(m.source), m.licence, precision, size, state)
    Console().print(table)


@app.command()
def labels(repository: Repository = REPOSITORY) -> None:
    """Every label name of the taxonomy, what it means, and which networks give it."""
    with reported():
        print_labels(repository.resolve())


@app.command()
def verify(repository: Repository = REPOSITORY) -> None:
    """Check every file of the store against its digest and run each network once; exit code 1 when one is not fit."""
    from moderation.models.conform import check  # OpenVINO takes a moment to import

    console, sound = Console(), True
    with reported():
        for entry in store.entries(repository.resolve()):
            verdict: str = entry.state()
            if verdict == "built":
                try:
                    check(entry.folder, entry.model, entry.manifest)
                except ModerationError as error:
                    verdict = f"unfit: {error.message}"
            sound = sound and verdict == "built"
            console.print(f"{entry.name}: {'sound' if verdict == 'built' else verdict}", highlight=False)
    if not sound:
        console.print("rebuild with: moderation models build", highlight=False)
        raise typer.Exit(1)


@app.command()
def load(model: str, url: Url = "http://127.0.0.1:8000") -> None:
    """Load a model of a running server, or what changed in it."""
    with reported():
        Control(url).load(model)


@app.command()
def unload(model: str, url: Url = "http://127.0.0.1:8000") -> None:
    """Unload a model of a running server once its requests are done."""
    with reported():
        Control(url).unload(model)


@app.command()
def status(url: Url = "http://127.0.0.1:8000") -> None:
    """State of every model version of a running server; exit code 1 when one is not ready."""
    table = Table("model", "version", "state", "reason")
    with reported():
        states = Control(url).index()
    for state in states:
        table.add_row(state.name, state.version, _coloured(state.state), state.reason)
    Console().print(table)
    if any(s.state != "READY" for s in states if s.version):
        raise typer.Exit(1)
