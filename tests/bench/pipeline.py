"""Throughput and latency of the whole pipeline with perf_analyzer: photos, and pictures full of text.

    make bench           # needs the real images in ../shared/data; 9 minutes on 2 cores
    python tests/bench/pipeline.py --photos DIR --texts DIR --output FILE

Each row is one run of perf_analyzer over the same pictures through a server of its own; rounds are interleaved, so that
a slow minute of the machine does not fall on one row, and the table shows each round.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation import contract  # noqa: E402
from moderation.perf.inputs import write_input_data  # noqa: E402
from serving.conftest import COMMAND, Running, launched  # noqa: E402

CONCURRENCIES: Final = (1, 2, 4, 8)
PICTURES: Final = 30
WINDOW_S: Final = {"photos": 5, "texts": 10}
"""perf_analyzer measures three of these; a picture full of text takes several times as long as a photo."""
DATA: Final = ROOT.parent / "shared" / "data"


def measure(server: Running, data: Path, concurrency: int, window_s: int) -> dict[str, float]:
    """One run: throughput in items a second, latencies in milliseconds."""
    report = data.with_suffix(".csv")
    subprocess.run(
        [
            *(COMMAND, "perf-analyzer", "-m", contract.ENTRY, "-i", "grpc", "-u", server.grpc.removeprefix("grpc://")),
            *("--input-data", data, "--concurrency-range", str(concurrency), "-p", str(window_s * 1000)),
            # three windows each time, whatever they say: the table shows how far rounds differ
            *("--stability-percentage", "999"),
            *("-f", report),
        ],
        check=True,
        capture_output=True,
        timeout=600,
    )
    with report.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return {
        "rate": float(row["Inferences/Second"]),
        **{p: float(row[f"{p} latency"]) / 1e3 for p in ("p50", "p95", "p99")},
    }


def pictures_of_text(folder: Path) -> list[Path]:
    """The labelled pictures with the most lines."""
    rows = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: (-len(row["lines"]), row["file"]))
    return [folder / row["file"] for row in rows[:PICTURES]]


def table(results: dict[tuple[str, int], list[dict[str, float]]]) -> str:
    """Markdown."""
    lines = [
        "| pictures | concurrency | images/s | each round | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for (kind, concurrency), rounds in results.items():
        rates = [r["rate"] for r in rounds]
        latencies = " | ".join(f"{mean(r[p] for r in rounds):.0f}" for p in ("p50", "p95", "p99"))
        each = ", ".join(f"{rate:.2f}" for rate in rates)
        lines.append(f"| {kind} | {concurrency} | {mean(rates):.2f} | {each} | {latencies} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, default=DATA / "people_photos" / "people")
    parser.add_argument("--texts", type=Path, default=DATA / "ocr", help="folder with labels.jsonl")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "pipeline-cpu.md")
    options = parser.parse_args()
    if not options.photos.is_dir() or not options.texts.is_dir():
        parser.error(f"no pictures in {options.photos} or {options.texts}; give --photos and --texts")
    results: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, launched(scratch := Path(folder)) as server:
        sets = {"photos": scratch / "photos.json", "texts": scratch / "texts.json"}
        write_input_data(sorted(options.photos.iterdir())[:PICTURES], sets["photos"])
        write_input_data(pictures_of_text(options.texts), sets["texts"])
        for data in sets.values():
            measure(server, data, 2, WINDOW_S["texts"])  # compiles each shape once
        for _ in range(options.rounds):
            for concurrency in CONCURRENCIES:
                for kind, data in sets.items():
                    row = measure(server, data, concurrency, WINDOW_S[kind])
                    results.setdefault((kind, concurrency), []).append(row)
                    print(kind, concurrency, row, flush=True)
    ordered = {key: results[key] for key in sorted(results)}
    head = f"# The whole pipeline on a CPU\n\n{describe()}\n\nRerun: `make bench`. {PICTURES} pictures of each kind.\n"
    options.output.write_text(f"{head}\n{table(ordered)}\n")


if __name__ == "__main__":
    main()
