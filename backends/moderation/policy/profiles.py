"""Profiles with what they inherit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from moderation import contract
from moderation.policy import schema, sense
from moderation.policy.build import Builder
from moderation.policy.faults import Faults
from moderation.policy.rule_schema import DEFAULT_SEVERITY, EVERYTHING, KINDS, AnyRule, Expression
from moderation.policy.rules import RESERVED, Profile, Rule, Unknown
from moderation.policy.search import TextSearch
from moderation.policy.source import Path_, suggest
from moderation.policy.tables import build as build_tables

UNKNOWN_ACTIONS = {contract.SAFETY: "review", contract.OCR: "review"}
"""Meaning of a missing signal where no profile says otherwise: what nobody looked at is not known to be harmless."""
Specs = dict[str, tuple[AnyRule, Path_]]


class Profiles:
    """Builds the profiles of one policy file."""

    def __init__(self, specs: Mapping[str, schema.ProfileSpec], builder: Builder) -> None:
        self._specs = specs
        self._builder = builder
        self._faults: Faults = builder.faults
        self._rules: dict[tuple[Path_, tuple[str, ...]], Rule | None] = {}
        self._searches: dict[frozenset[str], TextSearch] = {}

    def build(self, name: str) -> Profile | None:
        """A profile; None when its ancestors are at fault."""
        chain = self._chain(name)
        if chain is None:
            return None
        found: Specs = {}
        unknown: dict[str, str] = dict(UNKNOWN_ACTIONS)
        default = contract.DECISIONS[0]
        for ancestor in chain:
            spec = self._specs[ancestor]
            self._inherit(spec, ("profiles", ancestor), found)
            default = spec.default_action or default
            for i, stage in enumerate(spec.optional_stages):
                if stage in spec.on_unknown:
                    text = f"`{stage}` is in on_unknown too; keep one of them"
                    self._faults.add(("profiles", ancestor, "optional_stages", i), text)
                unknown[stage] = "allow"
            for stage, action in spec.on_unknown.items():
                unknown[stage] = action
        rules = self._build_rules(found)
        sense.check(found, rules, self._faults)
        meanings = {stage: Unknown(action, DEFAULT_SEVERITY[action]) for stage, action in unknown.items()}
        return Profile(name, rules, meanings, default, build_tables(rules, self._search(rules)))

    def _chain(self, name: str) -> list[str] | None:
        """A profile and its ancestors, oldest first."""
        chain = [name]
        while (parent := self._specs[chain[-1]].extends) is not None:
            path = ("profiles", chain[-1], "extends")
            if parent not in self._specs:
                known = sorted(set(self._specs) - {chain[-1]})
                allowed = ", ".join(known) or "nothing else"
                self._faults.add(path, f"is `{parent}`; allowed: {allowed}{suggest(parent, known)}")
                return None
            if parent in chain:
                self._faults.add(path, f"is `{parent}`, which extends itself: {' > '.join([*chain, parent])}")
                return None
            chain.append(parent)
        return chain[::-1]

    def _inherit(self, spec: schema.ProfileSpec, path: Path_, found: Specs) -> None:
        """Apply what one profile says about inherited rules, then add its own."""
        for i, name in enumerate(spec.remove):
            if name not in found:
                self._not_inherited(name, (*path, "remove", i), found)
            elif name in spec.change:
                self._faults.add((*path, "remove", i), f"`{name}` is in `change` too; keep one of them")
            found.pop(name, None)
        for name, keys in spec.change.items():
            here = (*path, "change", name)
            if name in found:
                found[name] = (self._changed(found[name][0], keys, here), here)
            elif name not in spec.remove:
                self._not_inherited(name, here, found)
        own: set[str] = set()
        for i, rule in enumerate(spec.rules):
            here = (*path, "rules", i)
            if rule.id in own:
                text = f"`{rule.id}` is taken by another rule of this profile; choose another id"
                self._faults.add((*here, "id"), text)
                self._builder.rule(rule, here, found)  # for its faults
                continue
            if rule.id in (*RESERVED, EVERYTHING):
                self._faults.add((*here, "id"), f"`{rule.id}` is reserved; choose another id")
            elif rule.id in found:
                text = f"`{rule.id}` is inherited; change the inherited rule under `change`, or choose another id"
                self._faults.add((*here, "id"), text)
            own.add(rule.id)
            found[rule.id] = (rule, here)

    def _not_inherited(self, name: str, path: Path_, found: Specs) -> None:
        known = sorted(found)
        text = f"is `{name}`; inherited rules: {', '.join(known) or 'none'}{suggest(name, known)}"
        self._faults.add(path, text)

    def _changed(self, rule: AnyRule, keys: Mapping[str, object], path: Path_) -> AnyRule:
        """An inherited rule with some keys replaced."""
        for fixed in ("id", "kind"):
            if fixed in keys:
                text = f"cannot be changed; `remove` the rule `{rule.id}` and write another"
                self._faults.add((*path, fixed), text)
        if not keys:
            self._faults.add(path, "changes nothing; give the keys that differ")
        kept = {"id": rule.id, "kind": rule.kind}
        model = KINDS[rule.kind]
        try:
            # strings of YAML and values of the inherited rule are both valid input; the whole is checked again
            return cast("AnyRule", model.model_validate({**rule.model_dump(exclude_unset=True), **keys, **kept}))
        except ValidationError as error:
            self._faults.add_all(error, model, path)
            return rule

    def _build_rules(self, found: Specs) -> tuple[Rule, ...]:
        siblings = tuple(sorted(name for name, (spec, _) in found.items() if not isinstance(spec, Expression)))
        rules: list[Rule] = []
        for name in sorted(found):
            spec, path = found[name]
            key = (path, siblings if isinstance(spec, Expression) else ())
            if key not in self._rules:
                self._rules[key] = self._builder.rule(spec, path, siblings)
            rule = self._rules[key]
            if rule is not None:
                rules.append(rule)
        return tuple(rules)

    def _search(self, rules: tuple[Rule, ...]) -> TextSearch:
        """Profiles that look for the same terms share one index."""
        keys = frozenset().union(*(getattr(rule, "sources", ()) for rule in rules))
        if keys not in self._searches:
            self._searches[keys] = TextSearch(self._builder.sources[key] for key in sorted(keys))
        return self._searches[keys]
