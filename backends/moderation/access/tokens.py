"""A bearer token (RFC 7519) to the principal it speaks for."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import jwt

from moderation.access.keys import Keys
from moderation.access.principal import NOBODY, SCOPES, Principal
from moderation.access.settings import Access, Issuer
from moderation.errors import AccessError

MAX_TOKEN_BYTES: Final = 8192
"""Longer ones are refused before anything of them is decoded."""
MAX_NAME: Final = 256
"""Characters of a tenant or subject; what is longer is no name."""
CACHED: Final = 1024
"""Verified tokens that are remembered, so that a client's next request costs a hash and not a signature."""
_FAULTS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "expired", "the token is expired"),
    (jwt.ImmatureSignatureError, "not_yet", "the token is not valid yet"),
    (jwt.InvalidAudienceError, "audience", "the token is for another audience"),
    (jwt.MissingRequiredClaimError, "claims", "the token lacks one of exp, iss, aud"),
    (jwt.InvalidSignatureError, "signature", "the token's signature does not fit"),
)


class Verifier:
    """Checks the tokens of all issuers.

    Args:
        access: settings; the paths in it are absolute.

    Raises:
        ConfigError: a key file is wrong.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._issuers = {entry.issuer: (entry, Keys(entry)) for entry in access.issuers}
        self._cache: OrderedDict[bytes, tuple[float, int, Principal]] = OrderedDict()

    def identify(self, settings: Mapping[str, Any]) -> Principal:
        """The principal of a request's parameters and forwarded headers, names in small letters.

        Raises:
            AccessError: no token, a wrong one, or one without the scope `moderate`.
        """
        if self._access.mode == "none":
            return NOBODY
        token = _bearer(settings.get("authorization"))
        principal = self._verify(token)
        if "moderate" not in principal.scopes:
            raise AccessError("permission denied: the token lacks the scope `moderate`", reason="scope")
        return principal

    def _verify(self, token: str) -> Principal:
        generation = sum(keys.refreshed() for _, keys in self._issuers.values())
        digest = hashlib.sha256(token.encode()).digest()
        known = self._cache.get(digest)
        if known is not None and known[1] == generation and time.time() < known[0]:
            return known[2]
        claims, issuer = self._claims(token)
        principal = _principal(claims, issuer)
        self._cache[digest] = (float(claims["exp"]) + self._access.clock_skew_s, generation, principal)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return principal

    def _claims(self, token: str) -> tuple[dict[str, Any], Issuer]:
        try:
            header = jwt.get_unverified_header(token)
            named = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AccessError("unauthenticated: the token is no JSON Web Token", reason="malformed") from None
        if not isinstance(named, str) or named not in self._issuers:
            raise AccessError("unauthenticated: the token is from an issuer that is not known here", reason="issuer")
        issuer, keys = self._issuers[named]
        kid = header.get("kid")
        candidates = keys.candidates(kid if isinstance(kid, str) else None, str(header.get("alg")))
        fault = AccessError("unauthenticated: no key of the issuer fits the token's `kid` and `alg`", reason="key")
        for key in candidates:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.material,
                    algorithms=[key.algorithm],
                    audience=issuer.audience,
                    issuer=issuer.issuer,
                    leeway=self._access.clock_skew_s,
                    options={"require": ["exp", "iss", "aud"], "verify_iat": False},
                )
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
                fault = _fault(error)
                continue
            return claims, issuer
        raise fault


def _bearer(value: Any) -> str:
    """The token of an `authorization` value."""
    if value is None or value == "":
        raise AccessError("unauthenticated: send `authorization: Bearer <token>`", reason="missing")
    scheme, _, token = str(value).partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise AccessError("unauthenticated: `authorization` must be `Bearer <token>`", reason="malformed")
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise AccessError(
            f"unauthenticated: the token has {len(token)} characters; at most {MAX_TOKEN_BYTES} of ASCII are accepted",
            reason="malformed",
        )
    return token


def _fault(error: Exception) -> AccessError:
    for kind, reason, sentence in _FAULTS:
        if isinstance(error, kind):
            return AccessError(f"unauthenticated: {sentence}", reason=reason)
    return AccessError("unauthenticated: the token cannot be verified", reason="malformed")


def _principal(claims: Mapping[str, Any], issuer: Issuer) -> Principal:
    tenant = issuer.tenant if issuer.tenant is not None else claims.get(issuer.tenant_claim)
    if not isinstance(tenant, str) or not 0 < len(tenant) <= MAX_NAME:
        raise AccessError(
            f"permission denied: the token's claim `{issuer.tenant_claim}` names no tenant", reason="tenant"
        )
    named = claims.get(issuer.scope_claim, ())
    words = (
        named.split()
        if isinstance(named, str)
        else [w for w in named if isinstance(w, str)]
        if isinstance(named, (list, tuple))
        else []
    )
    client = claims.get("sub", "")
    return Principal(
        tenant,
        client[:MAX_NAME] if isinstance(client, str) else "",
        issuer.issuer,
        frozenset(SCOPES).intersection((*words, *issuer.scopes)),
    )
