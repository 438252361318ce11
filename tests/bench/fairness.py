"""Whether slow or huge requests hold up others: a photo's latency while other clients keep the server busy.

    make bench-fairness      # needs the real images in ../shared/data; 5 minutes on 2 cores

One client sends photos one after the other. Beside it nobody asks, or three clients send pages of text all the time, or
three send the largest pictures that are accepted (49 million pixels and up to 20 MiB each). Pages are measured with the
entry model as shipped, where every request is run alone, and with requests that arrive together run as one batch in
four instances. Rounds are interleaved.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import numpy as np
import psutil
from PIL import Image

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.pictures import Pictures  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.client import Client  # noqa: E402
from moderation.errors import ServerError  # noqa: E402
from moderation.images.limits import Limits  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
BUSY_CLIENTS: Final = 3
SECONDS: Final = 12
ROUNDS: Final = 3
SIDE: Final = 7000


@dataclass
class Case:
    """What is beside the photos, and what was measured.

    Attributes:
        server: that is asked.
        beside: pictures of the other clients; none: there are no others.
        rounds: latencies of photos in milliseconds.
        answered: pictures of the others that were answered.
        refused: those that were told to come again.
    """

    server: Running
    beside: Sequence[bytes] = ()
    rounds: list[list[float]] = field(default_factory=list)
    answered: int = 0
    refused: int = 0


def batched(folder: Path) -> Path:
    """A copy of the repository whose entry model runs what arrives together as one batch."""
    copy = folder / "repository"
    shutil.copytree(REPOSITORY, copy)
    path = copy / contract.ENTRY / "configs" / "cpu.pbtxt"
    text = re.sub(r"count: \d+", "count: 4", path.read_text())
    path.write_text(text.replace("preferred_batch_size: [1]", ""))
    return copy


def largest(photo: bytes) -> list[bytes]:
    """A JPEG and a PNG of 49 million pixels, made of a photo: as large as files may be, or nearly.

    Args:
        photo: any picture.
    """
    picture = Image.open(io.BytesIO(photo)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(7).integers(-12, 13, (SIDE, SIDE, 1), np.int16)
    noisy = Image.fromarray(np.clip(np.asarray(picture, np.int16) + grain, 0, 255).astype(np.uint8))
    flat = picture.quantize(16).convert("RGB")  # noise would make the PNG too long
    return [
        _fitting(lambda quality: _saved(noisy, "JPEG", quality=quality), (92, 88, 84, 80, 70, 60)),
        _fitting(lambda level: _saved(flat, "PNG", compress_level=level), (6, 9)),
    ]


def _saved(picture: Image.Image, kind: str, **more: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **more)
    return buffer.getvalue()


def _fitting(save: Callable[[int], bytes], settings: Sequence[int]) -> bytes:
    """The first of the files that is not too long."""
    return next(data for value in settings if len(data := save(value)) <= Limits().max_bytes)


def measure(case: Case, photos: Sequence[bytes], *, keep: bool = True) -> None:
    """One round of a case."""
    stop, lock = threading.Event(), threading.Lock()

    def busy(number: int) -> None:
        with Client(case.server.grpc) as client:
            while not stop.is_set():
                picture = case.beside[number % len(case.beside)]
                number += BUSY_CLIENTS
                try:
                    client.moderate([picture])
                    answered = True
                except ServerError:  # it took longer than the deadline, or there was no room
                    answered = False
                with lock:
                    case.answered += answered and keep
                    case.refused += not answered and keep

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(BUSY_CLIENTS if case.beside else 0)]
    for thread in threads:
        thread.start()
    times: list[float] = []
    with Client(case.server.grpc) as client:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            started = time.perf_counter()
            client.moderate([photos[len(times) % len(photos)]])
            times.append((time.perf_counter() - started) * 1e3)
    stop.set()
    for thread in threads:
        thread.join()
    if keep:
        case.rounds.append(times)


def memory(server: Running) -> float:
    """Memory of the server and its Python processes in MB, shared pages counted once."""
    parent = psutil.Process(server.process.pid)
    return sum(process.memory_full_info().pss for process in parent.children(recursive=True)) / 1e6


def row(name: str, case: Case, size: float) -> str:
    """A line of the table."""
    times = [value for values in case.rounds for value in values]
    each = ", ".join(f"{median(values):.0f}" for values in case.rounds)
    p95 = quantiles(times, n=20)[18]
    rate = f"{case.answered / (SECONDS * ROUNDS):.2f} | {case.refused}" if case.beside else "| "
    return f"| {name} | {median(times):.0f} | {p95:.0f} | {each} | {rate} | {size:.0f} |"


def main() -> None:
    """Measure and write the report."""
    pictures = Pictures(DATA, 20)
    photos = [path.read_bytes() for path in pictures.files("photos")]
    pages = [path.read_bytes() for path in pictures.files("texts")[:10]]
    huge = largest(photos[0])
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            launched(folder / "a") as shipped,
            launched(folder / "b", "--repository", str(batched(folder))) as together,
        ):
            cases = {
                "nobody": Case(shipped),
                "3 clients with pages of text": Case(shipped, pages),
                "the same, run in batches by 4 instances": Case(together, pages),
                "3 clients with the largest pictures": Case(shipped, huge),
            }
            for case in cases.values():
                measure(case, photos, keep=False)  # compiles each shape once
            for _ in range(ROUNDS):
                for name, case in cases.items():
                    measure(case, photos)
                    print(name, f"{median(case.rounds[-1]):.0f} ms", flush=True)
            rows = [row(name, case, memory(case.server)) for name, case in cases.items()]
    sizes = " and ".join(f"{len(data) / 1e6:.1f} MB" for data in huge)
    report = "\n".join(
        (
            "# A photo beside slow and huge requests",
            "",
            describe(),
            "",
            f"One client sends photos one after the other. The largest pictures are a JPEG and a PNG of {SIDE} x "
            f"{SIDE} pixels, {sizes}.",
            "",
            "Rerun: `make bench-fairness`.",
            "",
            "| beside it | photo p50 ms | p95 ms | p50 of each round | theirs/s | theirs refused | memory MB |",
            "|---|---|---|---|---|---|---|",
            *rows,
        )
    )
    (Path(__file__).parent / "results" / "fairness.md").write_text(report + "\n")
    print(report)


if __name__ == "__main__":
    main()
