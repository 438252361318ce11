"""No room: a full disk for the audit log, for the server's own files, for built networks; a full /dev/shm."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from moderation import contract
from moderation.audit.keys import PUBLIC
from moderation.audit.verify import verify
from moderation.client import Client
from moderation.launcher import heartbeat
from moderation.models import store
from serving.attack import triton
from serving.conftest import COMMAND, launched, wait_until
from serving.faults.report import UNDER_LOAD, note
from serving.load import ask, load

pytestmark = UNDER_LOAD


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


def fill(path: Path, block: int = 512) -> None:
    """A file that takes all the room that is left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(block))


def test_a_full_disk_stops_decisions_that_cannot_be_recorded(tmp_path: Path) -> None:
    """Promise: with `audit: required` and no room on the disk: errors and no decision; with room it goes on."""
    with small_disk(tmp_path / "disk", "400k") as disk:
        (tmp_path / "security.yaml").write_text(yaml.safe_dump({"audit": {"mode": "required", "folder": "disk/log"}}))
        with launched(tmp_path, f"--security={tmp_path / 'security.yaml'}") as running:
            with load(running.http, running.grpc) as protocol:
                wait_until(lambda: protocol.healthy(0, 4), 60)
                fill(disk / "ballast")
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


def test_a_full_disk_for_logs_and_temporary_files_costs_no_answer(tmp_path: Path) -> None:
    """Promise: with no room for the log, the heartbeat and all temporary files decisions go on, the probe still sees a
    heartbeat, and a process that dies then is healed."""
    with small_disk(tmp_path / "disk", "64m") as disk:
        own = ("env", f"TMPDIR={disk}")
        with launched(tmp_path, f"--log={disk / 'server.log'}", "--log-verbose=1", prefix=own) as running:
            pulse = disk / heartbeat.file(int(running.http.rpartition(":")[2])).name
            with load(running.http, running.grpc) as protocol:
                wait_until(lambda: protocol.healthy(0, 4), 60)
                fill(disk / "ballast", 64)
                moment = time.monotonic()
                # more lines than the pipe between the server and its log holds
                wait_until(lambda: len(protocol.since(moment)) > 30, 120)
                beat = heartbeat.read(pulse)
                assert beat is not None
                assert beat.age_s < 3
                victim = next(c for c in triton(running).children() if f"{contract.SAFETY}_0_0" in c.cmdline())
                victim.kill()
                killed = time.monotonic()
                wait_until(lambda: b"healed" in running.output.read_bytes(), 60)
                assert protocol.noticed(moment) in (0.0, protocol.noticed(killed) + killed - moment)
                healed = time.monotonic()
                wait_until(lambda: protocol.healthy(healed), 60)
        note(f"disk of logs and temporary files full, and kill -9 of a process of {contract.SAFETY}", protocol, moment)


def test_a_full_disk_for_built_networks_leaves_those_that_are_there(tmp_path: Path) -> None:
    """Promise: a build that finds no room says so and leaves nothing half; the network of before is still sound."""
    model = contract.CLASSIFIER
    with small_disk(tmp_path / "disk", "8m") as disk:
        environment = {**os.environ, "COLUMNS": "300", store.ENVIRONMENT: str(disk)}

        def models(*words: str) -> subprocess.CompletedProcess[str]:
            command = [str(COMMAND), "models", *words]
            return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

        assert models("build", model).returncode == 0
        fill(disk / "ballast")
        refused = models("build", "--force", model)
        assert refused.returncode != 0
        assert "No space left" in refused.stderr + refused.stdout
        assert f"{model}:1: sound" in models("verify").stdout
        assert not [path for path in (disk / model).iterdir() if path.name.startswith(".building")]
        (disk / "ballast").unlink()
        assert models("build", "--force", model).returncode == 0


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
            fill(filler, 1 << 16)
            with Client(running.http, timeout_s=10) as client:
                for _ in range(5):
                    protocol.outcomes.append(ask(client, "threat.jpg"))
            filler.unlink()
            room = time.monotonic()
            wait_until(lambda: protocol.healthy(room), 120)
        note("/dev/shm full", protocol, moment)
