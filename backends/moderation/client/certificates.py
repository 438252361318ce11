"""What a client brings to a TLS connection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation.errors import ConfigError

CA: Final = "MODERATION_TLS_CA"
CERTIFICATE: Final = "MODERATION_TLS_CERT"
KEY: Final = "MODERATION_TLS_KEY"


@dataclass(frozen=True)
class Certificates:
    """PEM files; they count with `https://` and `grpcs://` only.

    Attributes:
        ca: who may have signed the server's certificate; without it, whom this machine trusts.
        certificate, key: of this client, where the server wants one (mTLS).

    Raises:
        ConfigError: a file is missing, or one of certificate and key.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:  # noqa: D105 - the class says what is allowed
        if (self.certificate is None) != (self.key is None):
            raise ConfigError(f"a client's certificate and key go together; set both {CERTIFICATE} and {KEY}")
        for name, path in ((CA, self.ca), (CERTIFICATE, self.certificate), (KEY, self.key)):
            if path is not None and not path.is_file():
                raise ConfigError(f"{name}: {path} is not there; a PEM file is expected")

    @classmethod
    def from_environment(cls) -> Certificates:
        """From MODERATION_TLS_CA, MODERATION_TLS_CERT and MODERATION_TLS_KEY."""
        return cls(*(Path(os.environ[name]) if os.environ.get(name) else None for name in (CA, CERTIFICATE, KEY)))

    def for_grpc(self) -> dict[str, Any]:
        """Arguments of tritonclient's gRPC client."""
        named = {"root_certificates": self.ca, "certificate_chain": self.certificate, "private_key": self.key}
        return {"ssl": True, **{name: str(path) for name, path in named.items() if path is not None}}

    def for_http(self, host: str) -> dict[str, Any]:
        """Arguments of tritonclient's HTTP client for a server of this name."""
        import gevent.ssl  # comes with that client

        def context() -> Any:
            made = gevent.ssl.create_default_context(cafile=self.ca)
            if self.certificate is not None:
                made.load_cert_chain(self.certificate, self.key)
            return made

        return {"ssl": True, "ssl_context_factory": context, "ssl_options": {"server_hostname": host}}
