"""The key that signs checkpoints and the key that seals bodies."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moderation.access.internal import write_private
from moderation.errors import ConfigError

SIGNING: Final = "signing.pem"
PUBLIC: Final = "signing.pub.pem"
_NONCE: Final = 12
"""Bytes of a GCM nonce (NIST SP 800-38D); random, so one key is good for 2^32 records."""


class Signer:
    """Signs the head of the chain.

    Args:
        path: private key; made when it is not there, with the public key beside it.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            if not path.exists():
                _create(path)
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path} is no usable signing key: {type(error).__name__}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"{path} holds a {type(key).__name__}; an Ed25519 private key is expected")
        self._key = key

    def sign(self, message: bytes) -> str:
        """Signature in hexadecimal digits."""
        return self._key.sign(message).hex()


def _create(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, private)
    path.with_name(PUBLIC).write_bytes(public)


class Verifier:
    """Checks signatures with the public key.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is no usable public key: {type(error).__name__}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{path} holds a {type(key).__name__}; an Ed25519 public key is expected")
        self._key = key

    def fits(self, signature: str, message: bytes) -> bool:
        """Whether the signature is that of the message."""
        try:
            self._key.verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError):
            return False
        return True


class Seal:
    """Encrypts and opens bodies.

    Args:
        path: file with 32 bytes in base64.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            raw = base64.b64decode(path.read_bytes().strip(), validate=True)
        except (OSError, binascii.Error) as error:
            raise ConfigError(f"{path} cannot be used: {type(error).__name__}; base64 is expected") from None
        if len(raw) != 32:
            raise ConfigError(f"{path} holds {len(raw)} bytes; AES-256 needs 32. Make one with `moderation audit key`")
        self._cipher = AESGCM(raw)
        self.name = hashlib.sha256(raw).hexdigest()[:8]

    def close(self, data: bytes) -> str:
        """Ciphertext in base64."""
        nonce = os.urandom(_NONCE)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, data, None)).decode()

    def open(self, text: str) -> bytes:
        """What `close` was given.

        Raises:
            ConfigError: sealed with another key, or changed.
        """
        raw = base64.b64decode(text)
        try:
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], None)
        except InvalidTag:
            raise ConfigError("a record is sealed with another key, or was changed") from None
