"""Addresses of servers, as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from moderation.errors import ConfigError

SCHEMES: Final = ("http", "https", "grpc", "grpcs")
_DEFAULT_PORTS: Final = {"http": 8000, "https": 443, "grpc": 8001, "grpcs": 443}


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Attributes:
        path: what stands before `/v2` (HTTP only), without a slash at its end.
    """

    host: str
    port: int
    path: str
    grpc: bool
    secure: bool

    @classmethod
    def parse(cls, url: str) -> Address:
        """From `http://host:8000/path`, `grpc://host:8001`, with TLS `https://`, `grpcs://`; `host:port` is HTTP.

        Raises:
            ConfigError: it is none of these.
        """
        address = urlsplit(url if "://" in url else f"http://{url}")
        if address.scheme not in SCHEMES or not address.hostname:
            allowed = ", ".join(f"{scheme}://host:port" for scheme in SCHEMES)
            raise ConfigError(f"`{url}` is not the address of a server; allowed: {allowed}")
        return cls(
            address.hostname,
            address.port or _DEFAULT_PORTS[address.scheme],
            address.path.rstrip("/"),
            address.scheme.startswith("grpc"),
            address.scheme in ("https", "grpcs"),
        )
