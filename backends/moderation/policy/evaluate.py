"""Signals to a verdict: pure, deterministic, and it never fails on anything but malformed signals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from moderation import contract
from moderation.errors import InputError
from moderation.policy import signals as facts
from moderation.policy.rules import (
    DEFAULT_PROFILE,
    UNKNOWN_RULE,
    ContentTypeRule,
    HashRule,
    LabelRule,
    Policy,
    Profile,
    TextRule,
    Unknown,
    strength,
)
from moderation.policy.verdict import Match, Reason, Verdict

REVIEW_UNKNOWN = Unknown("review", 2)
"""Meaning of an unknown signal where a profile says nothing, and of a score that is not a number at the least."""


def evaluate(policy: Policy, signals: Mapping[str, Any]) -> Verdict:
    """Decide.

    Args:
        policy: from `load.load`.
        signals: the decoded JSON described in `moderation.policy.signals`.

    Returns:
        The verdict: every rule that matched, strongest first, then by rule id. Without a reason it is `allow`.

    Raises:
        InputError: reason `bad_signals` or `unknown_profile`.
    """
    found = facts.parse(signals)
    profile = _profile(policy, found.profile)
    _demand_digest(profile, found)
    reasons: dict[str, Reason] = {}
    for reason in (*_matches(profile, found), *_unknowns(profile, found)):
        identity = json.dumps([reason["rule"], reason["triggered_by"], _subject(reason["evidence"])])
        known = reasons.get(identity)
        if known is None or _order(reason) < _order(known):
            reasons[identity] = reason
    ordered = sorted(reasons.values(), key=_order)
    return {
        "decision": max((reason["action"] for reason in ordered), key=strength, default=contract.DECISIONS[0]),
        "severity": max((reason["severity"] for reason in ordered), default=0),
        "reasons": ordered,
        "matches": [_match(reason) for reason in ordered if "matched" in reason["evidence"]],
        "policy": {"version": policy.version, "profile": profile.name, "sha256": policy.sha256},
    }


def _profile(policy: Policy, name: str | None) -> Profile:
    if name is None:
        return policy.profiles[DEFAULT_PROFILE]
    if name in policy.profiles:
        return policy.profiles[name]
    allowed = ", ".join(sorted(policy.profiles))
    shown = name[:64].encode("ascii", "backslashreplace").decode()
    raise InputError(
        f"policy profile `{shown}` does not exist; choose one of: {allowed}",
        reason="unknown_profile",
        limit=allowed,
        value=shown,
    )


def _demand_digest(profile: Profile, found: facts.Signals) -> None:
    """A digest that a rule needs and the preprocessor did not give is an unknown signal too."""
    if found.sha256 is None and any(isinstance(rule, HashRule) for rule in profile.rules):
        found.lost(contract.PREPROCESSOR, facts.MISSING)


def _matches(profile: Profile, found: facts.Signals) -> Iterator[Reason]:
    for rule in profile.rules:
        if isinstance(rule, LabelRule):
            yield from _labels(rule, found)
        elif isinstance(rule, ContentTypeRule):
            yield from _content_type(rule, found)
        elif isinstance(rule, TextRule):
            yield from _text(rule, found)
        else:
            yield from _hashes(rule, found)


def _labels(rule: LabelRule, found: facts.Signals) -> Iterator[Reason]:
    """Strongest limit that each finding reaches; the caller keeps the best finding of each label."""
    for label in found.labels:
        for limit in rule.limits_for(label.name):
            if label.score >= limit.score:
                evidence = _pixel_evidence(label, limit.score)
                yield _reason(rule.id, limit.action, limit.severity, "pixels", rule.message, evidence)
                break


def _content_type(rule: ContentTypeRule, found: facts.Signals) -> Iterator[Reason]:
    kind = found.content_type
    limit = None if kind is None else rule.limits.get(kind.name)
    if kind is not None and limit is not None and kind.score >= limit.score:
        yield _reason(rule.id, limit.action, limit.severity, "pixels", rule.message, _pixel_evidence(kind, limit.score))


def _text(rule: TextRule, found: facts.Signals) -> Iterator[Reason]:
    if "ocr_text" in rule.fields:
        lines = sorted((line for line in found.text if line.score >= rule.min_ocr_score), key=lambda line: line.frame)
        for frame, group in groupby(lines, key=lambda line: line.frame):
            page = list(group)
            for hit in rule.terms.search([line.text for line in page]):
                evidence = _text_evidence(hit.list_name, hit.term, "ocr_text", page[hit.piece].quad, frame)
                yield _reason(rule.id, rule.action, rule.severity, "ocr_text", rule.message, evidence)
    if "caption" in rule.fields:
        for hit in rule.terms.search([found.caption]):
            evidence = _text_evidence(hit.list_name, hit.term, "caption", None, None)
            yield _reason(rule.id, rule.action, rule.severity, "caption", rule.message, evidence)


def _hashes(rule: HashRule, found: facts.Signals) -> Iterator[Reason]:
    if found.sha256 is not None and found.sha256 in rule.digests:
        evidence = {"list": rule.digests[found.sha256], "matched": found.sha256, "field": "image.sha256"}
        yield _reason(rule.id, rule.action, rule.severity, "hash", rule.message, evidence)


def _unknowns(profile: Profile, found: facts.Signals) -> Iterator[Reason]:
    for stage, causes in found.unknown.items():
        for cause in causes:
            meaning = profile.unknown.get(stage, REVIEW_UNKNOWN)
            if cause == facts.NOT_A_SCORE and meaning.action == contract.DECISIONS[0]:
                meaning = REVIEW_UNKNOWN  # a stage may be absent by choice, but broken numbers never mean allow
            if meaning.action == contract.DECISIONS[0]:
                continue
            why = "it gave no signal" if cause == facts.MISSING else f"it gave {cause}"
            message = f"{stage} could not judge this image: {why}"
            evidence = {"stage": stage, "cause": cause}
            yield _reason(UNKNOWN_RULE, meaning.action, meaning.severity, "unknown", message, evidence)


def _pixel_evidence(label: facts.Label, threshold: float) -> dict[str, Any]:
    return {
        "label": label.name,
        "score": label.score,
        "threshold": threshold,
        "box": label.box,
        "frame": label.frame,
        "source": label.source,
    }


def _text_evidence(
    list_name: str, term: str, field: str, quad: list[list[float]] | None, frame: int | None
) -> dict[str, Any]:
    return {"list": list_name, "matched": term, "field": field, "quad": quad, "frame": frame}


def _reason(rule: str, action: str, severity: int, triggered_by: str, message: str, evidence: dict[str, Any]) -> Reason:
    return {
        "rule": rule,
        "action": action,
        "severity": severity,
        "triggered_by": triggered_by,
        "message": message,
        "evidence": evidence,
    }


def _match(reason: Reason) -> Match:
    evidence = reason["evidence"]
    return {
        "rule": reason["rule"],
        "list": evidence["list"],
        "matched": evidence["matched"],
        "field": evidence["field"],
        "quad": evidence.get("quad"),
        "frame": evidence.get("frame"),
    }


def _subject(evidence: Mapping[str, Any]) -> list[Any]:
    """What a reason is about; a rule reports each subject once, with its strongest evidence."""
    return [evidence.get(key) for key in ("label", "list", "matched", "stage")]


def _order(reason: Reason) -> tuple[Any, ...]:
    """Strongest action, highest severity, rule id, then the evidence, so that equal inputs give equal bytes."""
    evidence = reason["evidence"]
    return (
        -strength(reason["action"]),
        -reason["severity"],
        reason["rule"],
        reason["triggered_by"],
        -evidence.get("score", 0.0),
        evidence.get("frame") or 0,
        json.dumps(evidence, sort_keys=True),
    )
