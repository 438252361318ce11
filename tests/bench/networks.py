"""The networks alone: INT8 against FP32, what reading costs before and after, and how long a start takes.

    make bench-networks        # needs the real images in ../shared/data; 6 minutes on 2 cores

Everything is measured in one run on one core, the sides of a comparison in turn, as CPU time, so that what else the
machine does counts little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.decisions import DATA  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.images.decode import decode  # noqa: E402
from moderation.images.limits import Limits  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from moderation.models import store  # noqa: E402
from moderation.models.build import build_all  # noqa: E402
from moderation.models.manifest import FILE  # noqa: E402
from moderation.ocr.ctc import load_characters  # noqa: E402
from moderation.ocr.read import OcrConfig, read  # noqa: E402
from moderation.quantise import pictures  # noqa: E402
from moderation.quantise.judge import judge  # noqa: E402
from moderation.serving.network import OpenVinoNetwork  # noqa: E402
from quality.test_int8 import FOLDERS  # noqa: E402
from quality.test_ocr_accuracy import errors  # noqa: E402
from serving.conftest import launched  # noqa: E402

SHAPES: Final = {
    contract.SAFETY: [(1, 320, 320)],
    contract.CLASSIFIER: [(1, 224, 224)],
    contract.TEXT_DETECTOR: [(1, 320, 448), (1, 704, 960)],
    contract.TEXT_RECOGNIZER: [(1, 48, 320), (8, 48, 320), (4, 48, 640)],
}
RUNS: Final = 15
BEFORE: Final = OcrConfig(min_side=736, max_side=2304, max_pixels=1 << 24, side_step=32)
"""RapidOCR's sizes, which were the defaults before."""
ROWS: Final = (1, 2, 4, 8)
Folders = dict[str, Path]


@dataclass
class Timed:
    """A network whose CPU time is summed."""

    network: OpenVinoNetwork
    seconds: float = 0.0
    shapes: int = 0

    def __post_init__(self) -> None:
        self._seen: set[tuple[int, ...]] = set()

    def __call__(self, pixels: Any) -> dict[str, Any]:
        self._seen.add(pixels.shape)
        self.shapes = len(self._seen)
        start = time.process_time()
        found = self.network.infer({"PIXELS": pixels})
        self.seconds += time.process_time() - start
        return found


def build(folder: Path) -> tuple[Folders, Folders]:
    """Built networks as they are served, and all of them in FP32."""
    shutil.copytree(REPOSITORY, folder)
    for path in folder.glob(f"*/1/{FILE}"):
        path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("int8:")))
    for repository in (folder, REPOSITORY):
        build_all(repository, [], lambda *_: None)
    served, full = (
        {model: path for (model, version), path in store.artefacts(r).items() if version == "1"}
        for r in (REPOSITORY, folder)
    )
    return served, full


def speeds(served: Folders, full: Folders) -> list[str]:
    """Time of one run of each network, both precisions in turn."""
    lines = ["| network | input | FP32 ms | served ms | ratio | served as |", "|---|---|---|---|---|---|"]
    random = np.random.default_rng(0)
    manifests = {e.model: e.manifest for e in store.entries(REPOSITORY) if e.version == "1"}
    for model, shapes in SHAPES.items():
        pair = [OpenVinoNetwork(folders[model], 1) for folders in (full, served)]
        for shape in shapes:
            pixels = random.integers(0, 256, (*shape, 3), np.uint8)
            times: list[list[float]] = [[], []]
            for lap in range(RUNS + 2):
                for network, taken in zip(pair, times, strict=True):
                    start = time.process_time()
                    network.infer({"PIXELS": pixels})
                    if lap >= 2:  # the first ones prepare the shape
                        taken.append(1e3 * (time.process_time() - start))
            slow, fast = (median(taken) for taken in times)
            kind = "INT8" if manifests[model].int8 else "FP32"
            size = "x".join(map(str, shape))
            lines.append(f"| {model} | {size} | {slow:.1f} | {fast:.1f} | **{slow / fast:.2f}** | {kind} |")
            print(lines[-1], flush=True)
    return lines


