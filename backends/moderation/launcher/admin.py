"""The token that opens Triton's management APIs of one running server.

The launcher closes them (`RESTRICTED`) with a random token for each run. Programs of the same user on the same machine
find it in a file that only this user can read, named after the port. The token stands in the server's command line
too, since Triton takes it in no other way: whoever may list processes of other users can read it (`hidepid` of /proc
prevents that, a container has no other users).
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from moderation.access.internal import write_private
from moderation.errors import LaunchError

RESTRICTED: Final = ("model-repository", "trace", "logging", "shared-memory", "statistics")
"""APIs that change the server, read what it did for others, or map its memory."""
HEADER: Final = "moderation-admin"
GRPC_HEADER: Final = f"triton-grpc-protocol-{HEADER}"
"""Triton puts this prefix before the name of a key for gRPC (server docs, inference_protocols.md)."""
ENVIRONMENT: Final = "MODERATION_ADMIN_TOKEN"
"""The token itself, for servers elsewhere."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def create(ports: Iterable[int]) -> tuple[str, list[Path]]:
    """A fresh token, and the files that hold it while the server runs: one for each port, as clients know only one.

    Raises:
        LaunchError: the folder for it is somebody else's.
    """
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise LaunchError(f"{folder} can be used by others; remove it, or set XDG_RUNTIME_DIR to a private folder")
        token, paths = secrets.token_urlsafe(32), [folder / f"admin-{port}" for port in ports]
        for path in paths:
            path.unlink(missing_ok=True)
            write_private(path, token.encode())
    except OSError as error:
        raise LaunchError(f"{folder} cannot hold the token of the management APIs: {error.strerror}") from None
    return token, paths


def token_for(url: str) -> str:
    """The token for a server: that of the environment, else that of a server that this user runs here; or nothing."""
    if given := os.environ.get(ENVIRONMENT):
        return given
    address = urlsplit(url if "://" in url else f"http://{url}")
    if address.hostname not in _LOOPBACK:
        return ""
    try:
        return (_folder() / f"admin-{address.port}").read_text()
    except OSError:
        return ""


def flags(token: str) -> list[str]:
    """What closes the APIs."""
    names = ",".join(RESTRICTED)
    return [
        f"--http-restricted-api={names}:{HEADER}={token}",
        f"--grpc-restricted-protocol={names}:{HEADER}={token}",
    ]


def _folder() -> Path:
    private = os.environ.get("XDG_RUNTIME_DIR")
    return Path(private) / "moderation" if private else Path(tempfile.gettempdir()) / f"moderation-run-{os.getuid()}"
