"""HTTP that no client library sends: each request gets an error of the caller's kind, nothing dies, hangs or grows."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation import contract
from serving.attack import GENERATE, INFER, LARGEST, ROW, attacked, parsed, post, raw, refused, tensor, triton
from serving.conftest import Running
from serving.load import SAMPLES
from serving.malformed import NO_JSON, NO_REQUEST


@pytest.fixture(scope="module", autouse=True)
def unharmed(server: Running) -> Iterator[None]:
    """See `attacked`."""

    def heaviest(running: Running) -> None:
        post(running, INFER, tensor(LARGEST))
        flood(running)

    with attacked(server, heaviest):
        yield


@pytest.fixture(autouse=True)
def survives(server: Running) -> Iterator[None]:
    """The server that was there before a request is there after it, and its pipeline answers at once."""
    before = triton(server).pid
    yield
    assert triton(server).pid == before
    status, answer = post(server, INFER, tensor(b"no picture"))
    assert (status, "accepted format" in answer["error"]) == (400, True), answer


@pytest.mark.parametrize("body", [*NO_JSON.values(), *NO_REQUEST.values()], ids=[*NO_JSON, *NO_REQUEST])
def test_json_that_is_no_request(server: Running, body: Any) -> None:
    """Promise: every wrong body is the caller's fault, said in a sentence."""
    status, answer = post(server, INFER, body)
    assert refused(status, answer), (status, answer)
    assert answer["error"]


@settings(max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["inputs", "name", "shape", "datatype", "data", "parameters", "outputs", "id", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json(server: Running, document: Any) -> None:
    """Promise: no JSON document takes the server down; what is no request is refused, by both paths."""
    for path in (INFER, GENERATE):
        status, answer = post(server, path, json.dumps(document).encode())
        assert refused(status, answer), (status, answer)


def binary(payload: bytes, size: int | None = None) -> bytes:
    """The JSON head of a request whose picture follows as bytes."""
    told = {"binary_data_size": len(payload) if size is None else size}
    return json.dumps(
        {"inputs": [{"name": "IMAGE", "shape": [1, 1], "datatype": "BYTES", "parameters": told}]}
    ).encode()


@pytest.mark.parametrize(
    "payload",
    [
        struct.pack("<I", 2**32 - 1) + b"x",
        struct.pack("<I", 100) + b"x" * 10,
        b"\0\0",
        struct.pack("<I", 1) + b"x" * 500,
        (struct.pack("<I", 1) + b"x") * 2,
        b"",
    ],
    ids=["2^32-1", "more than there is", "half a length", "less than there is", "two values", "nothing"],
)
def test_bytes_whose_lengths_lie(server: Running, payload: bytes) -> None:
    """Promise: binary tensors are refused whose own length, whose size in JSON or whose head's length is a lie."""
    head = binary(payload)
    for length in (len(head), 0, len(head) - 1, len(head) + 1000, -1, 2**64, "x"):
        found = post(server, INFER, head + payload, {"Inference-Header-Content-Length": str(length)})
        assert refused(*found), (length, found)
    for size in (-1, 0, len(payload) + 1, 2**31, 2**63 - 1, 2**64):
        lie = binary(payload, size)
        found = post(server, INFER, lie + payload, {"Inference-Header-Content-Length": str(len(lie))})
        assert refused(*found), (size, found)


def test_a_picture_that_is_too_large_is_refused(server: Running) -> None:
    """Promise: 30 MB in one value get a sentence with the limit."""
    status, answer = post(server, INFER, tensor(SAMPLES["sunset.png"] + bytes(30_000_000)))
    assert status == 400
    assert "at most" in answer["error"]


def test_compressed_bodies(server: Running) -> None:
    """Promise: what opens to a thousand times its size, what is cut and what is no gzip is refused; a compressed
    request is answered. (Triton 24.10 keeps what it opened: moderation/guard/README.md.)"""
    good = json.dumps(tensor(SAMPLES["sunset.png"])).encode()
    for kind, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        for body in (pack(bytes(1 << 20)), b"not compressed", pack(b'{"inputs": []}')[:-9], b""):
            found = post(server, INFER, body, {"Content-Encoding": kind})
            assert refused(*found), (kind, body[:20], found)
        assert post(server, INFER, pack(good), {"Content-Encoding": kind})[0] == 200
    assert refused(*post(server, INFER, gzip.compress(gzip.compress(good)), {"Content-Encoding": "gzip"}))
    status, answer = post(server, INFER, good, {"Content-Encoding": "br"})
    assert status == 200 or refused(status, answer)


HEAD = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def flood(server: Running) -> bytes:
    """Send a body in 65536 chunks; the answer."""
    return raw(server.http, CHUNKED, *[b"1\r\n \r\n" * 1024] * 64, b"0\r\n\r\n", timeout_s=60)


def test_a_body_in_65536_chunks(server: Running) -> None:
    """Promise: a body of one byte a chunk gets an answer or a closed connection."""
    answer = flood(server)
    assert not answer or refused(*parsed(answer)), answer[:200]


@pytest.mark.parametrize(
    "request_",
    [
        b"\0" * 1000,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500),
        b"GET\r\n\r\n",
        b"POST " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        HEAD + b"x: y\r\n" * 20_000 + b"\r\n",
        HEAD + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n{}",
        HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        HEAD + b"Content-Length: two\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        CHUNKED + b"-1\r\nx\r\n",
        CHUNKED + b"ffffffffffffffff\r\nx\r\n",
        CHUNKED + b"zz\r\nx\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}xx\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 1000\r\n\r\n{}",
    ],
    ids=lambda data: repr(data[-40:])[2:-1],
)
def test_bytes_that_are_no_http(server: Running, request_: bytes) -> None:
    """Promise: what is no HTTP, or whose lengths lie, is refused or the connection closed; nothing waits for it."""
    answer = raw(server.http, request_, timeout_s=5, end=True)
    assert not answer or refused(*parsed(answer)), answer[:200]


def test_headers_that_are_odd(server: Running) -> None:
    """Promise: long, binary and false headers are refused or change nothing."""
    for headers in (
        {"x-request-id": "x" * 5000},
        {"x-subject": "\x1b[31m"},
        {"traceparent": "nonsense"},
        {"Content-Type": "multipart/form-data"},
        {"Expect": "100-continue"},
        {"Accept-Encoding": "nonsense"},
    ):
        found = post(server, INFER, {"inputs": [ROW]}, headers)
        assert found[0] == 200 or refused(*found), (headers, found)


def test_paths_that_lead_nowhere(server: Running) -> None:
    """Promise: paths outside of the protocol, and out of the repository, lead nowhere."""
    for path in (
        "/../../etc/passwd",
        "/v2/models/../infer",
        "/v2/models//infer",
        f"/v2/models/{'x' * 4000}/infer",
        f"/v2/models/{contract.ENTRY}/versions/999999999999999999999/infer",
        f"/v2/models/{contract.ENTRY}/versions/-2/infer",
        f"/v2/models/{contract.ENTRY}/versions/x/infer",
        "/%00",
        "/v2/models/%2e%2e%2f%2e%2e%2fetc/infer",
    ):
        found = post(server, path, {"inputs": [ROW]})
        assert refused(*found), (path, found)
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert refused(*post(server, INFER, {"inputs": [ROW]}, method=method)), method
