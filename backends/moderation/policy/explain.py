"""Why a picture got its decision: each rule of the profile, whether it matched, and how far it was from matching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from moderation.policy import signals as facts
from moderation.policy.evaluate import choose, evaluate, scope_of
from moderation.policy.expression.values import ERROR, Scope, Unknown
from moderation.policy.look import Look
from moderation.policy.rules import (
    ContentTypeRule,
    ExpressionRule,
    FindingsRule,
    HashRule,
    LabelRule,
    LinksRule,
    Policy,
    Rule,
    TextRule,
    strength,
)
from moderation.policy.verdict import Reason, Verdict

MATCHES: Final = "matches"
OVERRIDDEN: Final = "overridden"
NO_MATCH: Final = "no match"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Detail:
    """One thing that a rule looked at.

    Attributes:
        text: for people.
        short: how much was missing, in the unit of what was compared (a score, a number of bits); None where the rule
            matched, or nothing can be measured.
    """

    text: str
    short: float | None = None


@dataclass(frozen=True)
class RuleReport:
    """What became of one rule. `state` is `matches`, `overridden`, `no match` or `unknown`."""

    id: str
    kind: str
    state: str
    action: str
    details: tuple[Detail, ...]


@dataclass(frozen=True)
class Explanation:
    """A decision with every rule of its profile, those that matched first; `closest` is the nearest miss."""

    verdict: Verdict
    rules: tuple[RuleReport, ...]

    @property
    def closest(self) -> tuple[RuleReport, Detail] | None:
        """The rule that was nearest to matching, of those whose distance is a score."""
        misses = [(r, d) for r in self.rules if r.state == NO_MATCH for d in r.details if d.short is not None]
        return min(misses, key=lambda miss: (miss[1].short, miss[0].id), default=None)


def explain(policy: Policy, signals: Mapping[str, Any]) -> Explanation:
    """Decide, and say of every rule why it matched or not.

    Raises:
        InputError: as `evaluate`.
    """
    verdict = evaluate(policy, signals)
    found = facts.parse(signals)
    profile = choose(policy, found)
    look = Look(found, profile.tables.needs)
    by_rule: dict[str, list[Reason]] = {}
    for reason in verdict["reasons"]:
        by_rule.setdefault(reason["rule"], []).append(reason)
    others = [r for r in verdict["reasons"] if r["rule"] in profile.tables.by_id and r["triggered_by"] != "unknown"]
    plain = [r for r in others if not isinstance(profile.tables.by_id[r["rule"]], ExpressionRule)]
    scope = scope_of(profile, look, plain)
    reports = [_report(rule, by_rule.get(rule.id, []), look, scope) for rule in profile.rules]
    reports.sort(key=lambda r: ((MATCHES, OVERRIDDEN, UNKNOWN, NO_MATCH).index(r.state), -strength(r.action), r.id))
    return Explanation(verdict, tuple(reports))


def _report(rule: Rule, reasons: list[Reason], look: Look, scope: Scope) -> RuleReport:
    sure = [reason for reason in reasons if reason["triggered_by"] != "unknown"]
    action = max((r["action"] for r in reasons), key=strength, default=_strongest(rule))
    if sure:
        state = OVERRIDDEN if all("overridden_by" in reason for reason in sure) else MATCHES
        return RuleReport(rule.id, rule.kind, state, action, (*map(_matched, sure), *_more(rule, look, sure)))
    lost = _lost(rule, look, scope)
    details = _atoms(rule, scope) if isinstance(rule, ExpressionRule) else _misses(rule, look)
    if lost:
        missing = Detail(f"cannot be judged: no signal from {', '.join(sorted(lost))}{_meaning(rule, reasons)}")
        return RuleReport(rule.id, rule.kind, UNKNOWN, action, (missing, *details))
    return RuleReport(rule.id, rule.kind, NO_MATCH, action, details)


def _meaning(rule: Rule, reasons: list[Reason]) -> str:
    if reasons:
        return f"; on_unknown: {reasons[0]['action']}"
    return "; the profile's on_unknown says what this means" if rule.on_unknown == "ignore" else ""


def _strongest(rule: Rule) -> str:
    limits = _limits(rule)
    return max((limit.action for limit in limits), key=strength, default=getattr(rule, "action", "allow"))


def _limits(rule: Rule) -> list[Any]:
    if isinstance(rule, LabelRule):
        return [limit for limits in rule.limits.values() for limit in limits]
    return list(rule.limits.values()) if isinstance(rule, ContentTypeRule) else []


def _lost(rule: Rule, look: Look, scope: Scope) -> frozenset[str]:
    if not isinstance(rule, ExpressionRule):
        return look.lost_of(rule.needs)
    found = rule.condition.holds(scope)
    if not isinstance(found, Unknown):
        return frozenset()
    return frozenset("an error in the expression" if cause == ERROR else cause for cause in found.causes)


def _matched(reason: Reason) -> Detail:
    evidence = reason["evidence"]
    over = f"; overridden by {reason['overridden_by']}" if "overridden_by" in reason else ""
    if "label" in evidence:
        limit = f"{evidence['score']:.2f} of {evidence['threshold']:.2f} needed for {reason['action']}"
        return Detail(f"{evidence['label']} {limit}{over}")
    if "matched" in evidence:
        return Detail(f"{evidence['list']}: {evidence['matched']!r} in {evidence['field']}{over}")
    values = ", ".join(f"{name} = {_value(value)}" for name, value in evidence.get("values", {}).items())
    return Detail(f"{evidence.get('expression', '')} ({values}){over}")


def _value(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else repr(value)


def _more(rule: Rule, look: Look, sure: Iterable[Reason]) -> list[Detail]:
    """How far a rule that matched is from its stronger action."""
    done = max(strength(reason["action"]) for reason in sure)
    misses = _label_misses(rule, look, done) if isinstance(rule, LabelRule) else []
    return [Detail(miss.text) for miss in misses[:1]]


def _misses(rule: Rule, look: Look) -> tuple[Detail, ...]:
    """What a rule looked at that was not enough."""
    if isinstance(rule, LabelRule):
        found = _label_misses(rule, look, 0)[:3]
        return tuple(found) or (Detail("none of its labels was found"),)
    if isinstance(rule, ContentTypeRule):
        return (_type_miss(rule, look),)
    if isinstance(rule, TextRule):
        return (Detail(f"none of its terms in {', '.join(rule.fields)}"),)
    if isinstance(rule, FindingsRule):
        return (Detail(f"fewer than {rule.min_count} of {', '.join(sorted(rule.kinds))} in {', '.join(rule.fields)}"),)
    if isinstance(rule, LinksRule):
        return (Detail(f"no such link in {', '.join(rule.fields)}"),)
    return (_hash_miss(rule, look),) if isinstance(rule, HashRule) else ()


def _label_misses(rule: LabelRule, look: Look, done: int) -> list[Detail]:
    """Labels below their limits for actions stronger than what is done, nearest first."""
    found: dict[str, Detail] = {}
    for label in sorted(look.signals.labels, key=lambda label: -label.score):
        for limit in reversed(rule.limits_for(label.name)):
            if strength(limit.action) > done and label.score < limit.score and label.name not in found:
                short = round(limit.score - label.score, 4)
                text = (
                    f"{label.name} {label.score:.2f} of {limit.score:.2f} needed for {limit.action}: {short:.2f} short"
                )
                found[label.name] = Detail(text, short)
    return sorted(found.values(), key=lambda detail: (detail.short, detail.text))


def _type_miss(rule: ContentTypeRule, look: Look) -> Detail:
    kind = look.signals.content_type
    limit = None if kind is None else rule.limits.get(kind.name)
    if kind is None or limit is None:
        seen = "unknown" if kind is None else f"{kind.name} {kind.score:.2f}"
        return Detail(f"the picture is {seen}; asks for {', '.join(sorted(rule.limits))}")
    short = round(limit.score - kind.score, 4)
    return Detail(f"{kind.name} {kind.score:.2f} of {limit.score:.2f} needed: {short:.2f} short", short)


def _hash_miss(rule: HashRule, look: Look) -> Detail:
    image = look.signals.image
    exact = len(rule.digests) + sum(len(index) for _, index in rule.exact)
    seen = [f"the file is none of {exact} known ones"] if exact else []
    quality, nearest = image.get("pdq_quality"), None
    if rule.alike and isinstance(quality, int) and quality < rule.min_quality:
        seen.append(f"the picture's quality is {quality}; PDQ needs {rule.min_quality}")
    elif rule.alike and "pdq" in image:
        found = (near for _, index in rule.alike for near in index.search(str(image["pdq"]), 256, 1))
        nearest = min(near.distance for near in found)
        seen.append(f"the nearest known picture differs in {nearest} bits of {rule.max_distance} allowed")
    return Detail("; ".join(seen), None if nearest is None else float(nearest - rule.max_distance))


def _atoms(rule: ExpressionRule, scope: Scope) -> tuple[Detail, ...]:
    """Each condition of an expression with its truth, and how far a comparison was from turning."""
    details = []
    for atom in rule.condition.atoms:
        truth = atom.run(scope)
        shown = "unknown" if isinstance(truth, Unknown) else str(truth).lower()
        value = None if atom.operand is None else atom.operand(scope)
        if atom.limit is None or isinstance(value, bool) or not isinstance(value, int | float):
            details.append(Detail(f"{atom.source} is {shown}"))
            continue
        gap = round(abs(atom.limit - value), 4)
        away = f", {gap:.2f} away" if isinstance(value, float) else ""
        short = gap if truth is False and isinstance(value, float) else None
        details.append(Detail(f"{atom.source} is {shown}: it is {_value(value)}{away}", short))
    return tuple(details)
