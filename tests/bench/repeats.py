"""What a response cache of the networks brings when pictures come again.

    python tests/bench/repeats.py       # needs the real images in ../shared/data; 6 minutes on 2 cores

Two servers, one with `--response-cache-mb`, get the same stream of photos and pages from four clients, at 0, 30 and
90 % repeats; rounds are interleaved, and each round has pictures of its own, so that nothing is known from before.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.pictures import Pictures, variant  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation.client import Client  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
CACHE_MB: Final = 256
CLIENTS: Final = 4
ROUNDS: Final = 2
REQUESTS: Final = 36
SHARES: Final = (0.0, 0.3, 0.9)


def stream(pictures: Sequence[bytes], share: float, chance: random.Random) -> list[bytes]:
    """So many pictures, of which a share was there before."""
    fresh = iter(pictures)
    found: list[bytes] = [next(fresh)]
    while len(found) < REQUESTS:
        found.append(chance.choice(found) if chance.random() < share else next(fresh))
    return found


def measure(server: Running, pictures: Sequence[bytes]) -> float:
    """Images a second."""

    def send(number: int) -> None:
        with Client(server.grpc) as client:
            for picture in pictures[number::CLIENTS]:
                client.moderate([picture])

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(CLIENTS)))
    return len(pictures) / (time.perf_counter() - started)


def main() -> None:
    """Measure and write the report."""
    files = Pictures(DATA, REQUESTS).files("mixed")
    chance, lap = random.Random(1), 0
    lines = ["| repeats | with cache, images/s | without | ratio, each round |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            launched(folder / "a", f"--response-cache-mb={CACHE_MB}") as cached,
            launched(folder / "b") as plain,
        ):
            for server in (cached, plain):
                measure(server, [variant(path, lap).data for path in files[:10]])  # compiles shapes
            for share in SHARES:
                rounds = []
                for _ in range(ROUNDS):
                    lap += 1  # pictures of earlier rounds do not come again
                    fresh = [variant(path, lap).data for path in chance.sample(files, len(files))]
                    pictures = stream(fresh, share, chance)
                    rounds.append((measure(cached, pictures), measure(plain, pictures)))
                ratios = [a / b for a, b in rounds]
                each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                lines.append(
                    f"| {share:.0%} | {median(a for a, _ in rounds):.2f} | {median(b for _, b in rounds):.2f} | "
                    f"**{median(ratios):.2f}** ({each}) |"
                )
                print(lines[-1], flush=True)
    head = (
        f"# Pictures that come again\n\n{describe()}\n\nRerun: `python tests/bench/repeats.py`; cache {CACHE_MB} MB.\n"
    )
    (Path(__file__).parent / "results" / "repeats.md").write_text(head + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
