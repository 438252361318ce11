"""Fuzzing of what reads foreign bytes: the preprocessor and the policy loader. Seeds that broke something are kept.

    make fuzz MINUTES=10     # python tests/bench/fuzz.py --minutes 10

Pictures are changed by structure (chunks, segments and boxes are exchanged, repeated, cut, their lengths and sizes
changed) and by bytes; policies by their tree. Anything but a decoded picture, a loaded policy or one of our own errors
is a find, and so is what needs more memory than a decoder gets, or too long: its input goes to tests/bench/seeds/ and
the run ends with exit code 1.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import random
import re
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import hostile  # noqa: E402 - the path comes first
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.errors import InputError, PolicyError  # noqa: E402
from moderation.images.pipeline import PreprocessConfig, preprocess  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from moderation.policy.load import load  # noqa: E402
from moderation.samples import render  # noqa: E402
from moderation.serving.memory import confine  # noqa: E402

SEEDS = Path(__file__).parent / "seeds"
RESULTS = Path(__file__).parent / "results" / "fuzz.md"
MEMORY = 2 << 30
"""Bytes that an input may take on top of the process, as in the preprocessor's own (moderation.serving.memory)."""
SLOW_S = 10.0
"""An input that takes longer is a find: nothing of this size needs a tenth of it."""
LARGEST = 1 << 22
"""Bytes of an input at most: one piece that is repeated again and again would be the machine's memory otherwise."""
MARKS = re.compile(
    rb"IHDR|IDAT|iCCP|PLTE|tRNS|acTL|fcTL|\xff[\xc0-\xfe]|RIFF|VP8[ LX]|ANMF|ALPH|ftyp|meta|iloc|ispe|mdat"
)
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def pieces(data: bytes) -> list[bytes]:
    """A file cut at its structure."""
    places = [0, *(m.start() for m in MARKS.finditer(data)), len(data)]
    return [data[a:b] for a, b in pairwise(places) if b > a]


def changed(data: bytes, others: list[bytes], choose: random.Random) -> bytes:
    """A file with one to four changes."""
    for _ in range(choose.randint(1, 4)):
        parts = pieces(data)
        at = choose.randrange(len(parts))
        kind = choose.randrange(8)
        if kind == 0:
            parts[at] = b""
        elif kind == 1:
            parts.insert(at, choose.choice(parts) * choose.choice((1, 2, 50)))
        elif kind == 2:
            parts[at] = choose.choice(pieces(choose.choice(others)))
        elif kind == 3:
            choose.shuffle(parts)
        elif kind == 4:
            parts = parts[:at]
        data = b"".join(parts)[:LARGEST] or b"\xff"
        raw = bytearray(data)
        place = choose.randrange(len(raw))
        if kind == 5:
            raw[place] ^= 1 << choose.randrange(8)
        elif kind == 6:
            code = choose.choice((">I", "<I", ">H", "<H"))
            number = choose.choice(NUMBERS) & (0xFFFFFFFF if code[1] == "I" else 0xFFFF)
            packed = struct.pack(code, number)
            raw[place : place + len(packed)] = packed
        elif kind == 7:
            raw[place:place] = choose.randbytes(choose.choice((1, 4, 100, 5000)))
        data = bytes(raw)
    return data


def picture(data: bytes) -> str:
    """What came of a picture."""
    try:
        preprocess(data, PreprocessConfig())
    except InputError as error:
        return "unexpected out_of_memory" if error.reason == "out_of_memory" else error.reason
    return "decoded"


VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    "",
    "x" * 5000,
    [],
    {},
    "\ud800",
    "*a",
    2**70,
    "1 +",
    [[]],
)


