"""How long the queue of the entry model may be: answers at 0.8 times and twice what the server can do.

    python tests/bench/overload.py       # needs the real images in ../shared/data; 5 minutes on 2 cores

A server for each length of the queue. First its capacity, then open loops with arrivals at random: callers do not wait
for each other. Half of the pictures are photos, half are full of text.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.contenders import Triton  # noqa: E402 - the path comes first
from bench.compare.load import Answer  # noqa: E402
from bench.compare.pictures import Pictures  # noqa: E402
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from serving.conftest import launched  # noqa: E402

LENGTHS: Final = (4, 10, 24)
SECONDS: Final = 20.0
LOADS: Final = (0.8, 2.0)
LAPS: Final = 40
REPORT: Final = Path(__file__).parent / "results" / "overload.md"
TEXT: Final = """# The queue of the entry model

{machine}

Photos and pictures full of text by turns, arrivals at random, {seconds:.0f} s each; the capacity is what eight requests
at a time reached just before. Latencies in ms, of what was accepted; with so few, the p99 is nearly the slowest.
Rerun: `python tests/bench/overload.py`.

| places in the queue | load | offered/s | answered | answers/s | p50 | p95 | p99 | ms to a refusal | p99 beside 0.8× |
|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def with_queue(folder: Path, length: int) -> Path:
    """A repository whose entry model has so many places."""
    copy = Path(shutil.copytree(REPOSITORY, folder / "repository"))
    file = copy / contract.ENTRY / "configs" / "cpu.pbtxt"
    text, changed = re.subn(r"max_queue_size: \d+", f"max_queue_size: {length}", file.read_text())
    assert changed == 1
    file.write_text(text)
    return copy


def row(length: int, load: float, rate: float, answers: Sequence[Answer], calm: float | None) -> tuple[str, float]:
    """A line of the table, and the p99."""
    accepted = [answer.latency * 1e3 for answer in answers if answer.accepted]
    refused = [answer.latency * 1e3 for answer in answers if not answer.accepted]
    p50, p95, p99 = np.percentile(accepted, (50, 95, 99))
    cells = [
        str(length),
        f"{load:g}×",
        f"{rate:.2f}",
        f"{len(accepted)} of {len(answers)}",
        f"{len(accepted) / max(answer.ended for answer in answers):.2f}",
        *(f"{value:.0f}" for value in (p50, p95, p99)),
        f"{np.median(refused):.0f}" if refused else "",
        f"**{p99 / calm:.1f}**" if calm else "",
    ]
    return f"| {' | '.join(cells)} |", float(p99)


def main() -> None:
    """Measure and write the report."""
    pictures = Pictures(ROOT.parent / "shared" / "data", 12)
    if reason := pictures.missing():
        print(f"skipped: {reason}")
        return
    rows = []
    for length in LENGTHS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            with launched(folder, f"--repository={with_queue(folder, length)}") as server:
                triton = Triton(server)
                triton.closed([*pictures.laps("mixed", 0, 1), *pictures.laps("texts", 0, 1)], 4)  # compiles every shape
                answers = triton.closed(pictures.laps("mixed", 1, 3), 8)
                accepted = sum(answer.accepted for answer in answers)  # a short queue refuses some of eight
                capacity = accepted / max(answer.ended for answer in answers)
                calm: float | None = None
                for number, load in enumerate(LOADS):
                    asked = pictures.laps("mixed", LAPS * (number + 1), LAPS // 4)
                    line, p99 = row(
                        length, load, load * capacity, triton.poisson(asked, load * capacity, SECONDS), calm
                    )
                    calm = calm or p99
                    rows.append(line)
                    print(line, flush=True)
    REPORT.write_text(TEXT.format(machine=describe(), seconds=SECONDS, rows="\n".join(rows)))


if __name__ == "__main__":
    main()
