"""Odd, broken and hostile files against the real server."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from moderation import contract
from moderation.client import Client
from moderation.errors import InputError
from moderation.launcher.process import STUB
from moderation.samples import EXPECTED, render
from serving.conftest import Running, launched


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose memory nothing else has moved."""
    with launched(tmp_path_factory.mktemp("odd")) as running:
        yield running


def stub_pids(running: Running) -> set[int]:
    children = psutil.Process(running.process.pid).children(recursive=True)
    return {c.pid for c in children if any(STUB in a for a in c.cmdline()[:1])}


def peak_mib(running: Running, model: str) -> float:
    """Most memory that any process of a model ever had."""
    peaks = [0.0]
    for child in psutil.Process(running.process.pid).children(recursive=True):
        if any(a.startswith(f"{model}_") for a in child.cmdline()):
            status = Path(f"/proc/{child.pid}/status").read_text()
            peaks.append(int(next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]) / 1024)
    return max(peaks)


def test_every_odd_file_gets_an_answer(shared_data: Path, server: Running, record_property: object) -> None:
    """Promise: no file crashes or hangs anything: each gets a decision or an error that names the fault."""
    with (shared_data / "odd_files" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    before = stub_pids(server)
    decided = refused = 0
    surprises = []
    with Client(server.http, timeout_s=20) as client:
        for row in rows:
            name = row["file"]
            try:
                (result,) = client.moderate([(shared_data / "odd_files" / name).read_bytes()])
                assert result["decision"] in contract.DECISIONS
                assert result["unknown"] == [], (name, result["unknown"])
                decided += 1
                outcome = "decodable"
            except InputError as error:
                assert error.message.startswith(("the image", "the bytes")), (name, error.message)  # noqa: PT017
                refused += 1
                outcome = "reject"
            if row["expected"] not in (outcome, "either"):
                surprises.append((name, row["expected"], outcome))
        (result,) = client.moderate([render()["threat.jpg"]])
        assert result["decision"] == EXPECTED["threat.jpg"]
    assert stub_pids(server) == before, "a process died"
    print(f"{len(rows)} files: {decided} decisions, {refused} refusals; unlike the manifest: {surprises}")
    assert len(surprises) <= 6, surprises


def bomb(side: int) -> bytes:
    """A PNG of one colour: small as a file, side x side x 3 bytes decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * side)
    data = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(server: Running) -> None:
    """Promise: a small file that decodes to 1.2 GB costs no memory: the header alone decides."""
    huge = bomb(20_000)
    assert len(huge) < 2 << 20
    with Client(server.http) as client:
        client.moderate([render()["sunset.png"]])
        before = peak_mib(server, contract.PREPROCESSOR)
        for _ in range(4):
            with pytest.raises(InputError, match="400000000 pixels; at most 50000000"):
                client.moderate([huge])
        after = peak_mib(server, contract.PREPROCESSOR)
    print(f"bomb of {len(huge)} bytes: preprocessor peak {before:.0f} MiB before, {after:.0f} MiB after")
    assert after - before < 32


def test_the_largest_accepted_picture_has_bounded_memory(server: Running) -> None:
    """Promise: a picture at the pixel limit (50 million) decodes within 512 MiB."""
    with Client(server.http) as client:
        (result,) = client.moderate([bomb(7000)])
    peak = peak_mib(server, contract.PREPROCESSOR)
    print(f"7000 x 7000: decision {result['decision']}, preprocessor peak {peak:.0f} MiB")
    assert peak < 512
