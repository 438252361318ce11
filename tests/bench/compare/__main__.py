"""This server beside the usual alternatives and the limit, on the same pictures, in one run.

    make bench                                   # all of it: about 22 minutes on 2 quiet cores
    make bench BENCH='--size short'              # fewer pictures and rounds: about 8 minutes
    make bench BENCH='--minutes 9'               # stops after 9 minutes; the same command again goes on

Needs the real images (`--data`), which may not be redistributed; without them it says so and does nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare import overhead, report  # noqa: E402 - the path comes first
from bench.compare.contenders import SINGLE, Stage, Triton  # noqa: E402
from bench.compare.journal import Journal  # noqa: E402
from bench.compare.pictures import Pictures  # noqa: E402
from bench.compare.steps import SIZES, Row, Size, Step, plan, run, warm  # noqa: E402
from serving.conftest import launched  # noqa: E402

AGAIN: Final = 75
"""Exit code of a run that stopped early and can go on (sysexits.h EX_TEMPFAIL)."""


def main() -> int:
    """Measure what is not measured yet; write the report when all is."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of real images")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long; run again to go on")
    parser.add_argument("--price", type=float, default=0.05, help="US dollars for a core-hour")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "results")
    parser.add_argument("--journal", type=Path, default=ROOT / "build" / "bench", help="folder of unfinished runs")
    options = parser.parse_args()
    size = SIZES[options.size]
    pictures = Pictures(options.data, size.pictures)
    if reason := pictures.missing():
        print(f"skipped: {reason}")
        return 0
    path = options.journal / f"{options.size}.jsonl"
    if options.fresh:
        path.unlink(missing_ok=True)
    journal = Journal(path, {"size": asdict(size) | {"curve": list(size.curve)}, "tree": _tree()})
    if not measure(journal, pictures, size, time.monotonic() + 60 * options.minutes):
        print(f"{options.minutes:g} minutes are over; run the same command again to go on")
        return AGAIN
    report.write(journal, options.output, options.size, options.price)
    print(f"{options.output / report.NAME}.md")
    return 0


def measure(journal: Journal, pictures: Pictures, size: Size, until: float) -> bool:
    """Make the steps that are not in the journal; whether all are now."""
    steps = [step for step in plan(size) if not journal.has(step)]
    warmed: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory(prefix="moderation-compare-") as folder:
        with Stage(Path(folder)) as stage:
            for done, step in enumerate(steps):
                if time.monotonic() > until:
                    return False
                name = SINGLE if step.kind == "single" else step.contender
                contender = stage.get(name)
                for kind in ("photos", "texts"):
                    if (name, kind) not in warmed:
                        warmed.add((name, kind))
                        row = warm(contender, step.contender, kind, pictures)
                        if name != SINGLE and not journal.has(Step(**row.step)):
                            _note(journal, row, "")
                rate = journal.rate(step.contender, step.mix)
                _note(journal, run(step, contender, pictures, size, rate), f"{len(steps) - done - 1} to go")
        if not list(journal.of("trace")):
            _note(journal, trace(Path(folder), pictures), "")
    return True


def trace(folder: Path, pictures: Pictures) -> Row:
    """Orchestration of single requests, in a server of its own that traces."""
    file = folder / "trace.json"
    with launched(folder, *overhead.trace_options(file)) as server:
        triton = Triton(server)
        answers = triton.closed(pictures.laps("photos", 0, 2), 1)  # a lap to compile every shape, a lap to look at
    spent = overhead.orchestration_ms(overhead.spans(file))[-pictures.count :]
    step = asdict(Step("trace", "photos", "triton", 1, 0, 0))
    latency = {"p50": round(median(spent), 3), "max": round(max(spent), 3)}
    return Row(step, len(answers), 0.0, 0.0, latency, None, {}, 0.0, 0.0)


def _note(journal: Journal, row: Row, rest: str) -> None:
    journal.add(row)
    failed = {status: n for status, n in row.statuses.items() if status != "200"}
    print(
        f"{Step(**row.step).key:34} {row.rate:7.2f}/s {row.latency_ms} {row.seconds:5.1f} s {failed or ''} {rest}",
        flush=True,
    )


def _tree() -> str:
    """What is measured: the trees of what is served, and whether files differ from them."""
    git, served = ["git", "-C", str(ROOT)], ["backends", "model_repository"]
    names = [*git, "rev-parse", *(f"HEAD:{folder}" for folder in served)]
    trees = subprocess.run(names, capture_output=True, text=True).stdout.split()
    changed = subprocess.run([*git, "status", "--porcelain", "--", *served], capture_output=True, text=True).stdout
    return f"{' '.join(tree[:10] for tree in trees)}{' and changes' if changed else ''}"


if __name__ == "__main__":
    sys.exit(main())
