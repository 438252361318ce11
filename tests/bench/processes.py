"""Where the CPU time of one picture goes: each process of a busy server beside the same work in one bare process.

    make bench-processes      # needs the real images in ../shared/data; 2 minutes on 2 cores

What a process takes beyond the bare work is the price of serving: hops, copies, the event loop, metrics.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.local import Local  # noqa: E402 - the path comes first
from bench.compare.meter import tree  # noqa: E402
from bench.compare.pictures import Picture, Pictures  # noqa: E402
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.client import Client  # noqa: E402
from moderation.launcher.process import stub_model  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402

PICTURES: Final = 24
LAPS: Final = 6
IN_FLIGHT: Final = 4
KINDS: Final = {"photos": "photo", "texts": "page with text"}
REPORT: Final = Path(__file__).parent / "results" / "processes.md"
STAGES: Final = {
    "image-preprocessor": (contract.PREPROCESSOR,),
    "content-classifier": (contract.CLASSIFIER,),
    "safety-detector": (contract.SAFETY,),
    "ocr-engine, text-detector, text-recognizer": (contract.OCR, *contract.READERS),
    "moderation-decision-logic": (contract.DECISION_LOGIC,),
    "entry model: orchestration, access, metrics": (contract.ENTRY,),
    "tritonserver: protocols, queues, copies": ("tritonserver",),
    "launcher: watches the others": ("launcher",),
}
TEXT: Final = """# Where the CPU time of a picture goes

{machine}

Rerun: `make bench-processes`. CPU milliseconds of one picture; {flight} requests at a time, the median of {laps} laps
of {count} pictures. Bare: the same stage in one process, alone on the machine. Clients are not counted.

| process | photo | bare | page with text | bare |
|---|---|---|---|---|
{rows}
"""


def spent(running: Running) -> dict[str, float]:
    """CPU seconds of each model's processes, of tritonserver and of the launcher so far."""
    seconds: dict[str, float] = defaultdict(float)
    for process in tree([running.process.pid]):
        command = process.cmdline()
        binary = "launcher" if process.pid == running.process.pid else Path(command[0]).name
        seconds[stub_model(command) or binary] += sum(process.cpu_times()[:2])
    return seconds


def served(pictures: Pictures) -> dict[str, dict[str, float]]:
    """CPU milliseconds of one picture of each kind, by process."""
    found: dict[str, dict[str, float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        launched(Path(folder)) as running,
        Client(running.grpc) as client,
        ThreadPoolExecutor(IN_FLIGHT) as pool,
    ):

        def ask(picture: Picture) -> None:
            client.moderate([picture.data])

        for kind in KINDS:
            laps = []
            for lap in range(LAPS + 1):
                asked = pictures.laps(kind, lap, 1)
                before = spent(running)
                list(pool.map(ask, asked))
                laps.append({name: seconds - before[name] for name, seconds in spent(running).items()})
            warm = laps[1:]
            found[kind] = {name: median(lap[name] for lap in warm) * 1e3 / PICTURES for name in warm[0]}
    return found


def bare(pictures: Pictures) -> dict[str, dict[str, float]]:
    """CPU milliseconds of one picture of each kind, by stage, in this process."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        local = Local(REPOSITORY, Path(folder))
        for kind in KINDS:
            for lap in range(2):
                local.cpu.clear()  # the first lap warms up
                for picture in pictures.laps(kind, lap, 1):
                    local.moderate(picture.data)
            found[kind] = {stage: seconds * 1e3 / PICTURES for stage, seconds in local.cpu.items()}
    return found


def main() -> None:
    """Measure and write the report."""
    pictures = Pictures(ROOT.parent / "shared" / "data", PICTURES)
    if reason := pictures.missing():
        print(f"skipped: {reason}")
        return
    with_server, alone = served(pictures), bare(pictures)
    rows, totals = [], [0.0] * 4
    for title, names in STAGES.items():
        values = []
        for kind in KINDS:
            values += [sum(with_server[kind][n] for n in names), sum(alone[kind].get(n, 0.0) for n in names)]
        totals = [total + value for total, value in zip(totals, values, strict=True)]
        rows.append(f"| {title} | " + " | ".join(f"{value:.1f}" if value else "" for value in values) + " |")
    rows.append("| **all** | " + " | ".join(f"**{total:.1f}**" for total in totals) + " |")
    REPORT.write_text(
        TEXT.format(machine=describe(), flight=IN_FLIGHT, laps=LAPS, count=PICTURES, rows="\n".join(rows))
    )
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
