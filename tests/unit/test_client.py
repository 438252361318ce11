"""What a client needs before it connects."""

from __future__ import annotations

from pathlib import Path

import pytest

from moderation.client.certificates import CA, CERTIFICATE, KEY, Certificates
from moderation.errors import ConfigError


def test_certificates_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: three variables name the files; none of them means what the machine trusts."""
    for name in (CA, CERTIFICATE, KEY):
        monkeypatch.delenv(name, raising=False)
    assert Certificates.from_environment().for_grpc() == {"ssl": True}
    for name in (CA, CERTIFICATE, KEY):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    assert Certificates.from_environment().for_grpc() == {
        "ssl": True,
        "root_certificates": str(tmp_path / CA),
        "certificate_chain": str(tmp_path / CERTIFICATE),
        "private_key": str(tmp_path / KEY),
    }


def test_half_of_a_certificate_is_refused(tmp_path: Path) -> None:
    """Promise: a certificate without its key, and a file that is not there, are named before anything is sent."""
    (tmp_path / "here.pem").touch()
    with pytest.raises(ConfigError, match=f"set both {CERTIFICATE} and {KEY}"):
        Certificates(certificate=tmp_path / "here.pem")
    with pytest.raises(ConfigError, match=r"MODERATION_TLS_CA: .*gone\.pem is not there"):
        Certificates(ca=tmp_path / "gone.pem")
