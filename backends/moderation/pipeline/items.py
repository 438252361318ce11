"""The entry model's tensors to items, each checked on its own so that a bad one harms no other."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moderation.errors import InputError

MAX_TEXT_BYTES: Final = 64 * 1024
"""A caption longer than this is no caption; keeps text matching bounded."""
MAX_B64_BYTES: Final = 64 * 1024 * 1024
"""Refused before decoding base64; the preprocessor has the real limit on the decoded bytes."""
_PROFILE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DATA_URL: Final = re.compile(rb"data:[\w/+.;=-]{0,100},")

Inputs = Mapping[str, npt.NDArray[Any] | None]


@dataclass(frozen=True)
class Item:
    """One image to moderate.

    Attributes:
        image: encoded file.
        caption: text that goes with it, or None.
        profile: policy profile, or None for the policy's default.
    """

    image: bytes
    caption: str | None
    profile: str | None


def parse(inputs: Inputs) -> list[Item | InputError]:
    """Items of one request, in order; a bad one is its InputError.

    Args:
        inputs: IMAGE, IMAGE_B64, TEXT, POLICY as object arrays [n, 1], or None where the caller left one out.

    Raises:
        InputError: the request as a whole is wrong: both or neither of IMAGE and IMAGE_B64.
    """
    image, encoded = inputs.get("IMAGE"), inputs.get("IMAGE_B64")
    if (image is None) == (encoded is None):
        raise InputError(
            f"{'both' if image is not None else 'neither'} of IMAGE and IMAGE_B64 given; send exactly one",
            reason="missing_input",
        )
    count = len(image if image is not None else np.asarray(encoded))
    return [_item(inputs, index) for index in range(count)]


def _item(inputs: Inputs, index: int) -> Item | InputError:
    try:
        image = _value(inputs, "IMAGE", index)
        encoded = _value(inputs, "IMAGE_B64", index)
        return Item(
            image if image is not None else from_base64(encoded or b""),
            _caption(_value(inputs, "TEXT", index)),
            _profile(_value(inputs, "POLICY", index)),
        )
    except InputError as error:
        return error


def _value(inputs: Inputs, name: str, index: int) -> bytes | None:
    tensor = inputs.get(name)
    if tensor is None:
        return None
    value = tensor.reshape(len(tensor), -1)[index, 0]
    return value.encode() if isinstance(value, str) else bytes(value)


def from_base64(encoded: bytes) -> bytes:
    """Standard or URL-safe base64, with or without padding, line breaks or a `data:` prefix.

    Raises:
        InputError: reason `bad_base64` or `too_many_bytes`.
    """
    if len(encoded) > MAX_B64_BYTES:
        raise InputError(
            f"IMAGE_B64 has {len(encoded)} characters; at most {MAX_B64_BYTES} are accepted",
            reason="too_many_bytes",
            limit=MAX_B64_BYTES,
            value=len(encoded),
        )
    if prefix := _DATA_URL.match(encoded):
        encoded = encoded[prefix.end() :]
    text = b"".join(encoded.split()).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            f"IMAGE_B64 ({len(encoded)} characters) is not base64; send the file's bytes in base64, or in IMAGE as "
            "they are",
            reason="bad_base64",
            value=len(encoded),
        ) from None


def _caption(value: bytes | None) -> str | None:
    if not value:
        return None
    if len(value) > MAX_TEXT_BYTES:
        raise InputError(
            f"TEXT has {len(value)} bytes; at most {MAX_TEXT_BYTES} are accepted",
            reason="text_too_long",
            limit=MAX_TEXT_BYTES,
            value=len(value),
        )
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"TEXT is not UTF-8 (byte {error.start})", reason="bad_text", value=error.start) from None


def _profile(value: bytes | None) -> str | None:
    if not value:
        return None
    text = value.decode(errors="replace")
    if not _PROFILE.fullmatch(text):
        raise InputError(
            "POLICY is not a profile name: 1 to 64 letters, digits, dots, dashes or underscores", reason="bad_profile"
        )
    return text
