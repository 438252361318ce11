"""`moderation check`: files through a running server, decisions as a table or as JSON lines."""

from __future__ import annotations

import glob
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from moderation.cli.annotate import annotate
from moderation.client import Client
from moderation.errors import ConfigError, InputError, ModerationError, ServerError

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
"""Files that are looked at in a folder; a file that is named is always looked at."""
EXIT_CODES: Final = {"allow": 0, "review": 1, "block": 2, "error": 3, "unanswered": 4}
"""The worst outcome decides. `error`: refused as no acceptable image; `unanswered`: no decision from the server."""
USAGE_ERROR: Final = 64
"""Nothing was checked (sysexits.h EX_USAGE)."""
_COLOURS: Final = {"allow": "green", "review": "yellow", "block": "red", "error": "magenta", "unanswered": "magenta"}


@dataclass(frozen=True)
class Outcome:
    """What came of one file: a RESULT, or the reason why there is none."""

    name: str
    data: bytes
    result: dict[str, Any]

    @property
    def decision(self) -> str:
        """A key of `EXIT_CODES`."""
        return str(self.result["decision"])


def check(
    files: Annotated[list[str], typer.Argument(help="Files, folders, patterns, or - for standard input.")],
    url: Annotated[str, typer.Option(help="http://host:port or grpc://host:port.")] = "http://127.0.0.1:8000",
    caption: Annotated[str | None, typer.Option(help="Text that goes with each image.")] = None,
    policy: Annotated[str | None, typer.Option(help="Profile of the policy.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
    annotate_to: Annotated[Path | None, typer.Option("--annotate", help="Folder for annotated pictures.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 30.0,
) -> None:
    """Moderate images.

    Exit code, by the worst: 0 allow, 1 review, 2 block, 3 an image was refused, 4 the server did not answer.
    """
    errors = Console(stderr=True)
    try:
        names = find(files)
        Client(url).close()  # a wrong address is one message, not one for each file
        if annotate_to:
            annotate_to.mkdir(parents=True, exist_ok=True)
    except (ConfigError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(USAGE_ERROR) from None
    outcomes = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, disable=len(names) < 10, transient=True) as progress:
        task = progress.add_task("checking", total=len(names))
        for outcome in _moderate_all(names, url, caption, policy, concurrency, timeout):
            progress.advance(task)
            outcomes.append(outcome)
            if as_json:
                typer.echo(json.dumps({"file": outcome.name, **outcome.result}, ensure_ascii=False))
            if annotate_to and outcome.decision in ("allow", "review", "block"):
                _save(annotate_to, outcome, errors)
    if not as_json:
        Console().print(table(outcomes))
    raise typer.Exit(max(EXIT_CODES[o.decision] for o in outcomes))


def find(arguments: Sequence[str]) -> list[str]:
    """Names of the files that arguments mean, each once, in order.

    Raises:
        ConfigError: an argument means nothing.
    """
    found: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if argument == "-" or path.is_file():
            names = [argument]
        elif path.is_dir():
            names = [str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            if not names:
                raise ConfigError(f"no image in {argument}; looked for {', '.join(SUFFIXES)}")
        else:
            # Path.glob takes no absolute pattern
            names = sorted(p for p in glob.glob(argument, recursive=True) if Path(p).is_file())  # noqa: PTH207
            if not names:
                raise ConfigError(f"{argument} is neither a file, a folder nor a pattern that matches a file")
        found += names
    return list(dict.fromkeys(found))


def _moderate_all(
    names: Sequence[str], url: str, caption: str | None, policy: str | None, concurrency: int, timeout: float
) -> Iterator[Outcome]:
    """Outcomes in the order of the names, several requests at a time."""
    local = threading.local()  # a client belongs to its thread

    def one(name: str) -> Outcome:
        data = b""
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            if not hasattr(local, "client"):
                local.client = Client(url, timeout_s=timeout)
            captions = None if caption is None else [caption]
            return Outcome(name, data, local.client.moderate([data], captions, policy=policy)[0])
        except InputError as error:
            return Outcome(name, data, {"decision": "error", "error": error.as_item()})
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            return Outcome(name, data, {"decision": "error", "error": {"code": "INVALID_ARG", "message": message}})
        except ServerError as error:
            return Outcome(name, data, {"decision": "unanswered", "error": error.as_item()})

    with ThreadPoolExecutor(concurrency) as pool:
        yield from pool.map(one, names)


def _save(folder: Path, outcome: Outcome, errors: Console) -> None:
    path = Path("stdin") if outcome.name == "-" else Path(outcome.name)
    # the folder is part of the name, so that two files of one name do not overwrite each other
    target = folder / "__".join([*(p for p in path.parts[-3:-1] if p not in ("/", ".", "..")), f"{path.name}.png"])
    try:
        target.write_bytes(annotate(outcome.data, outcome.result))
    except (OSError, ModerationError) as error:
        errors.print(f"{outcome.name} is not annotated: {error}", style="red", markup=False)


def table(outcomes: Sequence[Outcome]) -> Table:
    """Decisions with their reasons."""
    out = Table(
        Column("file", ratio=2, overflow="fold"), Column("decision", no_wrap=True), "sev", Column("why", ratio=3), "ms"
    )
    for outcome in outcomes:
        result, colour = outcome.result, _COLOURS[outcome.decision]
        if "error" in result:
            why, severity, ms = escape(result["error"]["message"]), "", ""
        else:
            why = "\n".join(dict.fromkeys(_sentence(reason) for reason in result["reasons"])) or "nothing found"
            severity, ms = str(result["severity"]), f"{result['timings_ms']['total']:.0f}"
        out.add_row(escape(outcome.name), f"[{colour}]{outcome.decision}[/]", severity, why, ms)
    return out


def _sentence(reason: dict[str, Any]) -> str:
    evidence = reason["evidence"]
    what = evidence.get("label") or evidence.get("matched") or evidence.get("stage") or ""
    score = f" {evidence['score']:.2f}" if isinstance(evidence.get("score"), float) else ""
    return escape(f"{reason['message']} ({what}{score})" if what else str(reason["message"]))
