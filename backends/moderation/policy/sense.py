"""Rules that have the right shape and yet make no sense together: contradictions, and rules that can never count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from moderation.policy import rule_schema
from moderation.policy.faults import Faults
from moderation.policy.rule_schema import EVERYTHING
from moderation.policy.rules import RESERVED, HashRule, Rule
from moderation.policy.source import Path_, suggest

Specs = Mapping[str, tuple[rule_schema.AnyRule, Path_]]
_NO_CONDITION: Final = {"id", "message", "action", "severity", "final", "on_unknown", "overrides"}


def check(specs: Specs, rules: Iterable[Rule], faults: Faults) -> None:
    """Note the contradictions among the rules of one profile.

    Args:
        specs: the rules by id, as written, each with its place in policy.yaml.
        rules: the same rules, built.
        faults: gets what is found.
    """
    for spec, path in specs.values():
        if isinstance(spec, rule_schema.Acting):
            _action(spec, path, faults)
            for i, name in enumerate(spec.overrides):
                _override(name, (*path, "overrides", i), specs, faults)
    _twins(specs, faults)
    _digests(specs, [rule for rule in rules if isinstance(rule, HashRule)], faults)


def _action(spec: rule_schema.Acting, path: Path_, faults: Faults) -> None:
    if spec.action != "allow":
        if spec.overrides:
            faults.add((*path, "overrides"), f"belongs to `action: allow`; this rule has action {spec.action}")
        return
    if spec.severity is not None:
        faults.add((*path, "severity"), f"is {spec.severity}; an allow-rule has none, take it out")
    if spec.on_unknown != "ignore":
        text = f"is {spec.on_unknown!r}; an allow-rule that cannot be judged does not match, take it out"
        faults.add((*path, "on_unknown"), text)
    if spec.final:
        faults.add((*path, "final"), "protects a rule from allow-rules; nothing overrides an allow-rule, take it out")


def _override(name: str, path: Path_, specs: Specs, faults: Faults) -> None:
    if name == EVERYTHING or name in RESERVED:
        return
    if name not in specs:
        known = sorted({*specs, EVERYTHING, *RESERVED})
        faults.add_once(path, f"is `{name}`; allowed: {', '.join(known)}{suggest(name, known)}")
        return
    other = specs[name][0]
    if other.final:
        faults.add(path, f"is `{name}`, which is final; take it out, or take `final` from `{name}`")
    elif isinstance(other, rule_schema.Acting) and other.action == "allow":
        faults.add(path, f"is `{name}`, an allow-rule; only reviews and blocks can be overridden")


def _twins(specs: Specs, faults: Faults) -> None:
    """Of two rules with one condition the weaker can never decide anything."""
    seen: dict[str, str] = {}
    ordered = sorted(specs.values(), key=lambda item: faults.source.line(item[1]))
    for spec, path in ordered:
        condition = spec.model_dump_json(exclude=_NO_CONDITION)
        allows = isinstance(spec, rule_schema.Acting) and spec.action == "allow"
        twin = seen.setdefault(f"{allows} {condition}", spec.id)
        if twin != spec.id:
            faults.add(path, f"`{spec.id}` matches exactly when `{twin}` does; keep one of them")


def _digests(specs: Specs, rules: list[HashRule], faults: Faults) -> None:
    for allowing in (rule for rule in rules if rule.action == "allow"):
        for other in rules:
            both = allowing.digests & other.digests
            reached = other.id in allowing.overrides or EVERYTHING in allowing.overrides
            if other.action == "allow" or not both or reached:
                continue
            text = f"has {min(both)[:12]}… in common with `{other.id}` ({other.action}) and does not override it"
            faults.add(specs[allowing.id][1], f"{text}; add `overrides: [{other.id}]`, or take the digest from one")
