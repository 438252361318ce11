"""security.yaml: access, tenants, limits and audit of one deployment, checked with all faults at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from moderation.access.principal import ANYBODY
from moderation.access.settings import Access, Strict
from moderation.audit.settings import Audit
from moderation.errors import ConfigError
from moderation.limits.settings import Limits, Tenant
from moderation.policy.faults import Faults
from moderation.policy.source import Source

ENVIRONMENT: Final = "MODERATION_SECURITY"
"""Names the file; unset means that everybody may ask and nothing is kept."""
STATE: Final = "MODERATION_STATE"
"""Names the folder that the processes of one server share."""
_PATHS: Final = (("audit", "folder"), ("audit", "signing_key"), ("audit", "encryption_key"))


class Security(Strict):
    """The whole file. Every section may be left out."""

    access: Access = Field(default_factory=Access)
    tenants: dict[str, Tenant] = Field(default_factory=lambda: {ANYBODY: Tenant()})
    limits: Limits = Field(default_factory=Limits)
    audit: Audit = Field(default_factory=Audit)


def load(path: Path) -> Security:
    """Read and check the file; paths in it are meant from its own folder.

    Raises:
        ConfigError: with every fault: line, path, value, what is allowed.
    """
    try:
        source = Source(path.read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    faults = Faults(path.name, source)
    if not faults.any():
        try:
            return Security.model_validate(_absolute(source.data, path.parent.resolve()))
        except ValidationError as error:
            faults.add_all(error, Security)
    lines = faults.lines()
    count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
    raise ConfigError("\n  ".join((f"{path}: {count}:", *lines)))


def from_environment() -> Security:
    """The settings of this process.

    Raises:
        ConfigError: the file is named but wrong: nothing is served rather than everything.
    """
    named = os.environ.get(ENVIRONMENT)
    return load(Path(named)) if named else Security()


def _absolute(document: Any, folder: Path) -> Any:
    """Paths made absolute; everything else is pydantic's to judge."""
    if not isinstance(document, dict):
        return document
    issuers = document.get("access", {}).get("issuers", []) if isinstance(document.get("access"), dict) else []
    places = [(document.get(section), key) for section, key in _PATHS]
    places += [(issuer, key) for issuer in issuers if isinstance(issuers, list) for key in ("jwks", "secret")]
    for holder, key in places:
        if isinstance(holder, dict) and isinstance(holder.get(key), str):
            holder[key] = str(folder / holder[key])
    return document
