"""The sample images through a running server, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from moderation.client import Client
from moderation.samples import render


def show_samples(url: str, console: Console | None = None) -> None:
    """Moderate every sample picture and print its decision with the first reason."""
    console = console or Console()
    table = Table("sample", "decision", "severity", "reason", "ms", title="samples, moderated by the running server")
    client = Client(url)
    colours = {"allow": "green", "review": "yellow", "block": "red"}
    for name, image in render().items():
        result = client.moderate([image])[0]
        reasons = result["reasons"]
        decision = result["decision"]
        table.add_row(
            name,
            f"[{colours.get(decision, 'magenta')}]{decision}[/]",
            str(result["severity"]),
            reasons[0]["message"] if reasons else "nothing found",
            f"{result['timings_ms']['total']:.0f}",
        )
    console.print(table)
