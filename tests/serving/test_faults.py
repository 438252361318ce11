"""Faults on the real server under load: noticed, over by themselves, and never a wrong answer.

With MODERATION_FAULTS_REPORT=FILE the times go into a table (`make faults`); here they pass or fail nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from moderation import contract
from moderation.audit.keys import PUBLIC
from moderation.audit.verify import verify
from moderation.client import Client
from moderation.launcher.process import STUB
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from serving.conftest import COMMAND, Running, free_ports, launched, stubs, wait_until
from serving.load import Protocol, ask, load

pytestmark = pytest.mark.skipif(
    "MODERATION_FAULTS" not in os.environ,
    reason="faults under load take 4 quiet minutes: run `make faults`",
)
WITH_STUBS = [name for name in contract.MODELS if list((REPOSITORY / name).glob("[0-9]*/*"))]
ROWS: list[tuple[str, float, float, int, int]] = []


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that these tests may damage."""
    with launched(tmp_path_factory.mktemp("damaged")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def report() -> Iterator[None]:
    """The table of all faults, where somebody asked for it."""
    yield
    if path := os.environ.get("MODERATION_FAULTS_REPORT"):
        head = ["| fault | noticed after | over after | replies meanwhile | wrong |", "|---|---|---|---|---|"]
        rows = [f"| {name} | {a:.2f} s | {b:.2f} s | {n} | {w} |" for name, a, b, n, w in ROWS]
        Path(path).write_text("\n".join([*head, *rows]) + "\n")


def note(name: str, protocol: Protocol, moment: float) -> None:
    """A row of the table; the one thing that is judged is that nothing wrong was answered."""
    found = protocol.since(moment)
    ROWS.append((name, protocol.noticed(moment), protocol.settled(moment), len(found), len(protocol.wrong)))
    assert protocol.wrong == []


def triton(running: Running) -> psutil.Process:
    """The tritonserver process."""
    return psutil.Process(running.process.pid).children()[0]


@pytest.mark.parametrize("model", WITH_STUBS)
def test_a_killed_stub(damaged: Running, model: str) -> None:
    """Promise: kill -9 of a Python process of any model under load: errors or reviews for a moment, then all right."""
    wanted = damaged.control.instances(model)
    wait_until(lambda: len(stubs(damaged, model)) == wanted, 90)
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        stubs(damaged, model)[0].kill()
        # more while instances of the old load still wait for the request that the dead process had
        wait_until(lambda: len(stubs(damaged, model)) >= wanted, 90)
        replaced = time.monotonic()
        wait_until(lambda: protocol.healthy(replaced), 60)
    note(f"kill -9 of a process of {model}", protocol, moment)


def test_a_killed_server(damaged: Running) -> None:
    """Promise: kill -9 of tritonserver: the launcher clears up and starts it again; clients only see no answer."""
    old = triton(damaged)
    orphans = [child.pid for child in old.children()]
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        old.kill()
        wait_until(lambda: protocol.healthy(moment + 1), 120)
    note("kill -9 of tritonserver", protocol, moment)
    assert triton(damaged).pid != old.pid
    assert not [pid for pid in orphans if psutil.pid_exists(pid) and _is_stub(pid)]


def _is_stub(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and STUB in (process.cmdline() or [""])[0]
    return False


@pytest.mark.parametrize("model", [contract.SAFETY, contract.OCR, contract.DECISION_LOGIC])
def test_a_composing_model_is_unloaded(damaged: Running, model: str) -> None:
    """Promise: a stage that goes away under load means a review or an error, and nothing remains when it is back."""
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        damaged.control.unload(model)
        wait_until(lambda: not damaged.control.ready(model), 10)
        try:
            wait_until(lambda: protocol.noticed(moment) > 0, 60)
        finally:
            damaged.control.load(model)
        back = time.monotonic()
        wait_until(lambda: protocol.healthy(back), 60)
    note(f"{model} unloaded and loaded again", protocol, moment)


def test_a_corrupt_network_is_not_served(tmp_path: Path) -> None:
    """Promise: a built network with one changed byte is found before the start, which says how to build it again."""
    copied = tmp_path / "store"
    shutil.copytree(store.root(), copied)
    for victim in (path for path in copied.rglob("model.bin") if contract.SAFETY in str(path)):
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    http, grpc, metrics = free_ports(3)
    answer = subprocess.run(
        [COMMAND, "serve", f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "300", store.ENVIRONMENT: str(copied)},
    )
    assert answer.returncode == 2
    assert f"{contract.SAFETY} not built; run `moderation models build`" in answer.stderr


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a disk of its own needs root and mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def test_a_full_disk_stops_decisions_that_cannot_be_recorded(tmp_path: Path) -> None:
    """Promise: with `audit: required` and no room on the disk: errors and no decision; with room it goes on."""
    with small_disk(tmp_path / "disk", "400k") as disk:
        (tmp_path / "security.yaml").write_text(yaml.safe_dump({"audit": {"mode": "required", "folder": "disk/log"}}))
        with launched(tmp_path, f"--security={tmp_path / 'security.yaml'}") as running:
            with load(running.http, running.grpc) as protocol:
                wait_until(lambda: protocol.healthy(0, 4), 60)
                with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
                    while True:
                        ballast.write(bytes(512))
                moment = time.monotonic()
                wait_until(lambda: any(o.decision == "error" for o in protocol.since(moment)), 60)
                full = time.monotonic()
                wait_until(lambda: len(protocol.since(full)) > 6, 60)
                assert {o.decision for o in protocol.since(full + 1)} <= {"error"}
                assert all("audit log" in o.detail for o in protocol.since(full) if o.decision == "error")
                (disk / "ballast").unlink()
                room = time.monotonic()
                wait_until(lambda: protocol.healthy(room), 60)
            answered = sum(o.decision != "error" for o in protocol.outcomes)
        note("disk of the audit log full", protocol, moment)
        found = verify(disk / "log", disk / "log" / PUBLIC)
        assert found.faults == []
        assert found.decisions == answered
        assert found.lost > 0


def test_shared_memory_runs_out(tmp_path: Path) -> None:
    """Promise: with /dev/shm full there are errors and no wrong answers, and it goes on when there is room again."""
    inside = 'mount -t tmpfs -o size=1g none /dev/shm && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", inside, "sh")
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("a /dev/shm of its own needs root, unshare and mount")
    with launched(tmp_path, prefix=prefix) as running:
        with load(running.http, running.grpc) as protocol:
            wait_until(lambda: protocol.healthy(0, 4), 60)
            filler = Path(f"/proc/{running.process.pid}/root/dev/shm/ballast")
            moment = time.monotonic()
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(1 << 16))
            with Client(running.http, timeout_s=10) as client:
                for _ in range(5):
                    protocol.outcomes.append(ask(client, "threat.jpg"))
            filler.unlink()
            room = time.monotonic()
            wait_until(lambda: protocol.healthy(room), 120)
        note("/dev/shm full", protocol, moment)
