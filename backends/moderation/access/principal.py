"""Who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SCOPES: Final = ("moderate", "admin", "audit")
"""`moderate`: may ask for decisions. `admin`: may choose every policy profile, not only its tenant's. `audit`: gets the
receipt of each audit record in RESULT."""
ANYBODY: Final = "*"
"""The tenant of callers that no other entry of `tenants` is for."""


@dataclass(frozen=True)
class Principal:
    """A caller whose token was verified, or nobody in particular.

    Attributes:
        tenant: whose policy and quota count.
        client: the token's `sub`, empty without a token.
        issuer: who vouches for it, empty without a token.
        scopes: subset of `SCOPES`.
    """

    tenant: str = ANYBODY
    client: str = ""
    issuer: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)


NOBODY: Final = Principal(scopes=frozenset(("moderate",)))
"""The caller when `access.mode` is `none`."""
