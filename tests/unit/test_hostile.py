"""Hostile files against the decoder: bombs, truncations, flipped bits."""

from __future__ import annotations

import io
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import hostile
from moderation.errors import InputError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.images.scans import count_scans
from moderation.samples import render

CPU_S = 20
"""Seconds of processor that one file may take: far above what any needs, far below what a bomb wants."""
MEMORY = 2 << 30
"""Bytes that one file may take on top of the process: the largest allowed picture, decoded, and its copies."""
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def look(data: bytes) -> str:
    """What came of a file: its format, or the reason of the refusal."""
    try:
        return str(preprocess(data, PreprocessConfig()).info["format"])
    except InputError as error:
        return error.reason


def open_all() -> None:
    """Every bomb, in a process whose memory and time are bounded. Prints what came of each."""
    import os

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for name, data in hostile.bombs():
        spent = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_S, resource.RLIM_INFINITY))
        print(f"> {name}", flush=True)
        started = time.monotonic()
        outcome = look(data)
        print(f"{name} ({len(data)} bytes): {outcome} after {time.monotonic() - started:.2f} s", flush=True)


def test_bombs_are_refused_or_opened_within_bounds() -> None:
    """Promise: no file takes the process down, nor 2 GiB of memory, nor 20 seconds of processor."""
    answer = subprocess.run(
        [sys.executable, "-c", "from unit.test_hostile import open_all; open_all()"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=280,
    )
    rows = answer.stdout.splitlines()
    assert answer.returncode == 0, (rows[-1:], answer.stderr[-800:])
    assert len(rows) == 2 * len(list(hostile.bombs()))


@pytest.mark.parametrize("name", ["threat.jpg", "sunset.png", "scam.webp", "animation.gif"])
def test_truncations(name: str) -> None:
    """Promise: a file cut at any kilobyte, and at each of its first 200 bytes, decodes or is refused in words."""
    data = render()[name]
    for end in (*range(200), *range(200, len(data), 1024)):
        look(data[:end])


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits(kind: str) -> None:
    """Promise: with any bit wrong, header or content, a file decodes or is refused in words."""
    data = hostile.encoded(hostile.noise(), kind)
    choose = random.Random(kind)
    places = [*range(60 * 8), *(choose.randrange(len(data) * 8) for _ in range(200))]
    for place in places:
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        look(bytes(changed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_format_in_the_clothes_of_another(kind: str) -> None:
    """Promise: the first bytes of one format before the rest of another are refused or decoded, never more."""
    whole = {other: hostile.encoded(hostile.noise(), other) for other in KINDS}
    for other, data in whole.items():
        for length in (4, 12, 32, 100):
            look(whole[kind][:length] + data[length:])
            look(whole[kind] + whole[other])


def test_a_polyglot_is_what_it_says_first() -> None:
    """Promise: a picture with a program or a page behind it is the picture, and its digest covers all of it."""
    data = hostile.encoded(hostile.noise(), "PNG") + b"<script>alert(1)</script>" + b"PK\x03\x04" + bytes(100)
    found = preprocess(data, PreprocessConfig()).info
    assert (found["format"], found["bytes"]) == ("PNG", len(data))
    assert Image.open(io.BytesIO(data)).size == (found["width"], found["height"])


def test_scans_are_counted_where_they_are() -> None:
    """Promise: scans count, and their marker inside metadata does not; usual progressive files pass."""
    plain = hostile.encoded(hostile.noise(), "JPEG")
    progressive = hostile.encoded(hostile.noise(), "JPEG", progressive=True)
    marked = hostile.with_segments(hostile.jpeg_segment(0xE1, b"\xff\xda" * 500))
    assert count_scans(plain, 3) == 1
    assert 4 < count_scans(progressive, 100) < 20
    assert count_scans(marked, 100) == 1
    assert count_scans(hostile.scan_bomb(150), 100) == 101
    assert look(marked) == look(progressive) == "JPEG"
