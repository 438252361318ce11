"""Whether one slow request holds up others: a photo's latency while pages of text keep the server busy.

    python tests/bench/fairness.py      # needs the real images in ../shared/data; 4 minutes on 2 cores

Three clients send pages of text all the time, one sends photos one after the other. The same is measured with the entry
model as shipped, where every request is run alone, and with requests that arrive together run as one batch in four
instances. Rounds are interleaved.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import psutil

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.pictures import Pictures  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.client import Client  # noqa: E402
from moderation.errors import ServerError  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
SLOW_CLIENTS: Final = 3
SECONDS: Final = 15
ROUNDS: Final = 3


def batched(folder: Path) -> Path:
    """A copy of the repository whose entry model runs what arrives together as one batch."""
    copy = folder / "repository"
    shutil.copytree(REPOSITORY, copy)
    path = copy / contract.ENTRY / "configs" / "cpu.pbtxt"
    text = re.sub(r"count: \d+", "count: 4", path.read_text())
    path.write_text(text.replace("preferred_batch_size: [1]", ""))
    return copy


def measure(server: Running, photos: Sequence[bytes], pages: Sequence[bytes]) -> tuple[list[float], int]:
    """Latencies of photos in milliseconds, and how many pages were answered beside them."""
    stop, answered = threading.Event(), [0] * SLOW_CLIENTS

    def slow(number: int) -> None:
        with Client(server.grpc) as client:
            while not stop.is_set():
                try:
                    client.moderate([pages[(number + SLOW_CLIENTS * answered[number]) % len(pages)]])
                    answered[number] += 1
                except ServerError:  # it took longer than the deadline
                    continue

    threads = [threading.Thread(target=slow, args=(number,)) for number in range(SLOW_CLIENTS)]
    for thread in threads:
        thread.start()
    times: list[float] = []
    with Client(server.grpc) as client:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            started = time.perf_counter()
            client.moderate([photos[len(times) % len(photos)]])
            times.append((time.perf_counter() - started) * 1e3)
    stop.set()
    for thread in threads:
        thread.join()
    return times, sum(answered)


def memory(server: Running) -> float:
    """Memory of the server and its Python processes in MB, shared pages counted once."""
    parent = psutil.Process(server.process.pid)
    return sum(process.memory_full_info().pss for process in parent.children(recursive=True)) / 1e6


def main() -> None:
    """Measure and write the report."""
    pictures = Pictures(DATA, 20)
    photos = [path.read_bytes() for path in pictures.files("photos")]
    pages = [path.read_bytes() for path in pictures.files("texts")[:10]]
    found: dict[str, list[tuple[list[float], int]]] = {"alone, as shipped": [], "in batches, 4 instances": []}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            launched(folder / "a") as alone,
            launched(folder / "b", "--repository", str(batched(folder))) as together,
        ):
            servers = dict(zip(found, (alone, together), strict=True))
            for server in servers.values():
                measure(server, photos, pages)  # compiles each shape once
            for _ in range(ROUNDS):
                for name, server in servers.items():
                    found[name].append(measure(server, photos, pages))
                    print(name, f"{median(found[name][-1][0]):.0f} ms, {found[name][-1][1]} pages", flush=True)
            sizes = {name: memory(server) for name, server in servers.items()}
    lines = [
        "| requests are run | photo p50 ms | p95 ms | each round | pages/s beside | memory MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        times = [value for values, _ in rounds for value in values]
        each = ", ".join(f"{median(values):.0f}" for values, _ in rounds)
        pages_s = sum(count for _, count in rounds) / (SECONDS * ROUNDS)
        p95 = quantiles(times, n=20)[18]
        lines.append(f"| {name} | {median(times):.0f} | {p95:.0f} | {each} | {pages_s:.2f} | {sizes[name]:.0f} |")
    head = f"# A photo beside pages of text\n\n{describe()}\n\nRerun: `python tests/bench/fairness.py`.\n"
    (Path(__file__).parent / "results" / "fairness.md").write_text(head + "\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
