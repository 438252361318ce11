"""`moderation policy`: check, test, explain, compare and describe policies. No server is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from moderation import contract
from moderation.cli import policy_tables as tables
from moderation.errors import ConfigError, InputError, ModerationError, PolicyError
from moderation.launcher.run import REPOSITORY
from moderation.policy import cases, replay, schema
from moderation.policy.explain import explain as explain_record
from moderation.policy.load import json_schema, load
from moderation.policy.rules import Policy

app = typer.Typer(help="Policies: check, test, explain, diff, schema.", no_args_is_help=True)
REFUSED: Final = 2
"""Exit code when a policy or a record cannot be used."""
Folder = Annotated[str | None, typer.Argument(help="Policy folder, or a version; the newest version when left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
Profile = Annotated[str | None, typer.Option(help="Decide under this profile, whatever the record says.")]


def folder_of(name: str | None) -> Path:
    """The folder of a policy: a path, a version of moderation-decision-logic, or its newest version.

    Raises:
        ConfigError: there is none.
    """
    model = REPOSITORY / contract.DECISION_LOGIC
    versions = {path.name: path for path in model.iterdir() if path.name.isdigit()} if model.is_dir() else {}
    if name is None:
        if not versions:
            raise ConfigError(f"{model} has no version folder; name the folder of a policy")
        return versions[max(versions, key=int)]
    if Path(name).is_dir():
        return Path(name)
    if name in versions:
        return versions[name]
    known = ", ".join(sorted(versions, key=int)) or "none"
    raise ConfigError(f"{name} is neither a folder nor a version of {contract.DECISION_LOGIC}; versions: {known}")


@contextmanager
def _errors() -> Iterator[None]:
    """Our errors, with all faults of a policy, in red and as exit code 2."""
    try:
        yield
    except ModerationError as error:
        Console(stderr=True).print(error.message, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    except OSError as error:
        Console(stderr=True).print(f"{error.filename}: {error.strerror}", style="red", markup=False, highlight=False)
        raise typer.Exit(REFUSED) from None


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


@app.command()
def check(folder: Folder = None, as_json: AsJson = False) -> None:
    """Show every fault of a policy, and run its tests. This is what the server does before it takes a policy.

    Exit code: 0 sound, 2 it would be refused.
    """
    with _errors():
        path = folder_of(folder)
        try:
            policy = load(path)
        except PolicyError as error:
            if not as_json:
                raise
            _print_json({"folder": str(path), "sound": False, "faults": list(error.faults)})
            raise typer.Exit(REFUSED) from None
        count = len(cases.read(path))
    rules = {name: len(profile.rules) for name, profile in policy.profiles.items()}
    if as_json:
        identity = {"version": policy.version, "sha256": policy.sha256}
        _print_json({"folder": str(path), "sound": True, **identity, "profiles": rules, "tests": count, "faults": []})
        return
    shown = ", ".join(f"{name} ({number} rules)" for name, number in rules.items())
    lines = (f"{path}: sound, {count} tests hold", f"version {policy.version}, sha256 {policy.sha256}", shown)
    Console().print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


@app.command(name="test")
def test_(folder: Folder = None, as_json: AsJson = False) -> None:  # noqa: PT028 - a command, not a test
    """Run a policy's tests.yaml: what was expected, what came out, and the rules that no test makes match.

    Exit code: 0 all hold, 1 some fail, 2 the policy cannot be loaded.
    """
    with _errors():
        path = folder_of(folder)
        policy = load(path, tests=False)
        outcomes = [cases.run(policy, case) for case in cases.read(path)]
    failed = [outcome for outcome in outcomes if outcome.differences]
    idle = sorted(
        {rule.id for p in policy.profiles.values() for rule in p.rules} - {r for o in outcomes for r in o.rules}
    )
    if as_json:
        _print_json(
            {
                "tests": len(outcomes),
                "failed": [
                    {"name": o.test.title, "line": o.test.line, "differences": [asdict(d) for d in o.differences]}
                    for o in failed
                ],
                "rules_without_test": idle,
            }
        )
    else:
        tables.print_outcomes(Console(), outcomes, idle)
    if failed:
        raise typer.Exit(1)


@app.command()
def explain(
    record: Annotated[str, typer.Argument(help="File with a RESULT or signals, or - for standard input.")],
    policy: Annotated[str | None, typer.Option(help="Folder or version; otherwise the one that decided.")] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show for a recorded decision which rules matched, which did not, and how far each was from matching.

    Exit code: 0 explained, 1 the policy now decides otherwise than the record says, 2 it cannot be explained.
    """
    differs = False
    with _errors():
        text = sys.stdin.read() if record == "-" else Path(record).read_text(encoding="utf-8")
        for document in documents(text):
            chosen = _policy_of(document, policy)
            signals = replay.to_signals(document) if replay.is_result(document) else document
            signals = {**signals, "profile": profile or signals.get("profile")}
            explanation = explain_record(chosen, signals)
            recorded = document.get("decision")
            differs = differs or recorded not in (None, explanation.verdict["decision"])
            if as_json:
                _print_json({**asdict(explanation), "recorded": recorded})
            else:
                tables.print_explanation(Console(), explanation, recorded)
    if differs:
        raise typer.Exit(1)


def documents(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a file that holds one, or one a line.

    Raises:
        InputError: it holds something else.
    """
    try:
        found = [json.loads(text)]
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise InputError(f"the record is not JSON: {error}", reason="bad_record") from None
    if not found or not all(isinstance(document, dict) for document in found):
        raise InputError("the record is no JSON object; a RESULT or signals are expected", reason="bad_record")
    return found


def _policy_of(document: dict[str, Any], wanted: str | None) -> Policy:
    """The policy that was asked for, or the version that a RESULT names."""
    versions = document.get("versions")
    named = str(versions.get("policy", "")).partition("@")[0] if isinstance(versions, dict) else ""
    return load(folder_of(wanted or named or None), tests=False)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="Folder or version of the policy that decides today.")],
    new: Annotated[str, typer.Argument(help="Folder or version of the policy to come.")],
    on: Annotated[Path, typer.Option(help="Recorded RESULTs or signals, one JSON document a line.")],
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Replay recorded pictures under two policies and show every decision that changes.

    A RESULT does not hold the caption and the attributes of the caller: add them as `caption` and `subject`.
    Exit code: 0 nothing changes, 1 something does, 2 a policy or a record cannot be read.
    """
    with _errors():
        policies = load(folder_of(old), tests=False), load(folder_of(new), tests=False)
        with on.open(encoding="utf-8") as lines:
            found = replay.compare(*policies, replay.read(lines), profile)
        if not found.total:
            raise InputError(f"{on} holds no record", reason="bad_record")
    if as_json:
        _print_json(tables.as_json(found))
    else:
        tables.print_comparison(Console(), found)
    if found.changes:
        raise typer.Exit(1)


@app.command(name="schema")
def schema_(
    tests: Annotated[bool, typer.Option("--tests", help="Of tests.yaml instead of policy.yaml.")] = False,
) -> None:
    """Print the JSON Schema of policy.yaml, for editors and other checkers."""
    model, title = (schema.TestsFile, "tests.yaml") if tests else (schema.PolicyFile, "policy.yaml")
    _print_json(json_schema(model, title))
