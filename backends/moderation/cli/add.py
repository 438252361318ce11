"""`moderation models add`: bring your own model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moderation import contract
from moderation.bring.spec import FORMS
from moderation.bring.wishes import NORMALISATIONS, Activation, Channels, Fit, Wishes
from moderation.errors import ModerationError
from moderation.launcher.run import REPOSITORY


def add(
    role: Annotated[str, typer.Argument(help=f"One of: {', '.join(contract.NETWORKS)}.")],
    source: Annotated[str, typer.Option(help=FORMS)],
    labels: Annotated[
        Path | None,
        typer.Option(help="YAML list of {raw, name, weight}: the classes; for a text-recognizer a character a line."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the network, where the source does not say.")] = None,
    activation: Annotated[
        Activation | None, typer.Option(help="What a classifier's output needs; none where it gives probabilities.")
    ] = None,
    independent: Annotated[
        bool, typer.Option("--independent", help="With --activation none: the scores do not sum to 1.")
    ] = False,
    normalise: Annotated[
        str | None, typer.Option(help=f"{', '.join(NORMALISATIONS)}, or MEAN,MEAN,MEAN/STD,STD,STD.")
    ] = None,
    channels: Annotated[Channels, typer.Option(help="Order of the channels that the network wants.")] = "rgb",
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, where the network takes any.")] = None,
    fit: Annotated[Fit, typer.Option(help="How a picture is fitted into a safety-classifier's size.")] = "stretch",
    resize: Annotated[
        bool, typer.Option("--resize", help="Let the graph scale the pixels of a role whose size is fixed.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="`version` of the manifest, for people.")] = None,
    description: Annotated[str | None, typer.Option(help="One line for `models list`.")] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to try the network on; else a drawn one.")] = None,
    repository: Annotated[Path, typer.Option(help="Model repository.")] = REPOSITORY,
) -> None:
    """Export a network to ONNX, check it against a role's contract, try it, and write it as the role's next version.

    Nothing in the repository changes unless all of that succeeds.
    """
    from moderation.bring.add import add as bring  # OpenVINO takes a moment to import

    console = Console(highlight=False, soft_wrap=True)
    wishes = Wishes(labels, normalise, channels, size, fit, activation, independent, resize, licence, description, name)
    try:
        added = bring(repository.resolve(), role, source, wishes, image, lambda step: console.print(f"{step} …"))
    except (ModerationError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    for line in added.lines:
        console.print(line, markup=False)
    for name in _undecided(repository, role, added.version):
        console.print(f"the policy has no limit for {name}: nothing is decided about it", style="yellow", markup=False)
    console.print(f"added {role}:{added.version}. Next:", style="green")
    console.print(f"  moderation models build {role} --repository {repository}", markup=False)
    for line in _next_steps(repository, role, added.version):
        console.print(f"  {line}", markup=False)


def _undecided(repository: Path, role: str, version: int) -> list[str]:
    """Labels of a new safety network that no rule of the newest policy's default profile covers."""
    from moderation.models import manifest
    from moderation.policy.load import load
    from moderation.policy.rules import DEFAULT_PROFILE, LabelRule

    folders = [p for p in (repository / contract.DECISION_LOGIC).iterdir() if p.name.isdigit()]
    if role not in (contract.SAFETY, contract.SAFETY_CLASSIFIER) or not folders:
        return []
    rules = load(max(folders, key=lambda p: int(p.name))).profiles[DEFAULT_PROFILE].rules
    names = manifest.load(repository / role / str(version) / manifest.FILE).mapping().names()
    return [n for n in names if not any(isinstance(rule, LabelRule) and rule.limits_for(n) for rule in rules)]


def _next_steps(repository: Path, role: str, version: int) -> list[str]:
    """How the new version comes into use."""
    release = repository / contract.ENTRY / "1" / "pipeline.yaml"
    return [
        f"in {release}, under `stages`: {role}: {{ version: {version} }}",
        f"restart the server: moderation serve; or, share by share: moderation rollout start {role} {version}",
    ]
