"""The shape of a decision, as the JSON of VERDICT."""

from __future__ import annotations

from typing import Any, TypedDict


class Reason(TypedDict):
    """One rule that matched one thing.

    Evidence of `pixels` is label, score, threshold, box, frame, source; of `ocr_text` and `caption` list, matched (the
    listed term), field, quad, frame; of `hash` list, matched, field; of `unknown` stage, cause.
    """

    rule: str
    action: str
    severity: int
    triggered_by: str
    message: str
    evidence: dict[str, Any]


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
    """A decision: the strongest action of all reasons, and their highest severity."""

    decision: str
    severity: int
    reasons: list[Reason]
    matches: list[Match]
    policy: Release
