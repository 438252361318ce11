"""Signals to a verdict: pure, deterministic, and it never fails on anything but malformed signals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from moderation import contract
from moderation.errors import InputError
from moderation.policy import match
from moderation.policy import signals as facts
from moderation.policy.expression.values import Scope
from moderation.policy.expression.values import Unknown as Lost
from moderation.policy.look import Look
from moderation.policy.rule_schema import DEFAULT_SEVERITY, EVERYTHING
from moderation.policy.rules import (
    DEFAULT_PROFILE,
    DEFAULT_RULE,
    UNKNOWN_RULE,
    ActingRule,
    Policy,
    Profile,
    Unknown,
    strength,
)
from moderation.policy.verdict import Match, Reason, Verdict

ALLOW = contract.DECISIONS[0]
REVIEW_UNKNOWN = Unknown("review", 2)
"""Meaning of an unknown signal where a profile says nothing, and of a score that is not a number at the least."""


def evaluate(policy: Policy, signals: Mapping[str, Any]) -> Verdict:
    """Decide.

    Args:
        policy: from `load.load`.
        signals: the decoded JSON described in `moderation.policy.signals`.

    Returns:
        The verdict: every rule that matched; those that count first, strongest first, then by rule id. Without a reason
        that counts it is `allow`. Equal signals and policies give equal verdicts, byte for byte.

    Raises:
        InputError: reason `bad_signals` or `unknown_profile`.
    """
    found = facts.parse(signals)
    profile = choose(policy, found)
    look = Look(found, profile.tables.needs)
    reasons = _distinct(match.matches(profile.tables, look))
    if profile.tables.expressions:
        reasons += match.expressions(profile.tables, scope_of(profile, look, reasons))
    reasons += [*_watchful(profile, look, reasons), *_unknowns(profile, found)]
    _override(profile, reasons)
    counting = [reason for reason in reasons if "overridden_by" not in reason]
    decision = max((reason["action"] for reason in counting), key=strength, default=ALLOW)
    if strength(profile.default) > strength(decision) and not _is_allowed(profile, counting):
        decision = profile.default
        message = "No rule asks for more than this profile does with every picture."
        counting.append(match.reason(DEFAULT_RULE, decision, DEFAULT_SEVERITY[decision], "default", message, {}))
        reasons.append(counting[-1])
    reasons.sort(key=_order)
    return {
        "decision": decision,
        "severity": max((reason["severity"] for reason in counting), default=0),
        "reasons": reasons,
        "matches": [_match(reason) for reason in reasons if "matched" in reason["evidence"]],
        "policy": {"version": policy.version, "profile": profile.name, "sha256": policy.sha256},
    }


def choose(policy: Policy, found: facts.Signals) -> Profile:
    """The profile that the caller names, or else that `select` gives it, or else `default`.

    Raises:
        InputError: reason `unknown_profile`.
    """
    name = found.profile
    if name is None:
        return policy.profiles[next((c.profile for c in policy.select if _holds(c.conditions, found)), DEFAULT_PROFILE)]
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


def scope_of(profile: Profile, look: Look, reasons: Iterable[Reason]) -> Scope:
    """What expressions see, given the reasons of the other rules."""
    counts = Counter(reason["rule"] for reason in reasons)
    rules: dict[str, int | Lost] = {}
    for rule in profile.tables.referenced:
        lost = look.lost_of(rule.needs)
        rules[rule.id] = Lost(lost, low=counts[rule.id]) if lost else counts[rule.id]
    return look.scope(rules)


def _holds(conditions: Iterable[tuple[str, frozenset[str] | None, str]], found: facts.Signals) -> bool:
    for attribute, values, prefix in conditions:
        value = found.subject.get(attribute)
        if not isinstance(value, str) or not value.startswith(prefix) or (values is not None and value not in values):
            return False
    return True


def _distinct(found: Iterable[Reason]) -> list[Reason]:
    """A rule reports each subject once, with its strongest evidence."""
    best: dict[tuple[Any, ...], Reason] = {}
    for reason in found:
        evidence = reason["evidence"]
        subject = (evidence.get("label"), evidence.get("list"), evidence.get("matched"))
        identity = (reason["rule"], reason["triggered_by"], *subject)
        known = best.get(identity)
        if known is None or _order(reason) < _order(known):
            best[identity] = reason
    return list(best.values())


def _watchful(profile: Profile, look: Look, reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Rules that a missing signal kept from matching, and that say what this means."""
    if not profile.tables.watchful:
        return
    done: dict[str, int] = {}
    for reason in reasons:
        done[reason["rule"]] = max(done.get(reason["rule"], 0), strength(reason["action"]))
    for rule in profile.tables.watchful:
        lost = look.lost_of(rule.needs)
        if lost and done.get(rule.id, 0) < strength(rule.on_unknown):
            yield from match.unsure(rule, rule.on_unknown, lost)


def _unknowns(profile: Profile, found: facts.Signals) -> Iterator[Reason]:
    for stage, causes in found.unknown.items():
        for cause in causes:
            meaning = profile.unknown.get(stage, REVIEW_UNKNOWN)
            if cause == facts.NOT_A_SCORE and meaning.action == ALLOW:
                meaning = REVIEW_UNKNOWN  # a stage may be absent by choice, but broken numbers never mean allow
            if meaning.action == ALLOW:
                continue
            why = "it gave no signal" if cause == facts.MISSING else f"it gave {cause}"
            message = f"{stage} could not judge this image: {why}"
            evidence = {"stage": stage, "cause": cause}
            yield match.reason(UNKNOWN_RULE, meaning.action, meaning.severity, "unknown", message, evidence)


def _override(profile: Profile, reasons: Iterable[Reason]) -> None:
    """Mark the reasons that do not count because an allow-rule matched, too."""
    allowing = sorted({reason["rule"] for reason in reasons if reason["action"] == ALLOW})
    for reason in reasons:
        rule = profile.tables.by_id.get(reason["rule"])
        if reason["action"] == ALLOW or (rule is not None and rule.final):
            continue
        if reason["evidence"].get("cause") == facts.NOT_A_SCORE:
            continue  # broken numbers never mean allow, whoever would allow them
        for name in allowing:
            if _reaches(profile, name, reason["rule"]):
                reason["overridden_by"] = name
                break


def _reaches(profile: Profile, allowing: str, rule: str) -> bool:
    """Whether an allow-rule overrides a rule. A missing signal is only overridden by name."""
    owner = profile.tables.by_id[allowing]
    overrides = owner.overrides if isinstance(owner, ActingRule) else frozenset()
    return rule in overrides or (EVERYTHING in overrides and rule != UNKNOWN_RULE)


def _is_allowed(profile: Profile, counting: Iterable[Reason]) -> bool:
    """Whether an allow-rule that matched overrides the profile's default action."""
    return any(r["action"] == ALLOW and _reaches(profile, r["rule"], DEFAULT_RULE) for r in counting)


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


def _order(reason: Reason) -> tuple[Any, ...]:
    """What counts, strongest action, highest severity, rule id, then the evidence: equal inputs give equal bytes."""
    evidence = reason["evidence"]
    return (
        "overridden_by" in reason,
        -strength(reason["action"]),
        -reason["severity"],
        reason["rule"],
        reason["triggered_by"],
        -evidence.get("score", 0.0),
        evidence.get("frame") or 0,
        json.dumps(evidence, sort_keys=True),
    )