def distances(served: Folders, full: Folders, data: Path) -> list[str]:
    """How far INT8 is from FP32 on pictures that it was not calibrated on; the same as `tests/quality/test_int8.py`."""
    lines = ["| network | samples | distance | limit |", "|---|---|---|---|"]
    detector = OpenVinoNetwork(served[contract.TEXT_DETECTOR], 1)
    for entry in store.entries(REPOSITORY):
        if not entry.manifest.int8:
            continue
        files = pictures.choose(data / FOLDERS.get(entry.model, "ocr"), 40)
        seen = list(
            pictures.samples(
                files, entry.model, entry.manifest, lambda p: detector.infer({"PIXELS": p})["PROBABILITY"][0]
            )
        )
        a, b = (OpenVinoNetwork(folders[entry.model], 1) for folders in (full, served))
        names = served[contract.TEXT_RECOGNIZER] / "characters.txt"
        characters = load_characters(names) if entry.model == contract.TEXT_RECOGNIZER else []
        for delta in judge(entry.model, entry.manifest, _asked(a), _asked(b), seen, characters):
            lines.append(f"| {entry.model} | {len(seen)} | {delta.what} {delta.value:.4f} | {delta.limit:g} |")
            print(lines[-1], flush=True)
    return lines


def _asked(network: OpenVinoNetwork) -> Callable[[Any], dict[str, Any]]:
    return lambda pixels: network.infer({"PIXELS": pixels})


def reading(served: Folders, full: Folders, data: Path, each: int) -> list[str]:
    """CPU time and character errors over the labelled pictures, or each third or fourth of them, step by step."""
    rows = [json.loads(line) for line in (data / "ocr" / "labels.jsonl").read_text().splitlines()][::each]
    frames = [decode((data / "ocr" / row["file"]).read_bytes(), Limits()).frames[0] for row in rows]
    lines = [
        f"{len(rows)} labelled pictures, CPU seconds for all of them.\n",
        "| | detector s | recogniser s | both, ratio | shapes | character errors |",
        "|---|---|---|---|---|---|",
    ]
    first = 0.0
    for name, folders, config, sizes in (
        ("FP32, RapidOCR's sizes, batches as they come", full, BEFORE, ()),
        ("INT8", served, BEFORE, ()),
        ("INT8, few and smaller sizes for the detector", served, OcrConfig(), ()),
        ("INT8, and few sizes of batches: as served", served, OcrConfig(), ROWS),
    ):
        detector = Timed(OpenVinoNetwork(folders[contract.TEXT_DETECTOR], 1))
        recognizer = Timed(OpenVinoNetwork(folders[contract.TEXT_RECOGNIZER], 1, rows=sizes))
        characters = load_characters(folders[contract.TEXT_RECOGNIZER] / "characters.txt")
        wrong = total = 0

        async def detect(pixels: Any, network: Timed = detector) -> Any:
            return network(pixels)["PROBABILITY"]

        async def recognise(pixels: Any, network: Timed = recognizer) -> Any:
            found = network(pixels)
            return found["INDICES"], found["SCORES"]

        for row, frame in zip(rows, frames, strict=True):
            found = asyncio.run(read(frame, detect, recognise, config, characters))
            a, b = errors(row["lines"], [line.text for line in found])
            wrong, total = wrong + a, total + b
        both = detector.seconds + recognizer.seconds
        first = first or both
        lines.append(
            f"| {name} | {detector.seconds:.1f} | {recognizer.seconds:.1f} | **{first / both:.2f}** | "
            f"{detector.shapes} | {wrong / total:.4f} |"
        )
        print(lines[-1], flush=True)
    return lines


def starts() -> list[str]:
    """Seconds from the command to a server that is ready."""
    lines = ["| start | ready after s |", "|---|---|"]
    for name in ("first", "second", "third"):
        with tempfile.TemporaryDirectory() as scratch:
            begun = time.monotonic()
            with launched(Path(scratch)):
                lines.append(f"| {name} | {time.monotonic() - begun:.1f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--each", type=int, default=1, help="read each n-th labelled picture only")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "networks.md")
    options = parser.parse_args()
    if not (options.data / "ocr").is_dir():
        parser.error(f"no pictures in {options.data}; give --data")
    with tempfile.TemporaryDirectory() as folder:
        served, full = build(Path(folder) / "repository")
        parts = {
            "One run on one core": speeds(served, full),
            "How far INT8 is from FP32": distances(served, full, options.data),
            "Reading": reading(served, full, options.data, options.each),
            "Start": starts(),
        }
    head = f"# The networks on a CPU\n\n{describe()}\n\nRerun: `make bench-networks`. CPU time, one core.\n"
    body = "\n\n".join(f"## {name}\n\n" + "\n".join(lines) for name, lines in parts.items())
    options.output.write_text(f"{head}\n{body}\n")


if __name__ == "__main__":
    main()
