"""A real HAProxy in front of real servers; its servers come and go as a cluster's endpoints do."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from debian import binary, environment
from serving.conftest import Running, free_ports, wait_until

SLOTS: Final = 8
"""Servers that can have been behind it; a slot is not used twice, as its connections may live on."""
WAYS: Final = {"http": ("http", ""), "grpc": ("http", "proto h2"), "service": ("tcp", "")}
"""Name of each way in → mode and protocol: by request for both protocols; `service` by connection and without a look
inside, as a Service of Kubernetes is, to the gRPC port."""
REFUSED: Final = re.compile("No such|Unknown|Invalid|Require")


def configuration(ports: dict[str, int], control: Path) -> str:
    """HAProxy's own: no retry, no other server for a request that failed, so that no loss is hidden."""
    parts = [
        f"global\n  stats socket {control} level admin\n  maxconn 500\n"
        "defaults\n  timeout connect 3s\n  timeout client 120s\n  timeout server 120s\n  retries 0\n"
    ]
    for way, (mode, protocol) in WAYS.items():
        parts.append(
            f"frontend {way}\n  mode {mode}\n  bind 127.0.0.1:{ports[way]} {protocol}\n  default_backend {way}\n"
        )
        slots = [f"  server slot{n} 127.0.0.1:9 {protocol} disabled\n" for n in range(SLOTS)]
        parts.append(f"backend {way}\n  mode {mode}\n  balance roundrobin\n{''.join(slots)}")
    return "".join(parts)


@dataclass
class Proxy:
    """Its addresses, and its control socket."""

    http: str
    grpc: str
    service: str
    control: Path
    slots: list[Running | None] = field(default_factory=lambda: [None] * SLOTS)

    def add(self, server: Running) -> None:
        """Send requests to a server from now on."""
        slot = self.slots.index(None)
        self.slots[slot] = server
        for way in WAYS:
            address = (server.http if way == "http" else server.grpc).split("://")[1]
            host, _, port = address.partition(":")
            self._tell(f"set server {way}/slot{slot} addr {host} port {port}")
            self._tell(f"set server {way}/slot{slot} state ready")

    def remove(self, server: Running) -> None:
        """Send no new requests there; those on their way are left alone, and so are connections of `service`."""
        slot = self.slots.index(server)
        for way in WAYS:
            self._tell(f"set server {way}/slot{slot} state drain")

    def _tell(self, command: str) -> None:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.control))
            control.sendall(f"{command}\n".encode())
            answer = b"".join(iter(lambda: control.recv(4096), b"")).decode()
        assert not REFUSED.search(answer), f"{command}: {answer}"


@contextmanager
def proxy(folder: Path) -> Iterator[Proxy]:
    """HAProxy with no server behind it, until the end of the block; skips where there is none."""
    program = binary("haproxy")
    ports = dict(zip(WAYS, free_ports(len(WAYS)), strict=True))
    control = folder / "control"
    (folder / "haproxy.cfg").write_text(configuration(ports, control))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-db", "-f", str(folder / "haproxy.cfg")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(program),
        )

    def up() -> bool:
        assert process.poll() is None, (folder / "haproxy.log").read_text()
        return control.exists()

    try:
        wait_until(up, 30)
        addresses = {way: f"{'http' if way == 'http' else 'grpc'}://127.0.0.1:{port}" for way, port in ports.items()}
        yield Proxy(addresses["http"], addresses["grpc"], addresses["service"], control)
    finally:
        process.terminate()
        process.wait(20)
