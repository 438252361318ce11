"""Host names and where their owner's part begins, by the Public Suffix List inside the package `publicsuffixlist`."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

import idna
from publicsuffixlist import PublicSuffixList

_PLAIN_HOST: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?){0,126}"
)
MAX_HOST: Final = 253
"""Characters of a host name (RFC 1035)."""


@cache
def _registries() -> PublicSuffixList:
    """Suffixes that registries hand out names under (`com`, `co.uk`); no network is involved."""
    return PublicSuffixList(accept_unknown=False, only_icann=True)


@lru_cache(1024)
def ascii_host(name: str) -> str | None:
    """A host name in lower-case ASCII (`bücher.de` is `xn--bcher-kva.de`); None when it cannot be one."""
    host = name.lower().rstrip(".")
    if not host.isascii():
        try:
            host = idna.encode(name.rstrip("."), uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    return host if len(host) <= MAX_HOST and _PLAIN_HOST.fullmatch(host) else None


def public_suffix(host: str) -> str | None:
    """The part that a registry owns (`co.uk`); None when no registry is known for it.

    Args:
        host: as `ascii_host` gives it.
    """
    found: str | None = _registries().publicsuffix(host)
    return found


def registered_domain(host: str) -> str | None:
    """The part that somebody registered (`bbc.co.uk` of `www.bbc.co.uk`); None for a suffix or an unknown one."""
    found: str | None = _registries().privatesuffix(host)
    return found
