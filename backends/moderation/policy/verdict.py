"""The shape of a decision, as the JSON of VERDICT."""

from __future__ import annotations

from typing import Any, Final, TypedDict

TRIGGERS: Final = (
    "pixels",
    "ocr_text",
    "caption",
    "code",
    "hash",
    "image",
    "subject",
    "combination",
    "unknown",
    "default",
)
"""What can trigger a reason; `combination` is an expression over several of the others."""


class _Reason(TypedDict):
    rule: str
    action: str
    severity: int
    triggered_by: str
    message: str
    evidence: dict[str, Any]


class Reason(_Reason, total=False):
    """One rule that matched one thing.

    Evidence of `pixels` is label, score, threshold, box, frame, source; of `ocr_text`, `caption` and `code` list,
    matched (the listed term), field, quad, frame; of `hash` list, matched, field; of an expression its text and values
    (the signals that it read); of `unknown` stage, cause.

    A reason with `overridden_by` is reported and does not count: the allow-rule of that id matched, too.
    """

    overridden_by: str


class Match(TypedDict):
    """An entry of a list that was found: a term (quad and frame in recognised text) or a digest."""

    rule: str
    list: str
    matched: str
    field: str
    quad: list[list[float]] | None
    frame: int | None


class Release(TypedDict):
    """Which policy decided."""

    version: str
    profile: str
    sha256: str


class Verdict(TypedDict):
    """A decision: the strongest action of all reasons that count, and their highest severity."""

    decision: str
    severity: int
    reasons: list[Reason]
    matches: list[Match]
    policy: Release
