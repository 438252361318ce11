"""Recorded decisions: back to the signals that they were made of, and through another policy.

A RESULT holds every signal but two, which stay with the caller: the caption and the attributes of the caller. A record
that adds members `caption` and `subject` to a RESULT is replayed with them; without them it is replayed as if the
caller had sent neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from moderation import contract
from moderation.errors import InputError
from moderation.policy.evaluate import evaluate
from moderation.policy.rules import Policy
from moderation.policy.verdict import Verdict

REFUSED: Final = "refused"
"""Instead of a decision: the policy refuses the record, because it has no such profile."""
_SHARED: Final = ("content_type", "text", "image", "unknown")


def is_result(document: Mapping[str, Any]) -> bool:
    """Whether a record is a RESULT, and not the signals themselves."""
    return "decision" in document and "reasons" in document


def to_signals(result: Mapping[str, Any]) -> dict[str, Any]:
    """The SIGNALS that a RESULT was decided on.

    Args:
        result: a RESULT with a decision, perhaps with `caption` and `subject` added.

    Returns:
        Signals for `evaluate`. Results from before codes were decoded have none: nothing was found then.

    Raises:
        InputError: reason `bad_record`: a member is missing, or it is the error object of an image that was refused.
    """
    if "error" in result:
        raise InputError("the record is of an image that was refused; it has no signals", reason="bad_record")
    lacking = [name for name in ("labels", *_SHARED, "versions") if name not in result]
    if lacking:
        raise InputError(f"the record lacks {', '.join(lacking)}; a RESULT is expected", reason="bad_record")
    policy = result["versions"].get("policy", "") if isinstance(result["versions"], dict) else ""
    unknown = result["unknown"] if isinstance(result["unknown"], list) else []
    return {
        "profile": str(policy).partition("@")[2] or None,
        "labels": _seen(result["labels"]),
        **{name: result[name] for name in _SHARED},
        "unknown": [name for name in unknown if name != contract.DECISION_LOGIC],
        "codes": result.get("codes", []),
        "caption": result.get("caption"),
        "subject": result.get("subject", {}),
    }


def _seen(labels: Any) -> Any:
    """Labels as the policy saw them: where two networks voted, with the outcome of the vote."""
    if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
        return labels  # `evaluate` says what is wrong with them
    return [
        {key: value for key, value in {**label, **(label.get("vote") or {})}.items() if key != "vote"}
        for label in labels
        if label.get("vote", {}) is not None
    ]


@dataclass(frozen=True)
class Record:
    """One recorded picture.

    Attributes:
        name: the record's `file` or `request_id`, else its line.
        line: in the file, from 1.
    """

    name: str
    line: int
    signals: dict[str, Any]


def documents(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one a line, with their lines from 1; without those of images that were refused.

    Raises:
        InputError: reason `bad_record`; the message names the line.
    """
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise InputError(f"line {number} is not a JSON object", reason="bad_record", value=number)
        if "error" not in document:
            yield number, document


def read(lines: Iterable[str]) -> Iterator[Record]:
    """Records of a file with one JSON document a line: RESULTs (as `moderation check --json` prints them) or signals.

    Images that were refused are left out: no policy sees them.

    Raises:
        InputError: reason `bad_record`; the message names the line.
    """
    for number, document in documents(lines):
        name = str(document.get("file") or document.get("request_id") or f"line {number}")
        try:
            signals = to_signals(document) if is_result(document) else document
        except InputError as error:
            raise InputError(f"line {number}: {error.message}", reason="bad_record", value=number) from None
        yield Record(name, number, signals)


@dataclass(frozen=True)
class Change:
    """A record that two policies decide differently."""

    record: Record
    before: str
    after: str
    severity_before: int
    severity_after: int
    came: tuple[str, ...]
    """Rules that count only under the new policy."""
    went: tuple[str, ...]
    """Rules that counted only under the old one."""


@dataclass(frozen=True)
class Comparison:
    """Outcome of a replay.

    Attributes:
        matrix: how many records went from one decision to another, also where nothing changed.
        changes: decisions or severities that are not the same.
    """

    matrix: Mapping[tuple[str, str], int]
    changes: tuple[Change, ...]

    @property
    def total(self) -> int:
        """Records that were replayed."""
        return sum(self.matrix.values())


def compare(old: Policy, new: Policy, records: Iterable[Record], profile: str | None = None) -> Comparison:
    """Decide about every record under both policies.

    Args:
        profile: decide under this one, whatever the records say.

    Raises:
        InputError: reason `bad_record`: signals that no policy can read; the message names the line.
    """
    matrix: dict[tuple[str, str], int] = {}
    changes: list[Change] = []
    for record in records:
        signals = record.signals if profile is None else {**record.signals, "profile": profile}
        before, after = _decide(old, signals, record), _decide(new, signals, record)
        decisions = _decision(before), _decision(after)
        matrix[decisions] = matrix.get(decisions, 0) + 1
        severities = _severity(before), _severity(after)
        if decisions[0] != decisions[1] or severities[0] != severities[1]:
            ids = _counting(before), _counting(after)
            came, went = tuple(sorted(ids[1] - ids[0])), tuple(sorted(ids[0] - ids[1]))
            changes.append(Change(record, *decisions, *severities, came, went))
    return Comparison(matrix, tuple(changes))


def _decide(policy: Policy, signals: Mapping[str, Any], record: Record) -> Verdict | None:
    try:
        return evaluate(policy, signals)
    except InputError as error:
        if error.reason == "unknown_profile":
            return None
        raise InputError(f"line {record.line}: {error.message}", reason="bad_record", value=record.line) from None


def _decision(verdict: Verdict | None) -> str:
    return REFUSED if verdict is None else verdict["decision"]


def _severity(verdict: Verdict | None) -> int:
    return 0 if verdict is None else verdict["severity"]


def _counting(verdict: Verdict | None) -> set[str]:
    reasons = [] if verdict is None else verdict["reasons"]
    return {reason["rule"] for reason in reasons if "overridden_by" not in reason}
