"""`moderation rollout`: bring a version to the callers step by step, watch it, and take it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Annotated, Any, Final

import psutil
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from moderation import contract
from moderation.cli import rollout_tables
from moderation.deploy.scrape import fetch
from moderation.errors import ConfigError, ModerationError
from moderation.launcher.process import stub_model
from moderation.launcher.run import REPOSITORY
from moderation.policy.load import json_schema
from moderation.rollout import compare, guards, routes, schema
from moderation.rollout.drive import Driver, Fleet
from moderation.rollout.guards import Limits
from moderation.rollout.state import STEPS, Rollout, Store, decide, to_page

app = typer.Typer(
    help="Rollouts: start, watch, status, promote, abort; report compares versions.", no_args_is_help=True
)
ENDED_BADLY: Final = 1
"""Exit code of a rollout that was rolled back."""

Model = Annotated[str, typer.Argument(help="Model of which a version is brought out.")]
Version = Annotated[int, typer.Argument(help="The version: a number of a folder.")]
Urls = Annotated[list[str], typer.Option("--url", help="A server; give all that share the routes.")]
Metrics = Annotated[list[str], typer.Option("--metrics", help="Metrics page of each server, in the same order.")]
Repository = Annotated[Path, typer.Option(help="Model repository that is served.")]
RoutesFile = Annotated[Path | None, typer.Option("--routes", help="Routes file; by default the entry model's own.")]
Headers = Annotated[list[str], typer.Option("--header", help="`name: value` of the requests that warm a version up.")]
Settle = Annotated[float, typer.Option(help="Seconds until all servers have seen a change of the routes.")]
ALL_STEPS: Final = ",".join(f"{step:g}" for step in STEPS)
URLS: Final = ["http://127.0.0.1:8000"]
METRICS: Final = ["http://127.0.0.1:8002/metrics"]


@app.command()
def start(
    model: Model,
    version: Version,
    steps: Annotated[str, typer.Option(help="Percent of the callers in each step.")] = ",".join(
        f"{s:g}" for s in STEPS
    ),
    hold: Annotated[float, typer.Option(min=0, help="Seconds that a step lasts at least.")] = 600,
    shadow: Annotated[float, typer.Option(min=0, max=100, help="First look on at this percent of requests.")] = 0,
    guard: Annotated[list[str] | None, typer.Option("--guard", help="`name=limit`; see `guards`.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Only start; `watch` goes on with it.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10,
    url: Urls = URLS,
    metrics: Metrics = METRICS,
    repository: Repository = REPOSITORY,
    routes_file: RoutesFile = None,
    header: Headers = [],  # noqa: B006 - typer copies it
    settle: Settle = 1.0,
) -> None:
    """Load a version beside the one that answers, warm it up, and give it a growing share while its guards hold."""
    console = Console(stderr=True)
    with _Told(console):
        driver = _driver(console, url, metrics, repository, routes_file, header, settle)
        rollout = Rollout(
            model=model,  # type: ignore[arg-type] # checked by the model itself
            stable=driver.stable(model),
            trial=version,
            steps=_steps(steps),
            shadow=shadow,
            hold_s=hold,
            limits=_limits(guard or []),
            step=-1 if shadow else 0,
            since=time.time(),
        )
        if rollout.stable == version:
            raise ConfigError(f"all callers of {model} have version {version} already")
        console.print(memory(model, rollout.stable, version), highlight=False, soft_wrap=True)
        driver.start(rollout)
        if not detach:
            _follow(driver, model, every, console)


@app.command()
def watch(
    model: Model,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10,
    once: Annotated[bool, typer.Option("--once", help="One look, for a timer.")] = False,
    url: Urls = URLS,
    metrics: Metrics = METRICS,
    repository: Repository = REPOSITORY,
    routes_file: RoutesFile = None,
    settle: Settle = 1.0,
) -> None:
    """Go on with a rollout that is on its way, from whatever machine sees the file and the servers."""
    console = Console(stderr=True)
    with _Told(console):
        driver = _driver(console, url, metrics, repository, routes_file, [], settle)
        if once:
            _print(Console(), driver.tick(model))
        else:
            _follow(driver, model, every, console)


@app.command()
def status(
    repository: Repository = REPOSITORY,
    routes_file: RoutesFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Rollouts on their way and past, with what happened to each."""
    with _Told(Console(stderr=True)):
        found = Store(_routes(repository, routes_file)).all()
        if as_json:
            hidden = {"gained", "seen"}
            typer.echo(json.dumps([r.model_dump(mode="json", exclude=hidden) for r in found], indent=1))
            return
        for rollout in found:
            _print(Console(), rollout)
        if not found:
            Console().print("no rollout so far")


