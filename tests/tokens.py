"""An identity provider in a folder: real keys, JWKS files and signed tokens."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example"
AUDIENCE = "moderation"


def new_key(algorithm: str) -> Any:
    """A private key for one algorithm."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


def public_jwk(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    """The public half as an entry of a JWKS."""
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", "alg": algorithm}


@dataclass
class Provider:
    """Issues tokens; `publish` writes the JWKS file."""

    path: Path
    algorithm: str = "ES256"
    issuer: str = ISSUER
    keys: dict[str, Any] = field(default_factory=dict)

    def add(self, kid: str) -> None:
        """A further key."""
        self.keys[kid] = new_key(self.algorithm)

    def publish(self, *kids: str) -> Path:
        """Write the JWKS with these keys, all of them by default."""
        entries = [public_jwk(self.algorithm, self.keys[kid], kid) for kid in kids or self.keys]
        self.path.write_text(json.dumps({"keys": entries}))
        return self.path

    def token(self, tenant: str = "acme", *, kid: str | None = None, scope: str = "moderate", **claims: Any) -> str:
        """A signed token; a claim that is None is left out."""
        kid = kid or next(iter(self.keys))
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "client-1",
            "tenant": tenant,
            "scope": scope,
            "iat": now,
            "exp": now + 600,
        }
        kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(kept, self.keys[kid], self.algorithm, headers={"kid": kid})


def bearer(token: str) -> dict[str, str]:
    """Request headers."""
    return {"authorization": f"Bearer {token}"}
