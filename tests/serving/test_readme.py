"""Every command of the README, as it stands there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.conftest import wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
RUN, *SHELL = [text for language, text in BLOCKS if language == "bash"]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`make run` on the ports that the README names; gives what it printed."""
    for port in (8000, 8001, 8002):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} is in use, and the README's commands name it")
    output = tmp_path_factory.mktemp("readme") / "run.out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "run"], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: b"serving;" in output.read_bytes() or process.poll() is not None, 240)
        assert process.poll() is None, output.read_text()
        yield output.read_text()
    finally:
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does in a terminal
        process.wait(60)


def shell(script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_make_run_shows_decisions(running: str) -> None:
    """Promise: `make run` moderates samples through the real server and prints decisions with reasons."""
    assert re.findall(r"^make (\w+)", RUN, re.MULTILINE) == ["run", "test"]  # the second is what runs this
    for decision in ("allow", "review", "block"):
        assert decision in running
    assert "ready after" in running


def test_shell_commands(running: str) -> None:
    """Promise: each shell block works when it is pasted, in order."""
    answers = [shell(block) for block in SHELL]
    assert '"DECISION":"block"' in answers[0]
    assert '"SEVERITY":6' in answers[0]
    assert "threat.jpg" in answers[1]
    assert "worst decision: 2" in answers[1]
    assert 'moderation_decisions_total{decision="block"' in answers[2]
    assert "access required, audit required" in answers[3]
    assert "Throughput" in answers[4]
    assert "added text-detector:2" in answers[5]
    assert "pixels are taken for text" in answers[5]
    assert "taxonomy 1." in answers[5]
    assert "sound" in answers[6]
    assert "0 of 5 decisions change" in answers[6]


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_examples(running: str, number: int) -> None:
    """Promise: each Python block works when it is pasted."""
    shell(".venv/bin/moderation samples /tmp/samples")
    done = subprocess.run([sys.executable, "-c", PYTHON[number]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ("review" if number == 0 else "'allow', 'error'") in done.stdout
