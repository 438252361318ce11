"""What the orchestration adds to a request: time that no stage works for it, from Triton's own trace of each request.

A request without company; each stage of the entry model is a span of the trace. What is left of the request when every
moment at which some stage computes is taken out is orchestration: parsing, hops between processes, waiting for a
process to notice, building the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation import contract

OPTIONS: Final = ("mode=triton", "level=TIMESTAMPS", "rate=1", "count=-1", "log-frequency=1")
"""`--trace-config` of tritonserver; every request is traced, each into a file of its own."""


@dataclass(frozen=True)
class Span:
    """One request to one model, in nanoseconds."""

    ident: int
    parent: int
    model: str
    times: dict[str, int]


def trace_options(file: Path) -> list[str]:
    """Options for the server."""
    return [f"--trace-config=triton,file={file}"] + [
        f"--trace-config={option}"
        if option.startswith(("mode", "level", "rate", "count"))
        else f"--trace-config=triton,{option}"
        for option in OPTIONS
    ]


def spans(file: Path) -> list[Span]:
    """From Triton's trace files; what one request says in several records is put together."""
    found: dict[int, dict[str, Any]] = {}
    records = (r for part in sorted(file.parent.glob(f"{file.name}*")) for r in json.loads(part.read_text() or "[]"))
    for record in records:
        into = found.setdefault(int(record["id"]), {"times": {}})
        into["model"] = record.get("model_name", into.get("model"))
        into["parent"] = int(record.get("parent_id", into.get("parent", 0)))
        for stamp in record.get("timestamps", ()):
            into["times"][stamp["name"]] = int(stamp["ns"])
    return [Span(ident, s["parent"], s["model"], s["times"]) for ident, s in found.items() if s.get("model")]


def orchestration_ms(found: Iterable[Span]) -> list[float]:
    """Milliseconds of each request to the entry model at which none of its stages computes, in order."""
    every = sorted(found, key=lambda span: span.times.get("REQUEST_START", 0))
    rows = []
    for entry in every:
        if entry.model != contract.ENTRY or "REQUEST_END" not in entry.times:
            continue
        work = [
            (child.times["COMPUTE_START"], child.times["COMPUTE_END"])
            for child in every
            if child.parent == entry.ident and {"COMPUTE_START", "COMPUTE_END"} <= child.times.keys()
        ]
        if work:
            total = entry.times["REQUEST_END"] - entry.times["REQUEST_START"]
            rows.append((total - covered(work)) / 1e6)
    return rows


def covered(intervals: Iterable[tuple[int, int]]) -> int:
    """Length of the union of intervals."""
    total, reached = 0, -1
    for start, end in sorted(intervals):
        start = max(start, reached)
        total += max(0, end - start)
        reached = max(reached, end)
    return total
