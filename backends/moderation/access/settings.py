"""The `access` section of security.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ASYMMETRIC: Final = ("RS256", "ES256", "EdDSA")
Algorithm = Literal["RS256", "ES256", "EdDSA"]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class Strict(BaseModel):
    """Unknown keys are refused, and values are taken as they are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Issuer(Strict):
    """Somebody whose tokens are accepted; exactly one of `jwks` and `secret`.

    Attributes:
        issuer: value of the claim `iss`.
        audience: value that the claim `aud` must hold.
        jwks: file with public keys (RFC 7517); read again when it changes, so keys rotate without a restart.
        secret: file with at least 32 bytes for HS256.
        algorithms: what the keys of `jwks` may be used for; a secret is for HS256.
        tenant: tenant of all of its tokens; without it the claim `tenant_claim` names it.
        scopes: given to all of its tokens beside those that they name.
    """

    issuer: Name
    audience: Name
    jwks: Path | None = None
    secret: Path | None = None
    algorithms: tuple[Algorithm, ...] = ASYMMETRIC
    tenant: Name | None = None
    tenant_claim: Name = "tenant"
    scope_claim: Name = "scope"
    scopes: tuple[Literal["moderate", "admin", "audit"], ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Issuer:
        if (self.jwks is None) == (self.secret is None):
            raise ValueError("needs exactly one of `jwks` and `secret`")
        return self


class Access(Strict):
    """Who may ask.

    Attributes:
        mode: `none` lets everybody in (the launcher then serves on loopback only), `required` wants a token.
        clock_skew_s: how far clocks may differ, for exp and nbf.
        issuers: whose tokens are accepted.
    """

    mode: Literal["none", "required"] = "none"
    clock_skew_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    issuers: tuple[Issuer, ...] = ()

    @model_validator(mode="after")
    def _issuers(self) -> Access:
        if self.mode == "required" and not self.issuers:
            raise ValueError("mode `required` needs at least one entry in `issuers`")
        names = [entry.issuer for entry in self.issuers]
        if len(set(names)) < len(names):
            raise ValueError("two entries of `issuers` have the same `issuer`; keep one")
        return self
