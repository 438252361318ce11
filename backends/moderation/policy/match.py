"""What each kind of rule finds in a picture's signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from moderation.policy import signals as facts
from moderation.policy.expression.values import ERROR, Partial, Scope, Unknown
from moderation.policy.look import Look
from moderation.policy.rule_schema import DEFAULT_SEVERITY
from moderation.policy.rules import ActingRule, Rule, TextRule
from moderation.policy.tables import Tables
from moderation.policy.verdict import Reason

SHOWN = 200
"""Characters of a text that evidence shows."""


def matches(tables: Tables, look: Look) -> Iterator[Reason]:
    """Reasons of all rules but expressions."""
    yield from _labels(tables, look)
    yield from _content_type(tables, look)
    yield from _text(tables, look)
    yield from _hashes(tables, look)


def expressions(tables: Tables, scope: Scope) -> Iterator[Reason]:
    """Reasons of expressions: those that hold, and those that cannot be judged and say what that means."""
    for rule in tables.expressions:
        found = rule.condition.holds(scope)
        if found is True:
            values = {text: _shown(run(scope)) for text, run in rule.condition.values}
            evidence = {"expression": rule.condition.source, "values": values}
            yield _acts(rule, rule.condition.triggered_by, evidence)
        elif isinstance(found, Unknown):
            # an expression that failed (a division by zero) is nobody's missing signal: a person looks, at the least
            meaning = "review" if ERROR in found.causes and rule.on_unknown == "ignore" else rule.on_unknown
            if meaning != "ignore" and rule.action != "allow":
                yield from unsure(rule, meaning, found.causes)


def unsure(rule: Rule, meaning: str, causes: frozenset[str]) -> Iterator[Reason]:
    """Reasons of a rule that cannot be judged, one for each cause."""
    for cause in sorted(causes):
        evidence = {"stage": cause, "cause": facts.MISSING}
        yield reason(rule.id, meaning, DEFAULT_SEVERITY[meaning], "unknown", rule.message, evidence)


def reason(rule: str, action: str, severity: int, triggered_by: str, message: str, evidence: dict[str, Any]) -> Reason:
    """A reason that counts."""
    return {
        "rule": rule,
        "action": action,
        "severity": severity,
        "triggered_by": triggered_by,
        "message": message,
        "evidence": evidence,
    }


def _acts(rule: ActingRule, triggered_by: str, evidence: dict[str, Any]) -> Reason:
    return reason(rule.id, rule.action, rule.severity, triggered_by, rule.message, evidence)


def _labels(tables: Tables, look: Look) -> Iterator[Reason]:
    """Strongest limit that each finding reaches; the caller keeps the best finding of each label."""
    for label in look.signals.labels:
        for rule, limits in tables.label_limits(label.name):
            for limit in limits:
                if label.score >= limit.score:
                    evidence = _pixel_evidence(label, limit.score)
                    yield reason(rule.id, limit.action, limit.severity, "pixels", rule.message, evidence)
                    break


def _content_type(tables: Tables, look: Look) -> Iterator[Reason]:
    kind = look.signals.content_type
    if kind is None:
        return
    for rule, limit in tables.types.get(kind.name, ()):
        if kind.score >= limit.score:
            evidence = _pixel_evidence(kind, limit.score)
            yield reason(rule.id, limit.action, limit.severity, "pixels", rule.message, evidence)


def _text(tables: Tables, look: Look) -> Iterator[Reason]:
    if not tables.text:
        return
    for page in look.pages:
        found: dict[int, list[tuple[str, str, int]]] = {}
        for minimum in tables.minimums:
            lines = [line for line in page if line.score >= minimum]
            if len(lines) not in found:  # the same lines as for a lower minimum
                found[len(lines)] = tables.search.search([line.text for line in lines])
            for source, term, piece in found[len(lines)]:
                for rule in _readers(tables, source, "ocr_text"):
                    if rule.min_ocr_score == minimum:
                        yield _term(tables, rule, source, term, "ocr_text", lines[piece])
    if look.signals.caption:
        for source, term, _ in tables.search.search([look.signals.caption]):
            for rule in _readers(tables, source, "caption"):
                yield _term(tables, rule, source, term, "caption", None)
    for code in look.signals.codes or ():
        for source, term, _ in tables.search.search([code.text]):
            for rule in _readers(tables, source, "code"):
                yield _term(tables, rule, source, term, "code", code)


def _readers(tables: Tables, source: str, field: str) -> Sequence[TextRule]:
    return [rule for rule in tables.text.get(source, ()) if field in rule.fields]


def _term(
    tables: Tables, rule: TextRule, source: str, term: str, field: str, place: facts.Line | facts.Code | None
) -> Reason:
    evidence = {
        "list": tables.search.names[source],
        "matched": term,
        "field": field,
        "quad": None if place is None else place.quad,
        "frame": None if place is None else place.frame,
    }
    return _acts(rule, field, evidence)


def _hashes(tables: Tables, look: Look) -> Iterator[Reason]:
    digest = look.signals.image.get("sha256")
    for rule, owner in tables.sha256.get(str(digest), ()):
        yield _acts(rule, "hash", {"list": owner, "matched": digest, "field": "image.sha256"})


def _pixel_evidence(label: facts.Label, threshold: float) -> dict[str, Any]:
    return {
        "label": label.name,
        "score": label.score,
        "threshold": threshold,
        "box": label.box,
        "frame": label.frame,
        "source": label.source,
    }


def _shown(value: Any) -> Any:
    """A signal as evidence: text cut short and always valid UTF-8, lists as their length, null for unknown."""
    if isinstance(value, Unknown):
        return None
    if isinstance(value, Partial):
        return len(value.items)
    if isinstance(value, list | dict):
        return len(value)
    return value[:SHOWN].encode("utf-8", "replace").decode() if isinstance(value, str) else value
