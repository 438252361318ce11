"""`moderation audit`: is the log whole, what does it say, forget a person."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moderation.access.internal import write_private
from moderation.audit.erase import decisions, erase, export_line
from moderation.audit.keys import PUBLIC, Seal
from moderation.audit.log import Log
from moderation.audit.settings import Audit
from moderation.audit.verify import verify as verify_log
from moderation.cli.report import reported
from moderation.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="The record of decisions: verify, export, purge.")
Folder = Annotated[Path, typer.Argument(help="Folder of the log.", exists=True, file_okay=False)]
SealKey = Annotated[Path | None, typer.Option("--encryption-key", help="Key of a sealed log.")]


@app.command()
def verify(
    folder: Folder,
    public_key: Annotated[Path | None, typer.Option(help="Key that signs it; keep a copy elsewhere.")] = None,
    receipt: Annotated[list[str] | None, typer.Option(help="SEQ:HASH, as RESULT or `verify` gave it.")] = None,
) -> None:
    """Check every record, link and signature; exit code 1 when something does not fit."""
    console = Console()
    with reported():
        known = dict(_receipt(text) for text in receipt or ())
        report = verify_log(folder, public_key or folder / PUBLIC, known)
    table = Table.grid(padding=(0, 2))
    for name in ("segments", "records", "decisions", "erased", "lost", "clock_jumps"):
        table.add_row(name.replace("_", " "), str(getattr(report, name)))
    table.add_row("signed up to", f"{report.signed} of {report.last}")
    table.add_row("receipt", f"{report.last}:{report.head}")
    console.print(table)
    for fault in report.faults:
        console.print(fault, style="red", markup=False, highlight=False)
    if report.faults:
        raise typer.Exit(1)
    console.print("[green]whole[/]")


@app.command()
def export(
    folder: Folder,
    subject: Annotated[str | None, typer.Option(help="Only of this subject or client.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    encryption_key: SealKey = None,
) -> None:
    """Decisions as JSON lines, oldest first."""
    with reported():
        seal = Seal(encryption_key) if encryption_key else None
        for record, body in decisions(folder, seal):
            if _fits(body, subject, tenant):
                typer.echo(export_line(record, body))


@app.command()
def purge(
    folder: Folder,
    subject: Annotated[str, typer.Option(help="Subject or client whose decisions are to be forgotten.")],
    tenant: Annotated[str | None, typer.Option(help="Only with this tenant.")] = None,
    encryption_key: SealKey = None,
    signing_key: Annotated[Path | None, typer.Option(help="Where it is not in the folder.")] = None,
) -> None:
    """Take away what the log says about a person; the chain still verifies. Works while the server runs."""
    with reported():
        seal = Seal(encryption_key) if encryption_key else None
        settings = Audit(mode="required", folder=folder, signing_key=signing_key, encryption_key=encryption_key)
        log = Log(settings)
        try:
            done = erase(log, seal, lambda body: _fits(body, subject, tenant))
        finally:
            log.close()
    typer.echo(f"{done.records} records in {done.segments} segments were emptied")


@app.command()
def key(path: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Make a key that seals records."""
    with reported():
        try:
            write_private(path, base64.b64encode(os.urandom(32)))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _fits(body: Mapping[str, Any], subject: str | None, tenant: str | None) -> bool:
    if tenant is not None and body.get("tenant") != tenant:
        return False
    return subject is None or subject in (body.get("subject"), body.get("client"))


def _receipt(text: str) -> tuple[int, str]:
    seq, _, digest = text.partition(":")
    if not seq.isdecimal() or len(digest) != 64:
        raise ConfigError(f"`{text}` is no receipt; SEQ:HASH is expected, such as `verify` prints")
    return int(seq), digest
