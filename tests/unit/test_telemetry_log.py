"""Structured logs: what Triton says, what the launcher prints, what the entry model tells of an item."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import InputError, LaunchError, StageError
from moderation.launcher.telemetry import Telemetry
from moderation.telemetry.log import ID_LENGTH, JsonLines, RequestLog, dump, from_triton
from unit.test_telemetry import RESULT

LINES = {
    'I1124 23:32:39.123456 16752 server.cc:345] "hello \\"you\\""': ("info", "server.cc:345", 'hello "you"'),
    '2026-11-24T23:34:51Z E 23994 model.py:11] "no"': ("error", "model.py:11", "no"),
    "W1124 23:32:39.123456 16752 metrics.cc:1] old style": ("warning", "metrics.cc:1", "old style"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_triton_becomes_fields(line: str) -> None:
    """Promise: level, source and message of both of Triton's formats, quoted or not."""
    record = from_triton(line + "\n")
    assert (record["level"], record["source"], record["message"]) == LINES[line]
    assert record["time"].endswith("+00:00")


def test_an_event_of_the_entry_model_becomes_the_record() -> None:
    """Promise: fields of an item are fields of the line, not JSON inside a string."""
    text = json.dumps(json.dumps({"event": "decision", "request_id": "a\u00e9"}))
    record = from_triton(f"I1124 23:32:39.123456 16752 model.py:9] {text}")
    assert (record["event"], record["request_id"], record["level"]) == ("decision", "a\u00e9", "info")
    assert "message" not in record


@given(st.text())
def test_whatever_is_logged_one_line_of_json_comes_out(text: str) -> None:
    """Promise: no message breaks the format, and none is lost."""
    written = dump(from_triton(text))
    assert written.count("\n") == 1
    assert "message" in json.loads(written)


def test_what_the_launcher_prints_is_json_too() -> None:
    """Promise: standard error has one format; a line that comes in parts is one record."""
    target = io.StringIO()
    stream = JsonLines(target)
    stream.write("serving; ")
    stream.write("Ctrl-C stops\n\n")
    (record,) = map(json.loads, target.getvalue().splitlines())
    assert (record["source"], record["message"]) == ("launcher", "serving; Ctrl-C stops")


def logged(mode: str, *outcomes: Any, request_id: str = "r", trace: str = "") -> list[dict[str, Any]]:
    lines: list[str] = []
    RequestLog(mode, lines.append).items(request_id, trace, outcomes)
    return [json.loads(line) for line in lines]


FULL = {
    **RESULT,
    "severity": 6,
    "text": [{"text": "SECRET WORDS"}],
    "codes": [{"text": "SECRET CODE"}],
    "matches": [{"matched": "SECRET MATCH"}],
    "caption": "SECRET CAPTION",
}


def test_a_decision_is_logged_without_what_was_in_the_picture() -> None:
    """Promise: request and trace id, decision and rules; never recognised text."""
    (record,) = logged("all", FULL, trace="0af7651916cd43dd8448eb211c80319c")
    assert record["event"] == "decision"
    assert (record["request_id"], record["trace_id"]) == ("r", "0af7651916cd43dd8448eb211c80319c")
    assert (record["decision"], record["rules"]) == ("block", ["weapons", "threats"])
    assert "SECRET" not in json.dumps(record)


def test_an_error_is_logged_by_code_and_reason_only() -> None:
    """Promise: a message may quote what the caller sent, so it stays out of the log."""
    refused, failed = logged("failures", InputError("profile `SECRET`", reason="unknown_profile"), StageError("SECRET"))
    assert (refused["event"], refused["code"], refused["reason"]) == ("refused", "INVALID_ARG", "unknown_profile")
    assert (failed["event"], failed["code"], failed["reason"]) == ("failed", "INTERNAL", "StageError")
    assert (refused["item"], failed["item"]) == (0, 1)
    assert "SECRET" not in json.dumps([refused, failed])


def test_only_failures_are_logged_unless_all_are_wanted() -> None:
    """Promise: a decision that misses a signal is a failure; `off` logs nothing."""
    healthy = {**FULL, "unknown": []}
    assert not logged("failures", healthy)
    assert len(logged("failures", FULL)) == 1
    assert len(logged("all", healthy, FULL)) == 2
    assert not logged("off", FULL, StageError("no"))


def test_a_request_id_is_bounded() -> None:
    """Promise: callers choose it, so they cannot fill the log with it."""
    assert len(logged("all", FULL, request_id="x" * 5000)[0]["request_id"]) == ID_LENGTH


def test_all_wrong_settings_are_named_at_once() -> None:
    """Promise: setting, value and what is allowed, in one message."""
    with pytest.raises(LaunchError) as error:
        Telemetry(trace_endpoint="collector:4318", trace_rate=0, log_format="xml", request_log="some").check()
    for part in (
        "--trace-endpoint is `collector:4318`",
        "--trace-rate is 0",
        "--log-format is `xml`; allowed: text, json",
        "--request-log is `some`; allowed: off, failures, all",
    ):
        assert part in error.value.message
    Telemetry(trace_endpoint="https://collector.example:4318/v1/traces").check()


def test_traces_are_off_without_an_endpoint() -> None:
    """Promise: nothing is sent anywhere unless somebody said where; metrics can have an address of their own."""
    assert not [flag for flag in Telemetry().flags("127.0.0.1") if "trace" in flag]
    flags = Telemetry(metrics_address="::1", trace_endpoint="http://c:4318/v1/traces", trace_rate=7).flags("127.0.0.1")
    assert "--metrics-address=::1" in flags
    assert "--trace-config=rate=7" in flags
    assert "--trace-config=opentelemetry,url=http://c:4318/v1/traces" in flags
