"""`moderation deploy`: what the chart's containers run; each works against any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from moderation.deploy.analyse import Analysis, Limits, addresses, analyse, golden_images
from moderation.deploy.drain import counter, drain
from moderation.errors import ModerationError

app = typer.Typer(help="What a deployment runs beside the server: the drain, the analysis.", no_args_is_help=True)


@app.command(name="drain")
def drain_command(
    metrics: Annotated[str, typer.Option(help="Metrics page of the server.")] = "http://127.0.0.1:8002/metrics",
    at_least: Annotated[float, typer.Option(help="Seconds to wait in any case.")] = 8.0,
    quiet: Annotated[float, typer.Option(help="Seconds without a request that count as quiet.")] = 2.0,
    at_most: Annotated[float, typer.Option(help="Longest wait in seconds.")] = 45.0,
) -> None:
    """Wait until a server that is about to be stopped gets no requests any more; run before SIGTERM."""
    console = Console(stderr=True)
    try:
        done = drain(counter(metrics), at_least_s=at_least, quiet_s=quiet, at_most_s=at_most)
    except ModerationError as error:
        console.print(error.message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    console.print(f"drained in {done.seconds:.1f} s" if done.quiet else f"still busy after {done.seconds:.1f} s")


@app.command(name="analyse")
def analyse_command(
    host: Annotated[str, typer.Option(help="Name of a headless service; each address behind it is a pod.")],
    http_port: Annotated[int, typer.Option(help="HTTP port of the pods.")] = 8000,
    metrics_port: Annotated[int, typer.Option(help="Metrics port of the pods.")] = 8002,
    golden: Annotated[Path | None, typer.Option(help="Folder of images with expected.yaml; else samples.")] = None,
    any_decision: Annotated[
        bool, typer.Option("--any-decision", help="Any decision will do, but one must come.")
    ] = False,
    watch: Annotated[float, typer.Option(help="Seconds to watch real traffic; 0 does not.")] = 30.0,
    max_error_ratio: Annotated[float, typer.Option(help="Share of requests that may fail.")] = 0.01,
    max_unknown_ratio: Annotated[float, typer.Option(help="Stages without a signal for each request.")] = 0.05,
    max_p95_ms: Annotated[float, typer.Option(help="95th percentile of a decision in milliseconds.")] = 1000.0,
    token_file: Annotated[Path | None, typer.Option(help="File with a token for the requests.")] = None,
) -> None:
    """Send golden images to every pod and read its metrics; exit code 1 when the release should be taken back."""
    console = Console(width=200)
    try:
        headers = {"authorization": f"Bearer {token_file.read_text().strip()}"} if token_file else {}
        images = golden_images(golden, any_decision=any_decision)
        pods = [f"[{a}]" if ":" in a else a for a in addresses(host, http_port)]
        servers = {f"http://{pod}:{http_port}": f"http://{pod}:{metrics_port}/metrics" for pod in pods}
        limits = Limits(max_error_ratio, max_unknown_ratio, max_p95_ms)
        result = analyse(servers, images, limits, watch_s=watch, headers=headers)
    except (ModerationError, OSError) as error:
        message = error.message if isinstance(error, ModerationError) else f"{error.filename}: {error.strerror}"
        console.print(message, style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None
    _show(console, result)
    if result.findings:
        raise typer.Exit(1)


def _show(console: Console, result: Analysis) -> None:
    policies = ", ".join(sorted(result.policies)) or "none"
    console.print(f"{len(result.pods)} pod(s), {result.images} golden images decided, policy {policies}")
    if seen := result.traffic:
        console.print(
            f"real traffic: {seen.requests} requests, {seen.errors} failed, {seen.unknown} stages without a signal, "
            f"95 % within {seen.p95_ms:.0f} ms"
        )
    for finding in result.findings:
        console.print(f"against it: {finding}", style="red", markup=False, highlight=False)
    console.print("take the release back" if result.findings else "the release may stay")
