"""Structured logs: one JSON object a line, from what Triton, the launcher and the entry model say.

A line never holds image bytes, recognised text, captions, tokens or messages that quote a caller.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, TextIO

from moderation.errors import triton_code
from moderation.telemetry.record import outcome

REQUEST_LOG: Final = "MODERATION_REQUEST_LOG"
"""Environment variable that tells the entry model which items to log; the launcher sets it."""
REQUEST_LOGS: Final = ("off", "failures", "all")
ID_LENGTH: Final = 128
"""Characters of a request id that are logged; callers choose them."""
RULES: Final = 10
"""Rules of one decision that are logged, the strongest first."""

_LEVELS: Final = {"I": "info", "W": "warning", "E": "error", "F": "fatal", "V": "debug"}
_LINE: Final = re.compile(
    r"(?:(?P<a>[IWEFV])\d{4} [\d:.]+|\d{4}-\d\d-\d\dT[\d:.]+Z (?P<b>[IWEFV])) \d+ "
    r"(?P<source>[^\s\]]+:\d+)\] (?P<text>.*)"
)
"""Both of Triton's formats (core src/logging.cc): `I0131 12:00:00.000000 17 server.cc:1] "text"`, and ISO 8601."""


def from_triton(line: str) -> dict[str, Any]:
    """A line of tritonserver's log as a record: `level`, `source`, `message`; `time` is now.

    A message that is a JSON object with an `event` becomes the record's fields. A line in no known form, as libraries
    print them, is a message of level `info`.
    """
    found = _LINE.fullmatch(line.rstrip("\r\n"))
    if found is None:
        return {**_head("info"), "message": line.rstrip()}
    head = {**_head(_LEVELS[found["a"] or found["b"]]), "source": found["source"]}
    text: object = found["text"]
    try:
        text = json.loads(found["text"])  # Triton quotes and escapes what it logs
        event = json.loads(text) if isinstance(text, str) and text.startswith('{"event"') else None
    except ValueError:
        event = None
    return {**head, **event} if isinstance(event, dict) else {**head, "message": text}


def dump(record: Mapping[str, Any]) -> str:
    """A record as it is written."""
    return json.dumps(record, ensure_ascii=True) + "\n"


def _head(level: str) -> dict[str, Any]:
    return {"time": datetime.now(timezone.utc).isoformat(timespec="microseconds"), "level": level}


class JsonLines(io.TextIOBase):
    """A text stream for what the launcher itself prints: each line becomes a record.

    Args:
        target: where the records go.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._rest = ""

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, text: str) -> int:
        """Keep what is no whole line yet."""
        *whole, self._rest = (self._rest + text).split("\n")
        for part in whole:
            if part.strip():
                self._target.write(dump({**_head("info"), "source": "launcher", "message": part.strip()}))
        return len(text)

    def flush(self) -> None:
        """Hand on what is written."""
        self._target.flush()


class RequestLog:
    """What the entry model logs of each item.

    Args:
        mode: one of `REQUEST_LOGS`. `failures` are items without a decision, and decisions without a signal.
        write: takes one message.
    """

    def __init__(self, mode: str, write: Callable[[str], None]) -> None:
        self._mode = mode
        self._write = write

    @classmethod
    def from_environment(cls, write: Callable[[str], None]) -> RequestLog:
        """As the launcher set it; `failures` where nothing is set."""
        return cls(os.environ.get(REQUEST_LOG, "failures"), write)

    def items(self, request_id: str, trace_id: str, outcomes: Iterable[Mapping[str, Any] | Exception]) -> None:
        """Log the items of one request, each with its RESULT or its error."""
        if self._mode == "off":
            return
        for index, found in enumerate(outcomes):
            failed = isinstance(found, Exception) or bool(found["unknown"])
            if failed or self._mode == "all":
                fields = _error(found) if isinstance(found, Exception) else _decision(found)
                identity = {"request_id": request_id[:ID_LENGTH], **({"trace_id": trace_id} if trace_id else {})}
                event = fields.pop("event")
                self._write(json.dumps({"event": event, **identity, "item": index, **fields}))


def _decision(result: Mapping[str, Any]) -> dict[str, Any]:
    reasons, image = result["reasons"], result["image"]
    return {
        "event": "decision",
        "decision": result["decision"],
        "severity": result["severity"],
        "policy": result["versions"]["policy"],
        "rules": list(dict.fromkeys(reason["rule"] for reason in reasons))[:RULES],
        "unknown": result["unknown"],
        "format": image["format"],
        "bytes": image["bytes"],
        "ms": result["timings_ms"].get("total"),
    }


def _error(error: Exception) -> dict[str, Any]:
    reason = getattr(error, "reason", type(error).__name__)  # a short slug where the error has one
    return {"event": outcome(error), "code": triton_code(error), "reason": reason}
