"""Pods of the chart as processes of this machine: arguments, probes, hooks and times are those that Helm renders.

What differs is what a pod has and a process has not: an address of its own. So ports are added to the commands, and a
mounted folder is the one that stands here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.chart import Values, some_helm
from serving.conftest import COMMAND, Running, launched
from serving.proxy import Proxy

LATE_S: Final = 3.0
"""Seconds from the deletion of a pod to the proxy that knows of it; ingress controllers take one or two."""
MODEL_STORE: Final = "MODERATION_MODEL_STORE"
"""Where the networks are: the image's place is not here."""


@dataclass(frozen=True)
class Stopped:
    """How a pod ended: seconds of its preStop hook, seconds from SIGTERM to the end, exit code, what the hook said."""

    drain_s: float
    stop_s: float
    code: int
    said: str


@dataclass(frozen=True)
class Pod:
    """A server that runs as the chart's container."""

    spec: Mapping[str, Any]
    running: Running

    @property
    def container(self) -> Any:
        return self.spec["containers"][0]

    def ready(self) -> bool:
        """What its readiness probe says."""
        command = self.container["readinessProbe"]["exec"]["command"]
        return execute(self.container, [*command, str(urlsplit(self.running.http).port)]).returncode == 0

    def terminate(self, *, drain: bool = True) -> Stopped:
        """As the kubelet does: preStop, SIGTERM, and no longer than the grace for both.

        Args:
            drain: whether its preStop hook runs.

        Raises:
            subprocess.TimeoutExpired: the kubelet would have killed it.
        """
        grace, started, said = float(self.spec["terminationGracePeriodSeconds"]), time.monotonic(), ""
        if drain:
            command = self.container["lifecycle"]["preStop"]["exec"]["command"]
            hook = execute(self.container, [*command, f"--metrics={self.running.metrics}/metrics"], timeout_s=grace)
            assert hook.returncode == 0, hook.stderr
            said = hook.stderr.strip()
        signalled = time.monotonic()
        self.running.process.send_signal(signal.SIGTERM)
        code = self.running.process.wait(max(0.0, grace - (signalled - started)))
        return Stopped(signalled - started, time.monotonic() - signalled, code, said)


def execute(
    container: Mapping[str, Any], command: list[str], timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """A command as in a container: found on PATH, with the container's environment and nothing else."""
    own = {entry["name"]: entry["value"] for entry in container.get("env", ()) if "value" in entry}
    own = {name: value for name, value in own.items() if name != MODEL_STORE}
    own["PATH"] = os.pathsep.join([str(COMMAND.parent), os.environ["PATH"]])
    own["TMPDIR"] = tempfile.gettempdir()  # where this machine's servers leave their heartbeat
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=timeout_s)


@contextmanager
def pod(folder: Path, values: Values, *options: str) -> Iterator[Pod]:
    """A pod of the chart's stable track until the end of the block.

    Args:
        values: of the chart.
        options: of `moderation serve`, after the chart's own.
    """
    spec = some_helm().render(values).pod()
    arguments = spec["containers"][0]["args"]
    with launched(folder, *arguments, "--address=127.0.0.1", *options) as running:
        yield Pod(spec, running)


def delete(pod: Pod, between: Proxy, *, drain: bool = True) -> Stopped:
    """What deleting a pod sets off: the kubelet ends it, and at the same time, but later, the proxy learns of it."""
    with ThreadPoolExecutor(1) as kubelet:
        ending = kubelet.submit(pod.terminate, drain=drain)
        time.sleep(LATE_S)
        between.remove(pod.running)
        return ending.result()


def mounted(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A folder as a mounted ConfigMap is: links into a folder that is exchanged as a whole."""
    data = folder / "..2026_01_01"
    data.mkdir(parents=True)
    (folder / "..data").symlink_to(data.name)
    for name, content in files.items():
        (data / name).write_bytes(content)
        (folder / name).symlink_to(Path("..data") / name)
    return folder


def analysis(
    values: Values, server: Running, volumes: Mapping[str, Path] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command of the chart's analysis Job against one server.

    Args:
        values: of the chart.
        server: stands behind the headless service of the release.
        volumes: where each volume of the Job's pod is that is not empty at its start.
    """
    rendered = some_helm().render(values)
    job = rendered.one("Job", "-analysis")["spec"]
    (container,) = job["template"]["spec"]["containers"]
    command, here = list(container["command"]), volumes or {}
    places = {m["mountPath"]: here[m["name"]] for m in container["volumeMounts"] if m["name"] in here}
    assert len(places) == len(here), "a volume that the Job does not mount"
    for place, folder in places.items():
        command = [part.replace(f"={place}", f"={folder}") for part in command]
    host = next(part for part in command if part.startswith("--host=")).removeprefix("--host=")
    assert host in [service["metadata"]["name"] for service in rendered.all("Service")]
    ports = [f"--http-port={urlsplit(server.http).port}", f"--metrics-port={urlsplit(server.metrics).port}"]
    return execute(container, [*command, "--host=127.0.0.1", *ports], timeout_s=job["activeDeadlineSeconds"])
