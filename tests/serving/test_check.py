"""`moderation check`, as a person uses it."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from moderation.samples import EXPECTED, render
from serving.conftest import COMMAND, Running, free_ports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples as files."""
    path = tmp_path_factory.mktemp("samples")
    subprocess.run([COMMAND, "samples", path], check=True, capture_output=True)
    return path


def check(*arguments: str | Path, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, "check", *arguments],
        input=data,
        capture_output=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_folder_as_json(server: Running, folder: Path, protocol: str) -> None:
    """Promise: one JSON document a line, in the order of the names, over either protocol; the worst sets the code."""
    done = check(folder, "--json", "--url", server.http if protocol == "http" else server.grpc)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(r["file"]).name: r["decision"] for r in results} == EXPECTED
    assert [r["file"] for r in results] == sorted(r["file"] for r in results)
    assert done.returncode == 2


@pytest.mark.parametrize(("name", "code"), [("notice.jpg", 0), ("scam.webp", 1), ("threat.jpg", 2)])
def test_the_exit_code_is_the_decision(server: Running, folder: Path, name: str, code: int) -> None:
    """Promise: scripts can rely on the exit code; the table says why."""
    done = check(folder / name, "--url", server.http)
    assert done.returncode == code
    assert name in done.stdout.decode()


def test_standard_input_and_patterns(server: Running, folder: Path) -> None:
    """Promise: - reads standard input, patterns work although the shell did not expand them."""
    assert check("-", "--url", server.http, data=render()["threat.jpg"]).returncode == 2
    done = check(str(folder / "*.jpg"), "--json", "--url", server.http)
    assert len(done.stdout.splitlines()) == 2


def test_a_refused_file_does_not_stop_the_others(server: Running, folder: Path, tmp_path: Path) -> None:
    """Promise: the fault of one file is in its row, the others are decided, the code says that one was refused."""
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    done = check(tmp_path / "broken.jpg", folder / "notice.jpg", "--json", "--url", server.http)
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert first["error"]["code"] == "INVALID_ARG"
    assert second["decision"] == "allow"
    assert done.returncode == 3


def test_annotated_pictures_are_written(server: Running, folder: Path, tmp_path: Path) -> None:
    """Promise: each picture is saved with the decision's colour on top."""
    check(folder, "--annotate", tmp_path / "out", "--url", server.http)
    saved = {path.name.split("__")[-1]: path for path in (tmp_path / "out").iterdir()}
    assert set(saved) == {f"{name}.png" for name in EXPECTED}
    with Image.open(io.BytesIO(saved["threat.jpg.png"].read_bytes())) as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == (0xC6, 0x28, 0x28)


def test_trouble_has_its_own_codes(folder: Path) -> None:
    """Promise: no server is 4 for each file, a wrong argument is 64 before anything is sent."""
    (port,) = free_ports(1)
    assert check(folder / "notice.jpg", "--url", f"http://127.0.0.1:{port}").returncode == 4
    assert check(folder / "nothing.jpg").returncode == 64
    assert check(folder / "notice.jpg", "--url", "ftp://x").returncode == 64
