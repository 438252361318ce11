"""Tensors of a request to items."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import InputError
from moderation.pipeline.items import MAX_TEXT_BYTES, Item, from_base64, parse


def tensor(*values: Any) -> Any:
    out = np.empty((len(values), 1), dtype=np.object_)
    out[:, 0] = values
    return out


def test_items_keep_their_order_and_their_own_text() -> None:
    """Promise: the n-th image goes with the n-th caption and profile; empty ones are none."""
    inputs = {"IMAGE": tensor(b"1", b"2"), "TEXT": tensor(b"", "grüße".encode()), "POLICY": tensor(b"strict", b"")}
    assert parse(inputs) == [Item(b"1", None, "strict"), Item(b"2", "grüße", None)]


@pytest.mark.parametrize("inputs", [{}, {"TEXT": tensor(b"x")}, {"IMAGE": tensor(b"1"), "IMAGE_B64": tensor(b"MQ==")}])
def test_exactly_one_image_input_is_needed(inputs: dict[str, Any]) -> None:
    """Promise: neither or both of IMAGE and IMAGE_B64 is an error of the whole request."""
    with pytest.raises(InputError, match="IMAGE and IMAGE_B64"):
        parse(inputs)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("TEXT", b"\xff", "bad_text"),
        ("TEXT", b"x" * (MAX_TEXT_BYTES + 1), "text_too_long"),
        ("POLICY", b"../../etc", "bad_profile"),
        ("POLICY", b"x" * 65, "bad_profile"),
    ],
)
def test_a_bad_item_is_its_own_error(name: str, value: bytes, reason: str) -> None:
    """Promise: one bad item does not harm the other."""
    good, bad = parse({"IMAGE": tensor(b"1", b"2"), name: tensor(b"", value)})
    assert isinstance(good, Item)
    assert isinstance(bad, InputError)
    assert bad.reason == reason


@given(st.binary(max_size=200), st.sampled_from(["plain", "urlsafe", "unpadded", "lines", "data url"]))
def test_every_common_form_of_base64_is_read(data: bytes, form: str) -> None:
    """Promise: standard and URL-safe alphabets, missing padding, line breaks and data URLs all work."""
    encoded = base64.urlsafe_b64encode(data) if form == "urlsafe" else base64.b64encode(data)
    if form == "unpadded":
        encoded = encoded.rstrip(b"=")
    if form == "lines":
        encoded = b"\r\n".join(encoded[i : i + 7] for i in range(0, len(encoded), 7))
    if form == "data url":
        encoded = b"data:image/png;base64," + encoded
    assert from_base64(encoded) == data


@given(st.binary(max_size=60))
def test_anything_else_is_refused_without_being_quoted(data: bytes) -> None:
    """Promise: no input makes it fail otherwise, and the caller's bytes are not in the message."""
    try:
        from_base64(data)
    except InputError as error:
        assert error.reason == "bad_base64"  # noqa: PT017 - it may also be valid
        assert len(data) < 4 or data.decode("latin-1") not in error.message  # noqa: PT017
