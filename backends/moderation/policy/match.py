"""What each kind of rule finds in a picture's signals."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from moderation.hashes.sha256 import ExactMatch
from moderation.policy import signals as facts
from moderation.policy.expression.values import ERROR, Partial, Scope, Unknown
from moderation.policy.look import Look
from moderation.policy.rule_schema import DEFAULT_SEVERITY, FARTHEST
from moderation.policy.rules import ActingRule, FindingsRule, LinksRule, Rule, TextRule
from moderation.policy.search import wanted
from moderation.policy.tables import Tables
from moderation.policy.verdict import Reason
from moderation.text.entries import Hit
from moderation.text.findings import Finding

if TYPE_CHECKING:
    from moderation.hashes.pdq import PdqMatch

SHOWN = 200
"""Characters of a text that evidence shows."""


def matches(tables: Tables, look: Look) -> Iterator[Reason]:
    """Reasons of all rules but expressions."""
    yield from _labels(tables, look)
    yield from _content_type(tables, look)
    yield from _enough(tables, list(_text(tables, look)))
    yield from _hashes(tables, look)


def _enough(tables: Tables, reasons: list[Reason]) -> Iterator[Reason]:
    """Without those of rules that found fewer different things than they ask for."""
    found: dict[str, set[str]] = {}
    for one in reasons:
        found.setdefault(one["rule"], set()).add(one["evidence"]["matched"])
    for one in reasons:
        rule = tables.by_id[one["rule"]]
        if not isinstance(rule, FindingsRule) or len(found[rule.id]) >= rule.min_count:
            yield one


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
    """Terms and details in recognised text (a page at a time), caption and codes."""
    if not tables.text and not tables.findings:
        return
    for page in look.pages:
        read: dict[int, tuple[Text, list[Hit], list[list[Finding]]]] = {}
        for minimum in tables.minimums:
            lines = [line for line in page if line.score >= minimum]
            if len(lines) not in read:  # otherwise they are the same lines as for a lower minimum
                read[len(lines)] = _read(tables, Text([line.text for line in lines], lines))
            yield from _found(tables, *read[len(lines)], "ocr_text", minimum)
    if look.signals.caption:
        yield from _found(tables, *_read(tables, Text([look.signals.caption], [None])), "caption", None)
    for code in look.signals.codes or ():
        yield from _found(tables, *_read(tables, Text([code.text], [code])), "code", None)


@dataclass(frozen=True)
class Text:
    """Pieces of one text, and where each stands in the picture."""

    pieces: list[str]
    places: Sequence[facts.Line | facts.Code | None]


def _read(tables: Tables, text: Text) -> tuple[Text, list[Hit], list[list[Finding]]]:
    whole = "\n".join(text.pieces)
    return text, tables.search.search(text.pieces), [group.find(whole) for group in tables.findings] if whole else []


def _found(
    tables: Tables, text: Text, hits: list[Hit], details: list[list[Finding]], field: str, minimum: float | None
) -> Iterator[Reason]:
    """Reasons of the rules that read this field from this certainty of recognition on."""

    def reads(rule: TextRule | FindingsRule | LinksRule) -> bool:
        return field in rule.fields and minimum in (None, rule.min_ocr_score)

    for hit in hits:
        for rule in tables.text.get(hit.list_name, ()):
            if reads(rule):
                name = tables.search.names[hit.list_name]
                yield _acts(rule, field, _text_evidence(name, hit.term, field, text.places[hit.piece]))
    starts = list(accumulate((len(piece) + 1 for piece in text.pieces), initial=0))
    for group, findings in zip(tables.findings, details, strict=False):  # an empty text has no details
        for found in findings:
            place = text.places[bisect_right(starts, found.start) - 1]
            shown = found.value if found.kind == "url" else found.masked
            for detailed in group.rules:
                for name in wanted(detailed, found) if reads(detailed) else ():
                    yield _acts(detailed, field, _text_evidence(name, shown, field, place))


def _text_evidence(name: str, matched: str, field: str, place: facts.Line | facts.Code | None) -> dict[str, Any]:
    return {
        "list": name,
        "matched": matched[:SHOWN].encode("utf-8", "replace").decode(),
        "field": field,
        "quad": None if place is None else place.quad,
        "frame": None if place is None else place.frame,
    }


def _hashes(tables: Tables, look: Look) -> Iterator[Reason]:
    """Known files and pictures; each list is searched once, however many rules use it."""
    image = look.signals.image
    digest, pdq, quality = image.get("sha256"), image.get("pdq"), image.get("pdq_quality")
    for rule in tables.sha256.get(str(digest), ()):
        yield _acts(rule, "hash", {"list": rule.id, "matched": digest, "field": "image.sha256"})
    exact: dict[int, list[ExactMatch]] = {}
    alike: dict[int, list[PdqMatch]] = {}
    for rule in tables.hashes:
        for name, files in rule.exact if digest is not None else ():
            if id(files) not in exact:
                exact[id(files)] = files.search(str(digest))
            for same in exact[id(files)]:
                origin = {"id": same.id, "source": same.source, "note": same.note}
                yield _acts(rule, "hash", {"list": name, "matched": digest, "field": "image.sha256", **origin})
        if pdq is None or not isinstance(quality, int) or quality < rule.min_quality:
            continue
        for name, pictures in rule.alike:
            if id(pictures) not in alike:
                alike[id(pictures)] = pictures.search(str(pdq), FARTHEST)
            for near in alike[id(pictures)]:
                if near.distance <= rule.max_distance:
                    origin = {"id": near.id, "source": near.source, "note": near.note}
                    evidence = {"list": name, "matched": near.id, "field": "image.pdq", **origin}
                    yield _acts(rule, "hash", {**evidence, "distance": near.distance})


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
