"""`moderation access`: is security.yaml right, and tokens for set-ups without an identity provider."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated

import jwt
import typer
from rich.console import Console
from rich.table import Table

from moderation.access.internal import write_private
from moderation.access.keys import SHARED, Keys
from moderation.access.principal import SCOPES
from moderation.access.tokens import Verifier
from moderation.cli.report import reported
from moderation.errors import ConfigError
from moderation.guard.settings import load

app = typer.Typer(no_args_is_help=True, help="Who may ask: check security.yaml, make secrets and tokens.")
File = Annotated[Path, typer.Argument(help="security.yaml.")]


@app.command()
def check(file: File) -> None:
    """What the server does with the file before it starts; exit code 2 with all faults."""
    with reported():
        settings = load(file)
        Verifier(settings.access)
    table = Table("tenant", "profile", "priority", "images/s", "at a time")
    for name, tenant in sorted(settings.tenants.items()):
        rate = "" if tenant.images_per_second is None else f"{tenant.images_per_second:g}"
        table.add_row(name, tenant.profile or "", tenant.priority, rate, str(tenant.concurrency or ""))
    console = Console()
    console.print(f"access {settings.access.mode}, audit {settings.audit.mode}, capacity {settings.limits.capacity}")
    console.print(table)


@app.command()
def secret(path: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """Make a shared secret for HS256."""
    with reported():
        try:
            write_private(path, secrets.token_urlsafe(48).encode())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


@app.command()
def token(
    file: File,
    tenant: Annotated[str, typer.Option(help="Tenant that it speaks for.")],
    issuer: Annotated[str | None, typer.Option(help="Issuer with a `secret`; the first one by default.")] = None,
    client: Annotated[str, typer.Option(help="Claim `sub`.")] = "cli",
    scope: Annotated[list[str], typer.Option(help="Scopes.")] = ["moderate"],  # noqa: B006 - typer copies it
    minutes: Annotated[float, typer.Option(min=0.1, help="How long it is good for.")] = 60.0,
) -> None:
    """A token of an issuer whose secret this machine has."""
    with reported():
        shared = [entry for entry in load(file).access.issuers if entry.secret and issuer in (None, entry.issuer)]
        if not shared:
            raise ConfigError(f"{file} has no such issuer with a `secret`; others make their own tokens")
        unknown = sorted(set(scope) - set(SCOPES))
        if unknown:
            raise ConfigError(f"scope {', '.join(unknown)} is unknown; allowed: {', '.join(SCOPES)}")
        (key,) = Keys(shared[0]).candidates(None, SHARED)
    now = int(time.time())
    claims = {
        "iss": shared[0].issuer,
        "aud": shared[0].audience,
        "sub": client,
        shared[0].tenant_claim: tenant,
        shared[0].scope_claim: " ".join(scope),
        "iat": now,
        "exp": now + int(minutes * 60),
    }
    typer.echo(jwt.encode(claims, key.material, SHARED))
