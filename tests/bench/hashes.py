"""What looking up pictures in a million hashes costs, and what other ways would: `make bench-hashes`.

Each way runs in a process of its own, so that memory can be told apart. Lists: random hashes, which is what distinct
pictures give; and a flood, in which every entry differs from one plain picture in at most 20 bits. Queries: nothing
near, an entry with 31 bits turned over, the plain picture. Times are CPU milliseconds of one thread.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import cpu_ms, describe, resident  # noqa: E402 - the path comes first

ENTRIES, BITS, REACH, LAPS = 1_000_000, 256, 31, 10
Table = npt.NDArray[np.uint8]
Search = Callable[[Table], int]
"""From a query [1, 32] to the number of entries within REACH."""


def random_hashes() -> Table:
    """Distinct pictures."""
    return np.random.default_rng(1).integers(0, 256, (ENTRIES, BITS // 8), np.uint8)


def flood() -> Table:
    """One plain picture with up to 20 bits turned over, a million times."""
    chance = np.random.default_rng(2)
    found = np.zeros((ENTRIES, BITS // 8), np.uint8)
    for _ in range(20):
        places = chance.integers(0, BITS, ENTRIES)
        found[np.arange(ENTRIES), places // 8] |= (1 << (places % 8)).astype(np.uint8)
    return found


def queries(table: Table) -> dict[str, Table]:
    """Hashes to look up, by name."""
    turned = np.packbits(np.arange(BITS) % 8 == 0)
    turned[-1] = 0
    return {
        "nothing near": np.random.default_rng(3).integers(0, 256, (1, BITS // 8), np.uint8),
        "one near, 31 bits away": table[:1] ^ turned,
        "the plain picture": np.zeros((1, BITS // 8), np.uint8),
    }


def ours(table: Table) -> Search:
    """The product, loaded from a file with ids, sources and notes."""
    from moderation.hashes.pdq import PdqIndex

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.csv"
        with path.open("w") as file:
            file.write("hash,id,source,note\n")
            for number, row in enumerate(table):
                file.write(f"{row.tobytes().hex()},bank-{number},partner {number % 7},seen in week {number % 52}\n")
        start = time.process_time()
        index = PdqIndex.load(path)
    print(f"loaded in {time.process_time() - start:.1f} s of CPU", file=sys.stderr)
    return lambda query: len(index.search(query.tobytes().hex()))


def multi_hash(table: Table) -> Search:
    """faiss: 16 tables of 16 bits; within 31 bits, some slot differs in at most one."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryMultiHash(BITS, 16, 16)
    index.nflip = 1
    index.add(table)
    return lambda query: len(index.range_search(query, REACH + 1)[1])


def opencv(table: Table) -> Search:
    """cv2.batchDistance."""
    import cv2

    cv2.setNumThreads(1)
    kept = table.copy()

    def search(query: Table) -> int:
        distances = cv2.batchDistance(kept, query, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1)[0]
        return int(np.count_nonzero(distances <= REACH))

    return search


def numpy_table(table: Table) -> Search:
    """NumPy: exclusive or, and bits looked up for 16 at a time."""
    kept = table.copy().view(np.uint16)
    ones = np.asarray([number.bit_count() for number in range(1 << 16)], np.uint8)
    return lambda query: int(np.count_nonzero(ones[kept ^ query.view(np.uint16)].sum(axis=1) <= REACH))


WAYS: dict[str, Callable[[Table], Search]] = {
    "PdqIndex (faiss IndexBinaryFlat, best 10)": ours,
    "faiss IndexBinaryMultiHash 16 × 16": multi_hash,
    "OpenCV batchDistance": opencv,
    "NumPy, 16-bit lookup": numpy_table,
}
LISTS = {"random": random_hashes, "flood": flood}


def measure(way: str, kind: str) -> None:
    """Print the memory and the times of one way as JSON; runs in a process of its own."""
    table = LISTS[kind]()
    asked = queries(table)
    before = resident()
    search = WAYS[way](table)
    gc.collect()
    memory = resident() - before
    times = {name: (search(query), cpu_ms(partial(search, query), LAPS)) for name, query in asked.items()}
    print(json.dumps({"memory": memory, "times": times}))


def main() -> None:
    """Measure and write the report."""
    lines = ["| way | list | MB | query | found | CPU ms, median | all runs |", "|---|---|---|---|---|---|---|"]
    for way in WAYS:
        for kind in LISTS:
            command = [sys.executable, __file__, way, kind]
            done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            for query, (found, times) in done["times"].items():
                lines.append(f"| {way} | {kind} | {done['memory']:.0f} | {query} | {found} | {times} |")
    head = (
        f"# Looking up a million PDQ hashes within {REACH} bits\n\n{describe()}\n\n"
        "Rerun: `make bench-hashes`. CPU time of one thread; other work ran beside it. MB: growth of the process, "
        "libraries and what the list says included.\n\n"
    )
    (Path(__file__).parent / "results" / "hashes.md").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 1 else main()
