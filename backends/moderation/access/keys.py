"""The keys of one issuer, from a file that may change while the server runs.

Each key is good for one algorithm only, its own: a token cannot choose. That makes algorithm confusion (RFC 8725 2.1)
impossible: a public key is never taken for an HMAC secret, and `none` is nobody's algorithm.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from moderation.access.settings import Issuer
from moderation.errors import ConfigError

MIN_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: no less than the hash's own size."""
LOOK_S: Final = 1.0
"""How often the file is looked at; bounds the time until a key that was taken out is refused."""
SHARED: Final = "HS256"
"""The algorithm of a shared secret."""


@dataclass(frozen=True)
class Key:
    """One key and the only algorithm it is for."""

    kid: str | None
    algorithm: str
    material: Any


class Keys:
    """Keys of an issuer.

    Args:
        issuer: its settings; paths are absolute.

    Attributes:
        generation: grows with every change of the file.
        fault: why the newest file is not in force, or empty.

    Raises:
        ConfigError: the file cannot be read or holds a key that is not safe.
    """

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._path = issuer.jwks or issuer.secret or Path()
        self._looked = time.monotonic()
        self._seen = self._mark()
        self._keys = self._read()
        self.generation = 0
        self.fault = ""

    def candidates(self, kid: str | None, algorithm: str) -> list[Key]:
        """Keys that may have signed a token with this header; a token with a `kid` gets that key or none."""
        self._refresh()
        fitting = [key for key in self._keys if key.algorithm == algorithm]
        return fitting if kid is None else [key for key in fitting if key.kid in (kid, None)]

    def refreshed(self) -> int:
        """The generation after a look at the file."""
        self._refresh()
        return self.generation

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        mark = self._mark()
        if mark == self._seen:
            return
        try:
            self._keys = self._read()
        except ConfigError as error:
            self.fault = error.message  # the old keys stay in force: half a file locks nobody out
            return
        self._seen, self.fault = mark, ""
        self.generation += 1

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - follows the links of a mounted Kubernetes secret
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _read(self) -> list[Key]:
        try:
            raw = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error.strerror}") from None
        return self._secret(raw) if self._issuer.secret else self._jwks(raw)

    def _secret(self, raw: bytes) -> list[Key]:
        secret = raw.strip()
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigError(
                f"{self._path} has {len(secret)} bytes; HS256 needs {MIN_SECRET_BYTES} or more. "
                "Make one with `moderation access secret`"
            )
        return [Key(None, SHARED, secret)]

    def _jwks(self, raw: bytes) -> list[Key]:
        try:
            document = json.loads(raw)
            entries = document["keys"]
            found = [entry for entry in entries if entry.get("use", "sig") == "sig"]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ConfigError(f'{self._path} is no JWKS: {{"keys": [...]}} is expected (RFC 7517)') from None
        keys = [key for number, entry in enumerate(found) if (key := self._key(number, entry)) is not None]
        if not keys:
            raise ConfigError(f"{self._path} has no key for {', '.join(self._issuer.algorithms)}")
        return keys

    def _key(self, number: int, entry: dict[str, Any]) -> Key | None:
        place = f"{self._path}: keys[{number}]"
        if entry.get("kty") == "oct" or "d" in entry:
            raise ConfigError(f"{place} is secret; a JWKS holds public keys only. Give a shared secret as `secret`")
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{place} is no usable key: {type(error).__name__}") from None
        if key.algorithm_name not in self._issuer.algorithms:
            return None  # other keys of the same issuer are none of our business
        if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS:
            raise ConfigError(f"{place} has {key.key.key_size} bits; RSA needs {MIN_RSA_BITS} or more")
        return Key(key.key_id, key.algorithm_name, key.key)