@app.command()
def promote(
    model: Model,
    version: Version,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    url: Urls = URLS,
    metrics: Metrics = METRICS,
    repository: Repository = REPOSITORY,
    routes_file: RoutesFile = None,
    settle: Settle = 1.0,
) -> None:
    """Give a version all callers now, and unload the old one once nobody is on the way to it."""
    _end(lambda driver: driver.promote(model, version, reason), url, metrics, repository, routes_file, settle)


@app.command()
def abort(
    model: Model,
    version: Version,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    url: Urls = URLS,
    metrics: Metrics = METRICS,
    repository: Repository = REPOSITORY,
    routes_file: RoutesFile = None,
    settle: Settle = 1.0,
) -> None:
    """Give the stable version all callers again, and unload the other."""
    _end(lambda driver: driver.abort(model, version, reason), url, metrics, repository, routes_file, settle)


@app.command()
def report(
    model: Model,
    old: Annotated[int, typer.Argument(help="Version to compare with.")],
    new: Annotated[int, typer.Argument(help="Version that is compared.")],
    on: Annotated[list[Path] | None, typer.Option("--on", help="RESULTs, one JSON document a line.")] = None,
    log: Annotated[list[Path] | None, typer.Option("--log", help="Server logs: requests a shadow differs on.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metrics", help="Metrics pages, instead of --on.")] = None,
    effect: Annotated[float, typer.Option(min=0.0001, max=1, help="Change of a share to be noticed.")] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Compare two versions: decisions, errors, times, agreement, and the requests on which they differ."""
    with _Told(Console(stderr=True)):
        if bool(on) == bool(metrics):
            raise ConfigError("give either --on with recorded RESULTs or --metrics with metrics pages")
        if metrics:
            found = compare.of_page(reduce(add, (fetch(page) for page in metrics)), model, old, new)
        else:
            found = compare.of_results(_lines(on or []), model, old, new)
        found = found.with_examples(compare.shadow_examples(_lines(log or []), model, new))
        if as_json:
            typer.echo(json.dumps(found.document(effect), indent=1))
        else:
            rollout_tables.print_comparison(Console(), found, effect)


def _lines(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


@app.command(name="guards")
def guards_() -> None:
    """What is watched, and the limits where no --guard says otherwise."""
    out = Table("guard", "limit", "of a version on trial against the stable one")
    for name, field in Limits.model_fields.items():
        out.add_row(name, f"{field.default:g}", field.description)
    Console().print(out)


@app.command(name="schema")
def schema_() -> None:
    """The JSON Schema of routes.yaml."""
    typer.echo(json.dumps(json_schema(schema.RoutesFile, "routes.yaml"), indent=2, ensure_ascii=False))


def memory(model: str, stable: int, trial: int) -> str:
    """What a second version costs, from what the processes of the first one hold on this machine."""
    held = 0
    for process in psutil.process_iter():
        try:
            if stub_model(process.cmdline()) == model:
                held += process.memory_full_info().uss
        except psutil.Error:
            continue
    free = psutil.virtual_memory().available / 1e6
    if not held:
        return (
            f"loading {model} {trial} beside {stable}; no process of it runs on this machine, so its memory is unknown"
        )
    return (
        f"loading {model} {trial} beside {stable}: its processes hold {held / 1e6:.0f} MB of their own now, expect "
        f"about as much again while both serve; {free:.0f} MB are free"
    )


class _Told:
    """An error of ours is a sentence and exit code 2."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValidationError):
            faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            error = ConfigError("; ".join(faults))
        if isinstance(error, ModerationError):
            self._console.print(error.message, style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(2) from None


def _end(
    act: Callable[[Driver], Rollout],
    url: list[str],
    metrics: list[str],
    repository: Path,
    routes_file: Path | None,
    settle: float,
) -> None:
    console = Console(stderr=True)
    with _Told(console):
        act(_driver(console, url, metrics, repository, routes_file, [], settle))


def _driver(
    console: Console,
    url: list[str],
    metrics: list[str],
    repository: Path,
    routes_file: Path | None,
    header: list[str],
    settle: float,
) -> Driver:
    if len(url) != len(metrics):
        raise ConfigError(f"{len(url)} --url and {len(metrics)} --metrics; give one of each for every server")
    headers = {name.strip(): value.strip() for name, _, value in (text.partition(":") for text in header)}
    path = _routes(repository, routes_file)
    fleet = Fleet(list(zip(url, metrics, strict=True)), repository, path, headers, settle_s=settle)

    def tell(text: str) -> None:
        console.print(f"{datetime.now():%H:%M:%S} {text}", markup=False, highlight=False, soft_wrap=True)

    return Driver(fleet, tell)


def _routes(repository: Path, chosen: Path | None) -> Path:
    if chosen is not None:
        return chosen
    entry = repository / contract.ENTRY
    versions = [p for p in entry.glob("*") if p.name.isdigit()]
    if not versions:
        raise ConfigError(f"no version of {contract.ENTRY} in {repository}; give --repository or --routes")
    return routes.locate(max(versions, key=lambda p: int(p.name)))


def _steps(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    rising = all(a < b for a, b in pairwise(found))
    if not found or not rising or found[0] <= 0 or found[-1] != routes.WHOLE:
        raise ConfigError(
            f"--steps is `{text}`; rising percentages that end with 100 are expected, such as 1,5,25,50,100"
        )
    return found


def _limits(texts: list[str]) -> Limits:
    given: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in Limits.model_fields:
            raise ConfigError(f"--guard has `{name}`; allowed: {', '.join(Limits.model_fields)}")
        try:
            given[name] = int(value) if name == "min_items" else float(value)
        except ValueError:
            raise ConfigError(f"--guard {name} is `{value}`; a number is expected") from None
    return Limits(**given)


def _follow(driver: Driver, model: str, every: float, console: Console) -> None:
    told = ""
    while (rollout := driver.tick(model)).phase == "running":
        coming = f"{rollout.weight:g} %: {'; '.join(decide(rollout, time.time()).why)}"
        if coming.partition(" s of")[0].rstrip("0123456789") != told:
            console.print(f"{datetime.now():%H:%M:%S} {coming}", style="dim", highlight=False, soft_wrap=True)
            told = coming.partition(" s of")[0].rstrip("0123456789")
        time.sleep(every)
    if rollout.phase == "rolled_back":
        raise typer.Exit(ENDED_BADLY)


def _print(console: Console, rollout: Rollout) -> None:
    gained = to_page(rollout.gained)
    console.print(
        f"[bold]{rollout.model} {rollout.stable} to {rollout.trial}[/]: {rollout.phase.replace('_', ' ')}, "
        f"{rollout.weight:g} % of the callers"
    )
    for event in rollout.history:
        at = datetime.fromtimestamp(event.at, timezone.utc)
        console.print(f"  {at:%Y-%m-%d %H:%M:%S}Z  {event.what}", markup=False, highlight=False, soft_wrap=True)
    if rollout.phase != "running":
        return
    for version in (rollout.stable, rollout.trial):
        arm = guards.arm(gained, rollout.model, version)
        decisions = ", ".join(f"{count} {decision}" for decision, count in arm.decisions.items() if count)
        p95 = f", p95 up to {arm.p95() * 1e3:.0f} ms" if arm.seconds else ""
        console.print(f"  version {version}: {arm.items} items, {arm.errors} errors, {decisions or 'no decision'}{p95}")
    if (seen := guards.looks(gained, rollout.model, rollout.trial)).items:
        console.print(f"  in the shadow: {seen.items} items, {seen.differing} decided otherwise")
    console.print(f"  next: {'; '.join(decide(rollout, time.time()).why)}", highlight=False, soft_wrap=True)
