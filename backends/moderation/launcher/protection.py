"""What stands between the server and the rest of the world, decided before it starts."""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from moderation.access import internal
from moderation.access.tokens import Verifier
from moderation.audit.log import Log
from moderation.errors import LaunchError
from moderation.guard import settings as security
from moderation.launcher import admin
from moderation.launcher.preflight import Ports

_ADDRESSES: Final = ("--http-address", "--grpc-address", "--metrics-address")
_CACHE: Final = re.compile(r"response_cache\s*:?\s*\{[^}]*enable\s*:\s*true")


@dataclass(frozen=True)
class Tls:
    """Certificates of the gRPC endpoint (PEM). Triton's HTTP endpoint has no TLS.

    Attributes:
        certificate, key: of the server.
        client_ca: who signs clients' certificates; with it, only clients that have one get in (mTLS).
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    def flags(self) -> list[str]:
        """Arguments for tritonserver.

        Raises:
            LaunchError: half of it is given, or a file is missing.
        """
        if not any((self.certificate, self.key, self.client_ca)):
            return []
        if self.certificate is None or self.key is None:
            raise LaunchError("TLS needs both --tls-cert and --tls-key")
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None and not path.is_file():
                raise LaunchError(f"{path} is not there; give PEM files to --tls-cert, --tls-key and --tls-client-ca")
        argv = ["--grpc-use-ssl=true", f"--grpc-server-cert={self.certificate}", f"--grpc-server-key={self.key}"]
        if self.client_ca is not None:
            argv += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={self.client_ca}"]
        return argv


@dataclass(frozen=True)
class Protection:
    """What a person chooses.

    Attributes:
        security: security.yaml, or None for none: everybody may ask, nothing is kept.
        tls: of gRPC.
        open_to_all: serve on an address that others reach although nobody has to say who they are.
        open_admin: leave the management APIs open.
    """

    security: Path | None = None
    tls: Tls = field(default_factory=Tls)
    open_to_all: bool = False
    open_admin: bool = False


@dataclass(frozen=True)
class Prepared:
    """What tritonserver gets of it."""

    argv: list[str]
    environment: dict[str, str]
    admin_token: str


@contextmanager
def prepared(plan: Protection, address: str, ports: Ports, extra: Sequence[str], folder: Path) -> Iterator[Prepared]:
    """Arguments and environment for one run; its secrets are gone at the end of the block.

    Args:
        plan: what is wanted.
        address: where the server is to listen.
        ports: where it listens.
        extra: options that go to tritonserver as they are; they may move a listener.
        folder: private folder of the run.

    Raises:
        LaunchError: the server would be open to others by accident.
        ConfigError: security.yaml, a key or the audit folder is wrong.
    """
    settings = security.load(plan.security) if plan.security else security.Security()
    Verifier(settings.access)
    required = settings.access.mode == "required"
    _check_addresses(address, extra, allowed=required or plan.open_to_all)
    if settings.audit.mode != "none":
        Log(settings.audit).close()
    state = folder / "state"
    state.mkdir(mode=0o700)
    environment = {security.STATE: str(state)}
    if plan.security:
        environment[security.ENVIRONMENT] = str(plan.security.resolve())
    if required:
        environment[internal.ENVIRONMENT] = str(internal.create(folder / "internal-key"))
    argv, token, files = plan.tls.flags(), "", list[Path]()
    if not plan.open_admin:
        token, files = admin.create((ports.http, ports.grpc))
        argv += admin.flags(token)
    try:
        yield Prepared(argv, environment, token)
    finally:
        for file in files:
            file.unlink(missing_ok=True)
        shutil.rmtree(state, ignore_errors=True)


def check_caches(served: Path, profile: str, plan: Protection) -> None:
    """Refuse a response cache where callers are told apart: Triton's knows inputs only, not who asks.

    Raises:
        LaunchError: naming the models.
    """
    if plan.security is None or security.load(plan.security).access.mode == "none":
        return
    cached = []
    for default in sorted(served.glob("*/config.pbtxt")):
        variant = default.parent / "configs" / f"{profile}.pbtxt"
        if _CACHE.search((variant if variant.is_file() else default).read_text()):
            cached.append(default.parent.name)
    if cached:
        raise LaunchError(
            f"response_cache is enabled for {', '.join(cached)}: it would answer before anybody is asked for a token. "
            "Switch it off, or serve without authentication"
        )


def _check_addresses(address: str, extra: Sequence[str], *, allowed: bool) -> None:
    wanted = dict.fromkeys(_ADDRESSES, address)
    for position, option in enumerate(extra):
        name, equals, value = option.partition("=")
        if name in wanted:
            wanted[name] = value if equals else (extra[position + 1] if position + 1 < len(extra) else "")
    outside = sorted({value for value in wanted.values() if not _loopback(value)})
    if outside and not allowed:
        raise LaunchError(
            f"without authentication the server listens on loopback only, and {', '.join(outside)} is none. Give "
            "--security with access.mode `required`, or --allow-unauthenticated when something in front checks callers"
        )


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
