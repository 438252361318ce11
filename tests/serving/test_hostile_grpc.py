"""gRPC that no client library sends: each call gets an error of the caller's kind, nothing dies, hangs or grows."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from moderation import contract
from serving.attack import LARGEST, attacked, raw, triton
from serving.conftest import Running
from serving.load import SAMPLES

SERVICE = "/inference.GRPCInferenceService/"
CALLERS_FAULT = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # a sentence that quotes the request and is longer than gRPC's client takes
)
Row = service_pb2.ModelInferRequest.InferInputTensor
Contents = service_pb2.InferTensorContents


@pytest.fixture(scope="module", autouse=True)
def unharmed(server: Running) -> Iterator[None]:
    """See `attacked`."""
    with attacked(server, lambda running: code(running, LARGE)):
        yield


@pytest.fixture(autouse=True)
def survives(server: Running) -> Iterator[None]:
    """The server that was there before a call is there after it, and its pipeline answers at once."""
    before = triton(server).pid
    yield
    assert triton(server).pid == before
    assert code(server, message(raw=(value(b"no picture"),))) is grpc.StatusCode.INVALID_ARGUMENT


def value(data: bytes) -> bytes:
    """One BYTES element as it goes over the wire."""
    return struct.pack("<I", len(data)) + data


GOOD = value(SAMPLES["sunset.png"])


def row(name: str = "IMAGE", datatype: str = "BYTES", shape: tuple[int, ...] = (1, 1), **more: Any) -> Any:
    """An input."""
    return Row(name=name, datatype=datatype, shape=shape, **more)


def message(*rows: Any, raw: tuple[bytes, ...] = (GOOD,), **more: Any) -> Any:
    """A request; with nothing said a good one."""
    fields = {"model_name": contract.ENTRY, **more}
    return service_pb2.ModelInferRequest(inputs=rows or (row(),), raw_input_contents=raw, **fields)


def call(server: Running, data: bytes, method: str = "ModelInfer", timeout_s: float = 60.0) -> grpc.StatusCode:
    """The status of a call whose message is these bytes."""
    with grpc.insecure_channel(server.grpc.split("//")[1]) as channel:
        try:
            channel.unary_unary(SERVICE + method)(data, timeout=timeout_s)
        except grpc.RpcError as error:
            status: grpc.StatusCode = error.code()
            return status
    return grpc.StatusCode.OK


def code(server: Running, request: Any) -> grpc.StatusCode:
    """The status of a request."""
    return call(server, request.SerializeToString())


LARGE = message(raw=(value(LARGEST),))


def parameter(**values: Any) -> Any:
    """An `InferParameter`."""
    return service_pb2.InferParameter(**values)


WRONG = {
    "no inputs": service_pb2.ModelInferRequest(model_name=contract.ENTRY),
    "no model": message(model_name=""),
    "no such model": message(model_name="x" * 10_000),
    "no such version": message(model_version="7"),
    "a version that is no number": message(model_version="x"),
    "a version beyond 64 bits": message(model_version="9" * 40),
    "no data": message(raw=()),
    "empty data": message(raw=(b"",)),
    "less data than inputs": message(row(), row("TEXT")),
    "both kinds of data": message(row(contents=Contents(bytes_contents=[b"x"]))),
    "data of another type": message(row(contents=Contents(fp32_contents=[1.0])), raw=()),
    "two values for one": message(row(contents=Contents(bytes_contents=[b"x", b"y"])), raw=()),
    "a length of 2^32-1": message(raw=(struct.pack("<I", 2**32 - 1),)),
    "half a length": message(raw=(b"\0\0",)),
    "more than it says": message(raw=(GOOD + b"x",)),
    "three of one": message(row(shape=(3, 1))),
    "negative shape": message(row(shape=(-1, -1))),
    "shape overflows": message(row(shape=(2**40, 2**40))),
    "shape overflows to one": message(row(shape=(2**32, 2**32))),
    "no shape": message(row(shape=())),
    "100000 dimensions": message(row(shape=(1,) * 100_000)),
    "batch of none": message(row(shape=(0, 1)), raw=(b"",)),
    "batch over the limit": message(row(shape=(33, 1)), raw=(GOOD * 33,)),
    "other datatype": message(row(datatype="INT8", shape=(1, 7))),
    "no datatype": message(row(datatype="")),
    "no such input": message(row("X")),
    "an input twice": message(row(), row(), raw=(GOOD, GOOD)),
    "10000 inputs": message(*[row(f"X{n}") for n in range(10_000)], raw=(GOOD,) * 10_000),
    "no picture": message(raw=(value(b"abc"),)),
    "an empty picture": message(raw=(value(b""),)),
    "a picture of 30 MB": message(raw=(value(SAMPLES["sunset.png"] + bytes(30_000_000)),)),
    "a caption that is no UTF-8": message(row(), row("TEXT"), raw=(GOOD, value(b"\xff"))),
    "a profile with a path": message(row(), row("POLICY"), raw=(GOOD, value(b"../x"))),
    "unknown output": message(outputs=[{"name": "NOTHING"}]),
    "negative deadline": message(parameters={"deadline_ms": parameter(int64_param=-1)}),
    "a word as deadline": message(parameters={"deadline_ms": parameter(string_param="soon")}),
    "shared memory of nobody": message(
        row(parameters={"shared_memory_region": parameter(string_param="x")}),
        raw=(),
    ),
    "negative shared memory": message(
        row(
            parameters={
                "shared_memory_region": parameter(string_param="x"),
                "shared_memory_byte_size": parameter(int64_param=-1),
            }
        ),
        raw=(),
    ),
}


@pytest.mark.parametrize("request_", WRONG.values(), ids=WRONG)
def test_a_request_that_is_wrong(server: Running, request_: Any) -> None:
    """Promise: INVALID_ARGUMENT, NOT_FOUND or UNIMPLEMENTED, as for a fault of the caller."""
    assert code(server, request_) in CALLERS_FAULT


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["IMAGE", "IMAGE_B64", "TEXT", "POLICY", "X", ""]),
            st.sampled_from(["BYTES", "UINT8", "FP64", "x"]),
            st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), max_size=4),
            st.binary(max_size=64) | st.builds(value, st.binary(max_size=64)),
        ),
        max_size=4,
    )
)
def test_any_request(server: Running, inputs: list[tuple[str, str, list[int], bytes]]) -> None:
    """Promise: whatever shapes, types and bytes come together: a fault of the caller."""
    rows = [row(name, datatype, tuple(shape)) for name, datatype, shape, _ in inputs]
    request = service_pb2.ModelInferRequest(
        model_name=contract.ENTRY, inputs=rows, raw_input_contents=[data for *_, data in inputs]
    )
    assert code(server, request) in CALLERS_FAULT


def test_data_beyond_the_inputs_is_ignored(server: Running) -> None:
    """Promise: data that belongs to no input changes nothing."""
    assert code(server, message(raw=(GOOD, value(b"abc")))) is grpc.StatusCode.OK
    assert code(server, message(raw=(value(b"abc"), GOOD))) in CALLERS_FAULT


def test_bytes_that_are_no_message(server: Running) -> None:
    """Promise: what protobuf cannot read is refused; with flipped bits there is an answer to what is left of it."""
    choose = random.Random(7)
    good = message().SerializeToString()
    unreadable = {*CALLERS_FAULT, grpc.StatusCode.INTERNAL}  # the last is what gRPC itself says of such bytes
    for data in (b"", b"\xff" * 1000, good[:-1], good[: len(good) // 2], b"\x0a\xff\xff\xff\xff\x0f" + b"x" * 100):
        assert call(server, data) in unreadable
    for _ in range(100):
        damaged = bytearray(good)
        for _ in range(choose.randint(1, 8)):
            damaged[choose.randrange(100)] ^= 1 << choose.randrange(8)
        assert call(server, bytes(damaged)) in {*unreadable, grpc.StatusCode.OK}
    for method in ("Nothing", "", "../ModelInfer", "ModelInfer" * 1000):
        assert call(server, good, method) in CALLERS_FAULT


def test_a_stream_of_wrong_requests(server: Running) -> None:
    """Promise: on a stream each wrong request gets its error, and the good one after them its decision."""
    wrong = [message(raw=(b"",)), message(row(shape=(3, 1))), message(raw=(value(b"abc"),))]
    with grpc.insecure_channel(server.grpc.split("//")[1]) as channel:
        stream: Callable[..., Iterator[Any]] = channel.stream_stream(
            SERVICE + "ModelStreamInfer",
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        answers = list(stream(iter([*wrong, message()]), timeout=60))
    failed = [answer for answer in answers if answer.error_message]
    assert (len(answers), len(failed)) == (4, 3)


@pytest.mark.parametrize(
    "data",
    [
        bytes(1000),
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 10_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0" * 10_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),
    ],
    ids=["zeros", "HTTP/1.1", "garbage after the preface", "10000 settings", "a ping and silence"],
)
def test_bytes_that_are_no_http2(server: Running, data: bytes) -> None:
    """Promise: what is no HTTP/2 harms nobody else."""
    raw(server.grpc, data, timeout_s=3, end=True)
