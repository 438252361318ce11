"""TLS and mTLS of gRPC on the real server, and HTTP through a gateway that ends TLS."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certificates import DAY, Authority
from moderation.client import Client
from moderation.client.certificates import CA, CERTIFICATE, KEY, Certificates
from moderation.errors import ServerError
from moderation.samples import EXPECTED
from serving.conftest import COMMAND, Running, launched
from serving.load import SAMPLES

NAME = "sunset.png"


@dataclass(frozen=True)
class Trust:
    """A server that wants certificates, its authority, and another one."""

    running: Running
    own: Authority
    other: Authority

    def decision(self, certificates: Certificates, scheme: str = "grpcs") -> str:
        """The decision over a picture."""
        with Client(self.running.grpc.replace("grpc", scheme), timeout_s=10, certificates=certificates) as client:
            (result,) = client.moderate([SAMPLES[NAME]])
        return str(result["decision"])


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    folder = tmp_path_factory.mktemp("tls")
    own, other = Authority(folder / "own"), Authority(folder / "other")
    certificate, key = own.sign("server")
    with launched(folder, f"--tls-cert={certificate}", f"--tls-key={key}", f"--tls-client-ca={own.ca}") as running:
        yield Trust(running, own, other)


def test_a_client_with_the_right_certificate_is_answered(trust: Trust) -> None:
    """Promise: mTLS lets in who has a certificate of the authority."""
    assert trust.decision(Certificates(trust.own.ca, *trust.own.sign("client"))) == EXPECTED[NAME]


def test_others_are_refused(trust: Trust) -> None:
    """Promise: no certificate, one of another authority, an expired one, and no TLS at all: no answer."""
    ca = trust.own.ca
    strangers = {
        "without a certificate": Certificates(ca),
        "of another authority": Certificates(ca, *trust.other.sign("stranger")),
        "expired": Certificates(ca, *trust.own.sign("late", good_for=-DAY)),
    }
    for who, certificates in strangers.items():
        with pytest.raises(ServerError, match="UNAVAILABLE"):
            raise AssertionError(f"{who}: {trust.decision(certificates)}")
    with pytest.raises(ServerError, match="UNAVAILABLE"):
        trust.decision(Certificates(), scheme="grpc")


def test_a_client_tells_a_false_server(trust: Trust) -> None:
    """Promise: a client does not send pictures to a server whose certificate its authority did not sign."""
    for certificates in (Certificates(trust.other.ca, *trust.own.sign("client")), Certificates()):
        with pytest.raises(ServerError, match="UNAVAILABLE"):
            trust.decision(certificates)


@contextlib.contextmanager
def gateway(url: str, certificate: Path, key: Path, client_ca: Path) -> Iterator[str]:
    """Ends TLS in front of an HTTP address, for clients that have a certificate."""
    host, _, port = url.split("//")[1].partition(":")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=carry, args=(plain,), daemon=True).start()

    def carry(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as inside:
            inside.do_handshake()
            with socket.create_connection((host, int(port))) as outside:
                threading.Thread(target=pump, args=(outside, inside), daemon=True).start()
                pump(inside, outside)
                inside.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def test_http_through_a_gateway(trust: Trust) -> None:
    """Promise: `https://` works with the same certificates where a gateway ends TLS, and not without them."""
    certificate, key = trust.own.sign("client")
    with gateway(trust.running.http, *trust.own.sign("gateway"), trust.own.ca) as url:
        with Client(url, certificates=Certificates(trust.own.ca, certificate, key)) as client:
            (result,) = client.moderate([SAMPLES[NAME]])
        assert result["decision"] == EXPECTED[NAME]
        for certificates in (Certificates(trust.own.ca), Certificates(trust.other.ca, certificate, key)):
            with Client(url, certificates=certificates) as client, pytest.raises(ServerError):
                client.moderate([SAMPLES[NAME]])


def test_the_command_line_takes_its_certificates_from_the_environment(trust: Trust, tmp_path: Path) -> None:
    """Promise: `moderation check` reaches a server with mTLS by three variables."""
    (tmp_path / "picture.png").write_bytes(SAMPLES[NAME])
    certificate, key = trust.own.sign("client")
    address = trust.running.grpc.replace("grpc", "grpcs")
    answer = subprocess.run(
        [COMMAND, "check", tmp_path / "picture.png", f"--url={address}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, CA: str(trust.own.ca), CERTIFICATE: str(certificate), KEY: str(key)},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
