"""The table of all faults: when each was noticed, when it was over, what was answered meanwhile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.machine import describe
from serving.load import Protocol

TARGET = "MODERATION_FAULTS_REPORT"
UNDER_LOAD = pytest.mark.skipif(
    "MODERATION_FAULTS" not in os.environ,
    reason="faults under load take 6 quiet minutes: run `make faults`",
)
HEAD = """# Faults under load

{machine}

Clients ask without pause over HTTP and gRPC. Noticed: until the first reply that is not the usual one; 0 where no reply
was. Over: until the last such reply. Unanswered: requests whose connection broke. Wrong: a decision that the picture
does not have; a missing stage makes it `review`, and is not wrong.

| fault | noticed after | over after | replies meanwhile | unanswered | wrong |
|---|---|---|---|---|---|
"""
FOOT = """
Rerun: `make faults`.

Healing loads the model again beside the old instances. Where the killed process was in the middle of a request, the
other old ones would wait for it for ever; the launcher ends them 20 s later.
"""


@dataclass(frozen=True)
class Row:
    """One fault; times in seconds."""

    fault: str
    noticed: float
    over: float
    replies: int
    unanswered: int
    wrong: int

    def text(self) -> str:
        """A line of the table."""
        times = f"{self.noticed:.2f} s | {self.over:.2f} s"
        return f"| {self.fault} | {times} | {self.replies} | {self.unanswered} | {self.wrong} |"


ROWS: list[Row] = []


def note(fault: str, protocol: Protocol, moment: float, *, may_break: bool = False) -> None:
    """A row; what is judged is that nothing wrong was answered, and nobody left without an answer.

    Args:
        fault: in words.
        protocol: what clients got.
        moment: of the fault, `time.monotonic()`.
        may_break: whether connections cannot but break.
    """
    silent = protocol.unanswered(moment)
    times = protocol.noticed(moment), protocol.settled(moment)
    ROWS.append(Row(fault, *times, len(protocol.since(moment)), silent, len(protocol.wrong)))
    assert protocol.wrong == []
    assert may_break or not silent, [o.detail for o in protocol.since(moment) if o.unanswered]


def write() -> None:
    """Write the table where somebody asked for it."""
    if path := os.environ.get(TARGET):
        rows = "".join(f"{row.text()}\n" for row in ROWS)
        Path(path).write_text(HEAD.format(machine=describe()) + rows + FOOT)
