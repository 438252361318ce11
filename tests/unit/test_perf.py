"""Loads, addresses and what perf_analyzer says, as `moderation bench` and `moderation tune` read them."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.client import Address
from moderation.errors import ConfigError
from moderation.perf.analyzer import Load, Measurement, fault, median_of, parse, why
from moderation.perf.inputs import write_input_data, write_tensor_data
from moderation.perf.loads import parse_concurrency, parse_rates
from moderation.perf.target import Target

CSV = """Request Rate,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,Server \
Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
6,1.59333,31,18070,242596,122,3290865,406,4,3988335,5141882,5166815,5232065
"""
REFUSED = "Thread [0] had error: [request id: 1] the deadline passed before x\n\nThread [1] had error: no"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "perf.csv"
    path.write_text(CSV)
    return path


def test_a_report_becomes_milliseconds(report: Path) -> None:
    """Promise: microseconds of perf_analyzer are milliseconds here, and waiting is told from work."""
    found = parse(report, Load("concurrency", 6), "", 9)
    assert found.rate == pytest.approx(1.593, abs=1e-3)
    assert found.latency_ms == {"p50": 3988.335, "p90": 5141.882, "p95": 5166.815, "p99": 5232.065}
    assert found.server_ms == {"queue": pytest.approx(242.596), "compute": pytest.approx(3291.393)}
    assert found.notes == ()


def test_a_run_that_does_not_hold_says_so(report: Path) -> None:
    """Promise: a refusal, a rate beyond capacity and late requests never pass for a good measurement."""
    (refused,) = parse(report, Load("poisson", 6), REFUSED, 9).notes
    assert "refused" in refused
    assert "the deadline passed before x" in refused
    (beyond,) = parse(report, Load("poisson", 6), "", 9).notes
    assert "only 1.6 of 6.0" in beyond
    assert parse(report, Load("poisson", 2), "", 9).notes == ()  # 14 of 18: arrivals at random
    late = "[WARNING] Perf Analyzer was not able to keep up with the desired request rate. 91.30% of the requests were "
    assert "91.30%" in parse(report, Load("poisson", 1.6), f"{late}delayed.", 9).notes[0]


def test_the_reason_is_the_servers_or_perf_analyzers_own() -> None:
    """Promise: an error message quotes who knows."""
    assert fault("all is well") is None
    assert why("Perf Analyzer v2\nfailed to connect to 127.0.0.1:1\nbye") == "failed to connect to 127.0.0.1:1"
    assert "nothing" in why("")


def test_the_middle_run_is_shown_with_everybodys_notes() -> None:
    """Promise: the table neither picks the best run nor hides a bad one's note."""
    runs = [
        Measurement(Load("concurrency", 1), rate, {}, {}, note) for rate, note in ((3, ()), (1, ("late",)), (2, ()))
    ]
    assert median_of(runs).rate == 2
    assert median_of(runs).notes == ("late",)
    assert median_of(runs[:2]).rate == 1  # of two the slower one


def test_loads_are_read_as_people_write_them() -> None:
    """Promise: numbers, and shares of what the server did before."""
    assert [w.at(0) for w in parse_concurrency("1, 4")] == [Load("concurrency", 1), Load("concurrency", 4)]
    assert [w.at(20) for w in parse_rates("2.5,80%", "poisson")] == [Load("poisson", 2.5), Load("poisson", 16)]
    assert parse_rates(" ", "poisson") == []


@pytest.mark.parametrize("text", ["0", "x", "1.5", "-1", "2000"])
def test_a_wrong_concurrency_is_named(text: str) -> None:
    """Promise: the value and the range are in the message."""
    with pytest.raises(ConfigError, match=f"`{text}`"):
        parse_concurrency(text)


@pytest.mark.parametrize("text", ["0", "fast", "-3", "0%", "nan", "inf"])
def test_a_wrong_rate_is_named(text: str) -> None:
    """Promise: nothing that perf_analyzer would take for another rate gets through."""
    with pytest.raises(ConfigError, match="above 0"):
        parse_rates(text, "constant")


def test_a_share_of_nothing_is_refused() -> None:
    """Promise: 80 % of an unknown capacity is no load."""
    with pytest.raises(ConfigError, match="--concurrency"):
        parse_rates("80%", "poisson")[0].at(0)


def test_targets_become_options() -> None:
    """Promise: protocol, TLS, path and headers reach perf_analyzer."""
    plain = Target(Address.parse("grpc://h:9")).arguments()
    assert plain == ["-i", "grpc", "-u", "h:9"]
    assert "--ssl-grpc-use-ssl" in Target(Address.parse("grpcs://h")).arguments()
    assert Target(Address.parse("https://h/a/"), ("k: v",)).arguments() == [
        "-i",
        "http",
        "-u",
        "https://h:443/a",
        "-H",
        "k: v",
    ]


@given(data=st.binary(max_size=100), caption=st.text(max_size=20))
def test_bytes_carry_their_length(tmp_path_factory: pytest.TempPathFactory, data: bytes, caption: str) -> None:
    """Promise: perf_analyzer reads a BYTES element as a length and so many bytes (server issue 4674)."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.jpg").write_bytes(data)
    write_input_data([folder / "a.jpg"], folder / "out.json", {"TEXT": caption})
    (row,) = json.loads((folder / "out.json").read_text())["data"]
    for name, value in (("IMAGE", data), ("TEXT", caption.encode())):
        raw = base64.b64decode(row[name]["b64"])
        assert raw == struct.pack("<I", len(value)) + value
        assert row[name]["shape"] == [1]


def test_tensors_keep_their_shape(tmp_path: Path) -> None:
    """Promise: pixels reach a network as they are."""
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    write_tensor_data([{"PIXELS": pixels}], tmp_path / "out.json")
    (row,) = json.loads((tmp_path / "out.json").read_text())["data"]
    assert row["PIXELS"]["shape"] == [2, 4, 3]
    assert base64.b64decode(row["PIXELS"]["content"]["b64"]) == pixels.tobytes()