def grown(tree: Any, choose: random.Random) -> Any:
    """A policy with one value, key or branch changed."""
    tree = copy.deepcopy(tree)
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            spots.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(tree)
    for _ in range(choose.randint(1, 3)):
        node, key = choose.choice(spots)
        other, place = choose.choice(spots)
        try:
            kind = choose.randrange(5)
            if kind == 0:
                node[key] = choose.choice(VALUES)
            elif kind == 1:
                del node[key]
            elif kind == 2:
                node[key] = copy.deepcopy(other[place])
            elif kind == 3 and isinstance(node, dict):
                node[choose.choice(("", "x", "when", "extends", "kind", "id"))] = copy.deepcopy(other[place])
            elif kind == 4 and isinstance(node, list):
                node.extend(copy.deepcopy(node) * choose.choice((1, 20)))
        except (KeyError, IndexError):
            continue  # an earlier change took this spot away
    return tree


class Policies:
    """Policy folders whose policy.yaml is changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "1"
        shutil.copytree(REPOSITORY / contract.DECISION_LOGIC / "1", self._folder)
        self._text = (self._folder / "policy.yaml").read_text()
        self._tree = yaml.safe_load(self._text)

    def make(self, choose: random.Random) -> bytes:
        """A changed policy.yaml."""
        if choose.random() < 0.3:
            return changed(self._text.encode(), [self._text.encode()], choose)
        tree = grown(self._tree, choose)
        return yaml.safe_dump(tree, allow_unicode=False).encode(errors="replace")

    def read(self, data: bytes) -> str:
        """What came of it."""
        (self._folder / "policy.yaml").write_bytes(data)
        try:
            load(self._folder, tests=False)
        except PolicyError:
            return "refused"
        return "loaded"


def fuzz(name: str, make: Callable[[], bytes], read: Callable[[bytes], str], until: float) -> tuple[Counter[str], int]:
    """Read made inputs until this process has used so many seconds of processor time.

    Returns:
        How often each outcome was, and how many finds were kept.
    """
    outcomes: Counter[str] = Counter()
    finds = 0
    while time.process_time() < until:
        data = make()
        started = time.monotonic()
        try:
            outcome = read(data)
            if time.monotonic() - started > SLOW_S:
                outcome = "slow"
        except Exception as error:
            outcome = f"unexpected {type(error).__name__}"
        outcomes[outcome] += 1
        if outcome == "slow" or outcome.startswith("unexpected"):
            finds += 1
            SEEDS.mkdir(exist_ok=True)
            (SEEDS / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            print(f"{name}: {outcome}", flush=True)
    return outcomes, finds


def main() -> None:
    """Fuzz both, half of the time each, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    wanted = parser.parse_args()
    choose = random.Random(wanted.seed)
    corpus = [*render().values(), *(hostile.encoded(hostile.noise(), kind) for kind in ("WEBP", "BMP", "TIFF", "AVIF"))]
    corpus += [hostile.encoded(hostile.noise(), "JPEG", progressive=True), hostile.gif(5), hostile.exif_loop()]
    process, lines, total = psutil.Process(), [], 0
    confine(MEMORY)
    with tempfile.TemporaryDirectory() as folder:
        policies = Policies(Path(folder))
        jobs: tuple[tuple[str, Callable[[], bytes], Callable[[bytes], str]], ...] = (
            ("picture", lambda: changed(choose.choice(corpus), corpus, choose), picture),
            ("policy", lambda: policies.make(choose), policies.read),
        )
        for name, make, read in jobs:
            before = process.memory_info().rss / 1e6
            outcomes, finds = fuzz(name, make, read, time.process_time() + wanted.minutes * 30)
            total += finds
            top = ", ".join(f"{kind} {number}" for kind, number in outcomes.most_common(12))
            grown_mb = process.memory_info().rss / 1e6 - before
            lines.append(f"| {name} | {sum(outcomes.values())} | {finds} | {grown_mb:+.0f} | {top} |")
            print(lines[-1], flush=True)
    spent = f"{wanted.minutes:g} minutes of processor time, seed {wanted.seed}"
    head = f"# Fuzzing\n\n{describe()}\n\n{spent}. Rerun: `make fuzz MINUTES=10`.\n"
    table = ["| reads | inputs | finds | MB grown | outcomes |", "|---|---|---|---|---|", *lines]
    RESULTS.write_text(head + "\n" + "\n".join(table) + "\n")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
