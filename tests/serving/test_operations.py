"""Running it: load and unload, a killed process, a graceful stop, what the machine lacks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from moderation import contract
from moderation.client import Client
from moderation.errors import ModerationError, ServerError
from moderation.launcher.run import REPOSITORY
from moderation.samples import EXPECTED, render
from serving.attack import triton
from serving.conftest import COMMAND, Running, launched, stubs, wait_until

SAMPLES = render()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that these tests may damage."""
    with launched(tmp_path_factory.mktemp("own")) as running:
        yield running


def decided(running: Running, name: str) -> bool:
    """Whether a sample gets its decision now, with no stage missing that was there."""
    try:
        with Client(running.http, timeout_s=5) as client:
            (result,) = client.moderate([SAMPLES[name]])
    except ModerationError:
        return False
    return bool(result["decision"] == EXPECTED[name]) and not result["unknown"]


def test_every_model_is_loaded(own: Running) -> None:
    """Promise: EXPLICIT mode starts with every model that is needed, and `models status` shows it."""
    answer = subprocess.run([COMMAND, "models", "status", f"--url={own.http}"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    with_version = {path.parent.parent.name for path in REPOSITORY.glob("*/[0-9]*/*")}
    assert answer.stdout.count("READY") == len(with_version)


def test_the_entry_model_can_be_unloaded_and_loaded(own: Running) -> None:
    """Promise: model control works on a running server."""
    own.control.unload(contract.ENTRY)
    wait_until(lambda: not own.control.ready(contract.ENTRY), 10)
    with Client(own.http) as client, pytest.raises(ServerError):
        client.moderate([SAMPLES["sunset.png"]])
    own.control.load(contract.ENTRY)
    assert decided(own, "notice.jpg")


@pytest.mark.parametrize("model", [contract.SAFETY, contract.OCR])
def test_a_missing_stage_is_unknown_and_a_person_has_to_look(own: Running, model: str) -> None:
    """Promise: no signal is never taken for harmless; the reply names the stage."""
    own.control.unload(model)
    wait_until(lambda: not own.control.ready(model), 10)
    with Client(own.http) as client:
        (result,) = client.moderate([SAMPLES["sunset.png"]])
    assert result["decision"] == "review"
    assert model in result["unknown"]
    assert model not in result["versions"]
    own.control.load(model)
    assert decided(own, "sunset.png")


@pytest.mark.parametrize(
    "model", [contract.ENTRY, contract.PREPROCESSOR, contract.SAFETY, contract.OCR, contract.TEXT_DETECTOR]
)
def test_a_killed_process_is_healed(own: Running, model: str) -> None:
    """Promise: kill -9 of Python processes is healed without a person and without a new server."""
    server = psutil.Process(own.process.pid).children()[0].pid
    wanted = own.control.instances(model)
    wait_until(lambda: len(stubs(own, model)) == wanted, 30)
    for victim in stubs(own, model):
        victim.kill()
    wait_until(lambda: len(stubs(own, model)) == wanted and decided(own, "threat.jpg"), 30)
    assert psutil.Process(own.process.pid).children()[0].pid == server
    assert f"healed {model}" in own.output.read_text()
    assert all(decided(own, "notice.jpg") for _ in range(4))


def test_metrics_count_decisions_and_bad_input(own: Running) -> None:
    """Promise: business metrics are on the metrics port."""
    with Client(own.http) as client:
        client.moderate([SAMPLES["threat.jpg"]])
        client.moderate([SAMPLES["sunset.png"], b"no image"])
        own.control.unload(contract.CLASSIFIER)
        wait_until(lambda: not own.control.ready(contract.CLASSIFIER), 10)
        (result,) = client.moderate([SAMPLES["sunset.png"]])
        own.control.load(contract.CLASSIFIER)
    # the kind of picture is an optional stage of the shipped policy: its absence is named and changes no decision
    assert (result["decision"], result["unknown"]) == ("allow", [contract.CLASSIFIER])
    with urllib.request.urlopen(f"{own.metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for line in (
        'moderation_decisions_total{decision="block",',
        "moderation_stage_seconds_bucket{",
        'moderation_bad_input_total{reason="unsupported_format"',
        "moderation_image_bytes_bucket{",
        "moderation_image_pixels_bucket{",
        'moderation_stage_failures_total{model="content-classifier"',
    ):
        assert line in text, [row for row in text.splitlines() if row.startswith("moderation")]


def failing(*options: str) -> str:
    """What `moderation serve` says when it refuses to start."""
    answer = subprocess.run(
        [COMMAND, "serve", *options], capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "500"}
    )
    assert answer.returncode == 2, answer.stdout + answer.stderr
    return answer.stderr


def test_a_start_that_is_aborted_is_tried_again(tmp_path: Path) -> None:
    """Promise: a tritonserver that its own race aborts while models load costs time, and nothing else."""
    aborted: list[int] = []

    def abort() -> None:
        def servers() -> list[psutil.Process]:
            mine = [p for p in psutil.Process().children() if any(str(tmp_path) in part for part in p.cmdline())]
            return [child for launcher in mine for child in launcher.children() if child.name() == "tritonserver"]

        wait_until(lambda: bool(servers()), 30)
        (server,) = servers()
        server.send_signal(signal.SIGABRT)
        aborted.append(server.pid)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(abort)
        with launched(tmp_path) as running:
            done.result()
            assert decided(running, "notice.jpg")
            assert aborted
            assert triton(running).pid not in aborted


def test_a_taken_port_is_named() -> None:
    """Promise: the message says which setting has the port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert f"--grpc-port {taken.getsockname()[1]}" in failing(f"--grpc-port={taken.getsockname()[1]}")


def test_a_profile_that_no_model_has_is_refused() -> None:
    """Promise: Triton would fall back to the GPU configuration in silence; we name the profiles that exist."""
    assert "allowed: cpu, default" in failing("--profile=cqu")


def test_a_server_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Promise: a wrong --server is named."""
    assert str(tmp_path / "nothing") in failing(f"--server={tmp_path / 'nothing'}")
