"""`moderation bench` against the real server, with the real perf_analyzer."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from moderation.samples import render
from serving.conftest import COMMAND, Running


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "bench", *options],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_run_is_in_the_table_and_in_the_files(server: Running, protocol: str, tmp_path: Path) -> None:
    """Promise: closed and open loop work over both protocols with a caption and a profile; exports hold every run."""
    picture = tmp_path / "sunset.png"  # the quickest of the samples
    picture.write_bytes(render()["sunset.png"])
    url = server.http if protocol == "http" else server.grpc
    files = tmp_path / "runs.csv", tmp_path / "runs.json"
    done = bench(
        *("--url", url, "--concurrency", "2", "--rate", "60%", "--seconds", "2", "--rounds", "2"),
        str(picture),
        *("--policy", "strict", "--caption", "hello", "--csv", str(files[0]), "--json", str(files[1])),
    )
    assert done.returncode in (0, 1), done.stderr  # 1: a busy machine may be late
    with files[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mode"], row["round"]) for row in rows] == [
        ("concurrency", "1"),
        ("concurrency", "2"),
        ("poisson", "1"),
        ("poisson", "2"),
    ]
    assert json.loads(files[1].read_text())["url"] == url
    for row in rows:
        assert float(row["images_per_s"]) > 0
        assert 0 < float(row["p50_ms"]) <= float(row["p90_ms"]) <= float(row["p95_ms"]) <= float(row["p99_ms"])
        assert float(row["server_compute_ms"]) > 0
    assert float(rows[2]["load"]) == pytest.approx(0.6 * float(rows[0]["images_per_s"]), rel=0.01)
    assert "2 in flight" in done.stdout


def test_what_cannot_be_measured_is_one_sentence(server: Running) -> None:
    """Promise: a wrong address, a refused request and a wrong option each say what is wrong; exit code 2."""
    for options, words in (
        (["--url", "grpc://127.0.0.1:1", "--rate", ""], "perf_analyzer measured nothing"),
        (["--url", server.grpc, "--policy", "none-such", "--rate", "", "--seconds", "1"], "none-such"),
        (["--url", "ftp://x"], "is not the address of a server"),
        (["--concurrency", "many"], "`many`"),
    ):
        done = bench(*options)
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert "Traceback" not in done.stderr
