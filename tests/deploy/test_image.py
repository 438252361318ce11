"""The CPU image, run as it should be run in production: no root, nothing writable but /tmp, little shared memory."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.launcher.control import Control
from serving.conftest import free_ports, wait_until

IMAGE = os.environ.get("MODERATION_IMAGE", "content-moderation:cpu")
HARDENED = (
    "--read-only",
    "--tmpfs=/tmp:rw,nosuid,nodev,noexec,size=64m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=4g",
    "--pids-limit=1024",
)
OPEN = ("--address=0.0.0.0", "--allow-unauthenticated")
"""The port is published on loopback only, so nobody needs a token."""
SHM = "--shm-size=640m"
COMPOSE_PORTS = (8000, 8001, 8002)
ROOT = Path(__file__).resolve().parents[2]


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=120)
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr}"
    return done


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed: the image is not tested here")
    if podman("image", "exists", IMAGE, check=False).returncode:
        pytest.skip(f"no image {IMAGE}: `make image` builds it")
    return IMAGE


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[tuple[str, str]]:
    """Name and URL of a container that serves."""
    (port,) = free_ports(1)
    name = f"content-moderation-test-{port}"
    published = f"--publish=127.0.0.1:{port}:8000"
    podman("run", "--detach", "--name", name, *HARDENED, SHM, published, image, *OPEN)
    url = f"http://127.0.0.1:{port}"
    control = Control(url)
    try:
        wait_until(lambda: control.ready("content-moderation-ensemble") or not running(name), 120)
        assert running(name), podman("logs", name).stderr
        yield name, url
    finally:
        podman("rm", "--force", name, check=False)


def running(name: str) -> bool:
    return podman("inspect", "--format", "{{.State.Running}}", name).stdout.strip() == "true"


def test_it_decides_about_pictures(container: tuple[str, str]) -> None:
    """Promise: what `make run` answers, the image answers, over REST from outside."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "docker" / "smoke.sh", container[1]],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["notice.jpg: allow", "scam.webp: review", "threat.jpg: block"]


def test_it_runs_without_rights(container: tuple[str, str]) -> None:
    """Promise: no root, no capability, no writable file system."""
    status = podman("exec", container[0], "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert podman("exec", container[0], "touch", "/opt/moderation/x", check=False).returncode != 0


def test_shared_memory_stays_within_what_is_given(container: tuple[str, str]) -> None:
    """Promise: after requests there is room left in the /dev/shm that the documentation asks for."""
    text = podman("exec", container[0], "df", "--output=used,avail", "-m", "/dev/shm").stdout
    used, free = map(int, text.splitlines()[1].split())
    assert 0 < used < free


def test_the_compose_file_serves(image: str) -> None:
    """Promise: the compose file's own settings start the image, on loopback, read-only, without rights."""
    for port in COMPOSE_PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} of the compose file is taken on this machine")
    tool = ["tool", "run", "--quiet", "--from", "podman-compose==1.6.0", "podman-compose", "--file"]
    compose: list[str | Path] = [Path(sys.executable).with_name("uv"), *tool, ROOT / "docker" / "compose.yaml"]
    try:
        # Prometheus' image is on a registry only; the compose file's other half is this one
        subprocess.run([*compose, "up", "--detach", "--no-build", "moderation"], check=True, timeout=120)
        wait_until(lambda: Control("http://127.0.0.1:8000").ready("content-moderation-ensemble"), 120)
        (facts,) = json.loads(podman("inspect", "content-moderation_moderation_1").stdout)
        assert facts["HostConfig"]["ReadonlyRootfs"]
        assert facts["EffectiveCaps"] in (None, [])
        bound = [b["HostIp"] for bindings in facts["NetworkSettings"]["Ports"].values() for b in bindings or ()]
        assert bound == ["127.0.0.1"] * len(COMPOSE_PORTS)
    finally:
        subprocess.run([*compose, "down"], check=True, timeout=120)


def test_too_little_shared_memory_is_said_at_once(image: str) -> None:
    """Promise: a container with the default of 64 MB ends with a sentence that names the size it needs."""
    done = podman("run", "--rm", *HARDENED, "--shm-size=64m", image, check=False)
    assert done.returncode == 2
    assert "--shm-size=" in done.stderr


def test_it_does_not_open_to_a_network_without_tokens(image: str) -> None:
    """Promise: started as it is, without access settings, the container refuses and says which settings it wants."""
    done = podman("run", "--rm", *HARDENED, SHM, image, check=False)
    assert done.returncode == 2
    assert "--allow-unauthenticated" in done.stderr
    assert "--security" in done.stderr


def test_nothing_of_the_build_is_left(image: str) -> None:
    """Promise: no compiler, no installer, no secret of the build, no source of the networks in the image."""
    script = "command -v g++ pip; ls /etc/pip.conf /run/secrets/* /opt/build /root/.cache 2>/dev/null; exit 0"
    done = podman("run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", script)
    assert done.stdout == ""


def test_it_says_what_it_is(image: str) -> None:
    """Promise: version, revision and licences as OCI labels; a user; a health check."""
    (facts,) = json.loads(podman("inspect", "--type=image", image).stdout)
    labels = facts["Config"]["Labels"]
    for key in ("title", "version", "revision", "licenses"):
        assert labels[f"org.opencontainers.image.{key}"] not in ("", "unknown"), key
    assert facts["Config"]["User"] == "10001:10001"
    assert facts["Healthcheck"]["Test"][0] == "CMD"


def test_the_health_check_asks_for_the_entry_model(container: tuple[str, str]) -> None:
    """Promise: healthy means that decisions can be had; a server without its entry model is not. It takes that away."""
    name, url = container
    entry = "content-moderation-ensemble"
    unload = f"from moderation.launcher.control import Control; Control('http://127.0.0.1:8000').unload('{entry}')"
    assert podman("healthcheck", "run", name, check=False).returncode == 0
    podman("exec", name, "python", "-c", unload)
    wait_until(lambda: not Control(url).ready(entry), 60)
    assert podman("healthcheck", "run", name, check=False).returncode != 0


def test_it_stops_gracefully(container: tuple[str, str]) -> None:
    """Promise: SIGTERM lets requests end and unloads the models; the exit code is 0. It ends this container."""
    started = time.monotonic()
    podman("stop", "--time", "40", container[0])
    assert time.monotonic() - started < 40
    assert podman("inspect", "--format", "{{.State.ExitCode}}", container[0]).stdout.strip() == "0"
