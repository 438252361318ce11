"""The key that the pipeline's own calls carry, so that internal models answer nobody else.

Triton lets every caller ask every model. With authentication on, the launcher makes a random key for this run in a file
that only its user can read; the entry model and the ocr-engine send it as a parameter of their BLS calls, and each
Python backend refuses a call without it. Networks that run inside Triton itself (TensorRT) cannot check it: the
gateway of the chart keeps callers away from them.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from moderation.errors import AccessError, ConfigError

ENVIRONMENT: Final = "MODERATION_INTERNAL_KEY"
"""Names the file with the key; unset where internal models may be asked by anybody."""
PARAMETER: Final = "internal_key"


def create(path: Path) -> Path:
    """Write a fresh key, readable by this user only."""
    write_private(path, secrets.token_urlsafe(32).encode())
    return path


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that this user alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


@cache
def key() -> str:
    """This run's key, or nothing.

    Raises:
        ConfigError: the file is named but cannot be read: nothing is served rather than everything.
    """
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return ""
    try:
        text = Path(path).read_text().strip()
    except OSError as error:
        raise ConfigError(f"{ENVIRONMENT}: {path} cannot be read: {error.strerror}") from None
    if not text:
        raise ConfigError(f"{ENVIRONMENT}: {path} is empty")
    return text


def parameters() -> dict[str, str]:
    """What a BLS call adds to its parameters."""
    return {PARAMETER: key()} if key() else {}


def check(model: str, settings: Mapping[str, Any]) -> None:
    """Refuse a request that does not come from the pipeline.

    Raises:
        AccessError: the key is missing or wrong.
    """
    wanted = key()
    if wanted and not hmac.compare_digest(str(settings.get(PARAMETER, "")).encode(), wanted.encode()):
        raise AccessError(
            f"permission denied: {model} answers to the pipeline only; ask content-moderation-ensemble",
            reason="internal",
        )
