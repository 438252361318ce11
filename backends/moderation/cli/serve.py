"""`moderation serve`: the real tritonserver on this machine, watched over until Ctrl-C."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Final, TextIO, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from moderation import contract
from moderation.cli.build import Engine, build_networks
from moderation.errors import AbortedError, LaunchError, ModerationError
from moderation.launcher import heartbeat
from moderation.launcher.preflight import Ports
from moderation.launcher.process import POLL_S, Server, Supervisor, stop_signals
from moderation.launcher.protection import Protection, Tls
from moderation.launcher.run import REPOSITORY, Plan, engine_of, serving
from moderation.launcher.telemetry import SERVICE, Telemetry
from moderation.telemetry.log import JsonLines

RESTARTS: Final = 5
RESTARTS_S: Final = 600
"""A server that dies this often in this time is not brought back: starting again does not cure what is wrong."""


def serve(
    context: typer.Context,
    repository: Annotated[Path, typer.Option(help="Model repository to serve.")] = REPOSITORY,
    profile: Annotated[
        str, typer.Option(help="configs/<profile>.pbtxt of each model; `default` is config.pbtxt.")
    ] = "cpu",
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="HTTP port.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="gRPC port.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Prometheus port.")] = 8002,
    server: Annotated[Path | None, typer.Option(help="tritonserver binary or its root folder.")] = None,
    log: Annotated[Path | None, typer.Option(help="File for the server's log.")] = None,
    grace: Annotated[int, typer.Option(help="Seconds that requests in flight get at the end.")] = 30,
    metrics_address: Annotated[str, typer.Option(help="Address of the metrics, when it is another.")] = "",
    trace_endpoint: Annotated[
        str, typer.Option(help="OTLP/HTTP receiver, as http://127.0.0.1:4318/v1/traces; no traces without it.")
    ] = "",
    trace_rate: Annotated[
        int, typer.Option(help="One request in this many starts a trace; a caller's trace is always continued.")
    ] = 100,
    trace_service: Annotated[str, typer.Option(help="Name of this service in traces.")] = SERVICE,
    log_format: Annotated[str, typer.Option(help="`text`, or `json` for one object a line.")] = "text",
    request_log: Annotated[
        str, typer.Option(help="Items to log: `off`, `failures` (no decision, or a stage without a signal), `all`.")
    ] = "failures",
    response_cache_mb: Annotated[
        int, typer.Option(min=0, help="Memory for answers of the networks, for repeated pictures; 0: none.")
    ] = 0,
    build: Annotated[bool, typer.Option("--build", help="Build networks that are missing or changed first.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Moderate the sample images first.")] = False,
    security: Annotated[Path | None, typer.Option(help="security.yaml: access, tenants, limits, audit.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of gRPC (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Who signs clients' certificates: mTLS.")] = None,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="Listen beyond loopback although nobody needs a token.")
    ] = False,
    open_admin: Annotated[bool, typer.Option("--open-admin", help="Leave Triton's management APIs open.")] = False,
) -> None:
    """Start the real tritonserver, wait until it is ready, heal what dies, stop gracefully on Ctrl-C.

    Options that are not listed here go to tritonserver as they are, for example --log-verbose=1.
    """
    telemetry = Telemetry(metrics_address, trace_endpoint, trace_rate, trace_service, log_format, request_log)
    as_json = log_format == "json"
    console = Console(file=cast("TextIO", JsonLines(sys.stderr)), width=1000) if as_json else Console(stderr=True)
    plan = Plan(
        repository.resolve(),
        profile,
        address,
        Ports(http_port, grpc_port, metrics_port),
        server,
        log,
        grace,
        tuple(context.args),
        response_cache_mb,
        Protection(security, Tls(tls_cert, tls_key, tls_client_ca), allow_unauthenticated, open_admin),
        telemetry=telemetry,
    )
    try:
        if build:
            engine = Engine(engine_of(plan.repository, profile))
            build_networks(console, plan.repository, [], engine)
        _run(plan, console, demo)
    except ModerationError as error:
        console.print(error.message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None


def _run(plan: Plan, console: Console, demo: bool) -> None:
    deaths: deque[float] = deque(maxlen=RESTARTS)
    with stop_signals() as stop:
        while True:
            try:
                if _serve(plan, console, demo, stop):
                    break
                demo = False
            except AbortedError as error:
                console.print(f"{error.message}\nstarting it again", markup=False, highlight=False)
            deaths.append(time.monotonic())
            if len(deaths) == RESTARTS and deaths[-1] - deaths[0] < RESTARTS_S:
                raise LaunchError(f"tritonserver ended by itself {RESTARTS} times in {RESTARTS_S} s; giving up")
    console.print("stopped")


def _serve(plan: Plan, console: Console, demo: bool, stop: threading.Event) -> bool:
    """One life of the server; whether it ended because somebody wanted it to."""
    started = time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting tritonserver", total=0)
        queued = 0

        def on_event(model: str, state: str, detail: str) -> None:
            nonlocal queued
            if state == "queued":
                queued += 1
                progress.update(task, total=queued)
                return
            progress.update(task, advance=1, description=f"{model} {state}{': ' + detail[:200] if detail else ''}")

        with serving(plan, on_event) as server:
            progress.stop()
            _endpoints(plan, console, server, time.monotonic() - started)
            if demo:
                from moderation.cli.demo import show_samples  # the demo is not needed to serve

                show_samples(f"http://{plan.address}:{plan.ports.http}")
            console.print("serving; Ctrl-C stops")
            return _watch(server, console, stop, heartbeat.file(plan.ports.http))


def _endpoints(plan: Plan, console: Console, server: Server, seconds: float) -> None:
    base = f"{plan.address}:{{}}".format
    console.print(f"[green]ready[/] after {seconds:.1f} s (tritonserver {server.pid}, profile {plan.profile})")
    console.print(f"  HTTP     http://{base(plan.ports.http)}/v2/models/{contract.ENTRY}/infer")
    console.print(f"  gRPC     {base(plan.ports.grpc)}")
    console.print(f"  metrics  http://{base(plan.ports.metrics)}/metrics")
    console.print(f"  log      {server.log}", highlight=False)


def _watch(server: Server, console: Console, stop: threading.Event, pulse: Path) -> bool:
    """Whether the server ended because somebody wanted it to."""

    def healed(model: str, seconds: float) -> None:
        console.print(f"healed {model}: its Python process had died; serving again after {seconds:.1f} s")

    supervisor = Supervisor(server, healed, lambda: heartbeat.beat(pulse, supervisor.troubled))
    try:
        heartbeat.beat(pulse, {})
        while not stop.wait(POLL_S):
            if not server.running():
                console.print(f"tritonserver ended by itself; starting it again{server.tail()}", markup=False)
                return False
            supervisor.check()
            heartbeat.beat(pulse, supervisor.troubled)
        return True
    finally:
        pulse.unlink(missing_ok=True)
