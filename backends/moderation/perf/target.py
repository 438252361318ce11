"""The deployment that is measured, as options of perf_analyzer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moderation.client import Address
from moderation.launcher import admin


@dataclass(frozen=True)
class Target:
    """An address and the headers that go with each request.

    Attributes:
        address: of the server.
        headers: `name: value` lines, sent as HTTP headers or gRPC metadata.
    """

    address: Address
    headers: Sequence[str] = ()

    def arguments(self) -> list[str]:
        """Options of perf_analyzer."""
        where = f"{self.address.host}:{self.address.port}{self.address.path}"
        if self.address.grpc:
            options = ["-i", "grpc", "-u", where]
            options += ["--ssl-grpc-use-ssl", "true"] if self.address.secure else []
        else:
            options = ["-i", "http", "-u", f"https://{where}" if self.address.secure else where]
        for header in self.headers:
            options += ["-H", header]
        return [*options, *token_option(f"{self.address.host}:{self.address.port}", self.address.grpc)]


def token_option(url: str, grpc: bool) -> list[str]:
    """The header that opens the statistics, which perf_analyzer reads, of a server that this user runs here."""
    token = admin.token_for(url)
    return ["-H", f"{admin.GRPC_HEADER if grpc else admin.HEADER}:{token}"] if token else []
