"""TLS of the gRPC endpoint, with and without certificates of clients."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tritonclient.utils import InferenceServerException

from moderation import contract
from moderation.samples import EXPECTED, render
from serving.conftest import Running, launched


def certificate(folder: Path, name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """A certificate with its key, in files of its name; signed by itself where no issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return made, key


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of an authority, a server, a client, and a stranger."""
    made = tmp_path_factory.mktemp("tls")
    authority = certificate(made, "authority")
    certificate(made, "server", authority)
    certificate(made, "client", authority)
    certificate(made, "stranger", certificate(made, "other"))
    return made


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[Running]:
    """A server that wants certificates of its clients."""
    options = (f"--tls-cert={folder / 'server.pem'}", f"--tls-key={folder / 'server.key'}")
    with launched(folder, *options, f"--tls-client-ca={folder / 'authority.pem'}") as running:
        yield running


def decide(running: Running, folder: Path, client: str | None, *, ssl: bool = True) -> str:
    """The decision about a sample."""
    pair = {"private_key": str(folder / f"{client}.key"), "certificate_chain": str(folder / f"{client}.pem")}
    connection = triton.InferenceServerClient(
        running.grpc.split("//")[1],
        ssl=ssl,
        root_certificates=str(folder / "authority.pem") if ssl else None,
        **(pair if client and ssl else {}),
    )
    tensor = triton.InferInput("IMAGE", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[render()["threat.jpg"]]], dtype=object))
    answer = connection.infer(contract.ENTRY, [tensor], client_timeout=20)
    return str(answer.as_numpy("DECISION")[0, 0].decode())


def test_a_client_with_a_certificate_gets_in(secured: Running, folder: Path) -> None:
    """Promise: over mTLS the decision is the same as without."""
    assert decide(secured, folder, "client") == EXPECTED["threat.jpg"]


@pytest.mark.parametrize("client", [None, "stranger"])
def test_others_do_not(secured: Running, folder: Path, client: str | None) -> None:
    """Promise: without a certificate of the authority there is no connection."""
    with pytest.raises(InferenceServerException):
        decide(secured, folder, client)


def test_nor_does_plain_text(secured: Running, folder: Path) -> None:
    """Promise: the port speaks TLS only."""
    with pytest.raises(InferenceServerException):
        decide(secured, folder, None, ssl=False)
