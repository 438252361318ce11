"""The `moderation` command: one sub-command for each act of a user."""

from __future__ import annotations

from typing import Annotated

import typer

from moderation import __version__
from moderation.cli.access import app as access
from moderation.cli.audit import app as audit
from moderation.cli.bench import bench
from moderation.cli.check import check
from moderation.cli.deploy import app as deploy
from moderation.cli.drift import app as drift
from moderation.cli.licences import licences
from moderation.cli.models import app as models
from moderation.cli.perf import perf_analyzer, perf_data
from moderation.cli.policy import app as policy
from moderation.cli.rollout import app as rollout
from moderation.cli.samples import samples
from moderation.cli.serve import serve
from moderation.cli.train import app as train
from moderation.cli.tune import tune

app = typer.Typer(
    name="moderation",
    help="Image content moderation inside NVIDIA Triton Inference Server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command(context_settings=_PASS_THROUGH)(serve)
app.command()(check)
app.command()(bench)
app.command()(tune)
app.command()(licences)
app.command()(samples)
app.command(name="perf-data")(perf_data)
app.command(name="perf-analyzer", context_settings={**_PASS_THROUGH, "help_option_names": []})(perf_analyzer)
app.add_typer(access, name="access")
app.add_typer(audit, name="audit")
app.add_typer(models, name="models")
app.add_typer(drift, name="drift")
app.add_typer(policy, name="policy")
app.add_typer(rollout, name="rollout")
app.add_typer(train, name="train")
app.add_typer(deploy, name="deploy")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show version.")] = False,
) -> None:
    """Image content moderation inside NVIDIA Triton Inference Server."""
