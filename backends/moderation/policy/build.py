"""One rule of policy.yaml to a rule that can be evaluated, or its faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from moderation.hashes.sha256 import Sha256Index
from moderation.images.formats import ACCEPTED
from moderation.policy import rule_schema
from moderation.policy.expression.compile import compile_expression
from moderation.policy.expression.kinds import Vocabulary
from moderation.policy.faults import Faults
from moderation.policy.lists import Lists, pdq_index
from moderation.policy.rule_schema import DEFAULT_SEVERITY
from moderation.policy.rules import (
    ContentTypeRule,
    ExpressionRule,
    FindingsRule,
    HashRule,
    LabelRule,
    Limit,
    LinksRule,
    Rule,
    TextRule,
)
from moderation.policy.search import Source as Terms
from moderation.policy.source import Path_, suggest
from moderation.taxonomy import Taxonomy
from moderation.text.domains import DomainEntry, DomainIndex, domain_fault
from moderation.text.entries import Entry
from moderation.text.findings import REGIONS
from moderation.text.lists import parse_term
from moderation.text.matching import faults as entry_faults

if TYPE_CHECKING:
    from moderation.hashes.pdq import PdqIndex

_NEEDS = {"labels": "labels", "label": "labels", "count": "labels", "content_type": "content_type"} | {
    "text": "ocr_text",
    "lines": "ocr_text",
    "codes": "code",
}


@dataclass
class Builder:
    """Builds the rules of one policy.

    Attributes:
        sources: the terms of every text rule, by the key that the rule names.
    """

    faults: Faults
    lists: Lists
    sources: dict[str, Terms] = field(default_factory=dict)
    _expressions: set[Path_] = field(default_factory=set)

    def rule(self, spec: rule_schema.AnyRule, path: Path_, siblings: Iterable[str]) -> Rule | None:
        """A rule; None when it has a fault that leaves nothing to evaluate.

        Args:
            spec: as policy.yaml has it, with the keys that a profile changed.
            path: where it stands, for faults.
            siblings: ids of the rules of its profile that are no expressions.
        """
        if isinstance(spec, rule_schema.Labels):
            return self._labels(spec, path)
        if isinstance(spec, rule_schema.ContentType):
            return self._content_type(spec, path)
        if isinstance(spec, rule_schema.Text):
            return self._text(spec, path)
        if isinstance(spec, rule_schema.Hash):
            return self._hash(spec, path)
        if isinstance(spec, rule_schema.Expression):
            return self._expression(spec, path, siblings)
        if isinstance(spec, rule_schema.Findings):
            return self._findings(spec, path)
        return self._links(spec, path)

    def _label(self, name: str, path: Path_, what: str, other: Iterable[str]) -> None:
        taxonomy = Taxonomy.load()
        if not taxonomy.knows(name) or name in other:
            near = taxonomy.suggest(name)
            hint = f"; did you mean `{near}`?" if near else f"; the taxonomy has no such {what}"
            self.faults.add(path, f"is no {what} of the taxonomy{hint}")

    def _labels(self, spec: rule_schema.Labels, path: Path_) -> Rule:
        limits = {}
        for label, threshold in spec.thresholds.items():
            here = (*path, "thresholds", label)
            self._label(label, here, "label", Taxonomy.load().content_types)
            limits[label] = self._limits(threshold, spec.severity, here)
        for label, found in limits.items():
            above = [name for name in limits if label.startswith(name + "/")]
            if not found and not above and spec.thresholds[label].model_fields_set:
                text = "exempts a label that no other line of this rule covers; take it out"
                self.faults.add((*path, "thresholds", label), text)
        return LabelRule(**_common(spec, {"labels"}), limits=limits)

    def _limits(
        self, threshold: rule_schema.Threshold, severity: rule_schema.Severity, path: Path_
    ) -> tuple[Limit, ...]:
        levels = threshold.severity or severity
        review, block = threshold.review, threshold.block
        if review != "never" and block != "never" and review >= block:
            say = "above" if review > block else "at"
            text = f"has review {review} {say} block {block}; review must be lower, or it can never happen"
            self.faults.add(path, text)
        if levels.review > levels.block:
            text = f"has severity {levels.review} for review and {levels.block} for block; block must not be lower"
            self.faults.add(path, text)
        if not threshold.model_fields_set & {"review", "block"}:
            text = "has neither `review` nor `block`; give a score, or `review: never` to exempt the label"
            self.faults.add(path, text)
        limits: list[Limit] = []
        if block != "never":
            limits.append(Limit("block", block, levels.block))
        if review != "never":
            limits.append(Limit("review", review, levels.review))
        return tuple(limits)

    def _content_type(self, spec: rule_schema.ContentType, path: Path_) -> Rule:
        limits = {}
        for name, kind in spec.types.items():
            self._label(name, (*path, "types", name), "content type", Taxonomy.load().labels)
            limits[name] = Limit(kind.action, kind.min_score, kind.severity or DEFAULT_SEVERITY[kind.action])
        return ContentTypeRule(**_common(spec, {"content_type"}), limits=limits)

    def _text(self, spec: rule_schema.Text, path: Path_) -> Rule:
        self._demand(path, terms=spec.terms, lists=spec.lists)
        keys: set[str] = set()
        if spec.terms:
            key = f"{path} {spec.id}"
            self.sources[key] = Terms(key, spec.id, self._terms(spec.terms, (*path, "terms")))
            keys.add(key)
        for i, name in enumerate(spec.lists):
            key = f"lists/{name}"
            keys.add(key)
            if key not in self.sources:
                entries = self.lists.terms(name, partial(self.faults.add, (*path, "lists", i)))
                self.sources[key] = Terms(key, name, entries)
        fields = tuple(dict.fromkeys(spec.fields))
        return TextRule(
            **_acting(spec, {field for field in fields if field != "caption"}),
            fields=fields,
            min_ocr_score=spec.min_ocr_score,
            sources=frozenset(keys),
        )

    def _terms(self, terms: list[str], path: Path_) -> tuple[Entry, ...]:
        """Terms as lists spell them, without those that cannot be searched for."""
        sound = []
        for i, term in enumerate(terms):
            entry = parse_term("", term.strip())
            fault = entry if isinstance(entry, str) else next((why for _, why in entry_faults([entry])), None)
            if fault:
                self.faults.add((*path, i), f"is {term!r}, which {fault}")
            elif isinstance(entry, Entry):
                sound.append(entry)
        return tuple(sound)

    def _findings(self, spec: rule_schema.Findings, path: Path_) -> Rule:
        for i, region in enumerate(spec.regions):
            if region not in REGIONS:
                self.faults.add((*path, "regions", i), f"is {region!r}; a country's two letters are expected")
        if spec.regions and "phone" not in spec.find:
            self.faults.add((*path, "regions"), "are for `phone`, which this rule does not look for")
        return FindingsRule(
            **_acting(spec, {field for field in spec.fields if field != "caption"}),
            fields=tuple(dict.fromkeys(spec.fields)),
            min_ocr_score=spec.min_ocr_score,
            kinds=frozenset(spec.find),
            regions=tuple(sorted(set(spec.regions))),
            min_count=spec.min_count,
            allowed=DomainIndex(DomainEntry(spec.id, value) for value in spec.allowed if domain_fault(value) is None),
            allowed_values=frozenset(spec.allowed),
        )

    def _links(self, spec: rule_schema.Links, path: Path_) -> Rule:
        if not spec.any:
            self._demand(path, domains=spec.domains, lists=spec.lists, any=[])
        elif spec.domains or spec.lists:
            self.faults.add((*path, "any"), "matches every link, so that `domains` and `lists` mean nothing")
        listed = self._domains(spec.id, spec.domains, (*path, "domains"))
        for i, name in enumerate(spec.lists):
            listed += self.lists.domains(name, partial(self.faults.add, (*path, "lists", i)))
        return LinksRule(
            **_acting(spec, {field for field in spec.fields if field != "caption"}),
            fields=tuple(dict.fromkeys(spec.fields)),
            min_ocr_score=spec.min_ocr_score,
            any=spec.any,
            domains=DomainIndex(listed),
            allowed=DomainIndex(self._domains(spec.id, spec.allowed, (*path, "allowed"))),
        )

    def _domains(self, owner: str, found: list[str], path: Path_) -> list[DomainEntry]:
        sound = []
        for i, domain in enumerate(found):
            if fault := domain_fault(domain):
                self.faults.add((*path, i), f"is {domain!r}, which {fault}")
            else:
                sound.append(DomainEntry(owner, domain))
        return sound

    def _hash(self, spec: rule_schema.Hash, path: Path_) -> Rule:
        self._demand(path, digests=spec.digests, lists=spec.lists, pdq=spec.pdq, pdq_lists=spec.pdq_lists)
        pdq = bool(spec.pdq or spec.pdq_lists)
        if not pdq and spec.model_fields_set & {"max_distance", "min_quality"}:
            self.faults.add(path, "has limits for PDQ and no PDQ hashes; give `pdq` or `pdq_lists`, or take them out")
        needs = {"image.sha256"} if spec.digests or spec.lists else set()
        exact: list[tuple[str, Sha256Index]] = []
        alike: list[tuple[str, PdqIndex]] = []
        for i, name in enumerate(spec.lists):
            files = self.lists.sha256(name, partial(self.faults.add, (*path, "lists", i)))
            exact += [] if files is None else [(name, files)]
        if pdq:
            needs |= {"image.pdq", "image.pdq_quality"}
        for i, name in enumerate(spec.pdq_lists):
            pictures = self.lists.pdq(name, partial(self.faults.add, (*path, "pdq_lists", i)))
            alike += [] if pictures is None else [(name, pictures)]
        if spec.pdq:
            alike.append((spec.id, pdq_index(spec.pdq)))
        return HashRule(
            **_acting(spec, needs),
            digests=frozenset(digest.lower() for digest in spec.digests),
            exact=tuple(exact),
            alike=tuple(alike),
            max_distance=spec.max_distance,
            min_quality=spec.min_quality,
        )

    def _expression(self, spec: rule_schema.Expression, path: Path_, siblings: Iterable[str]) -> Rule | None:
        vocabulary = Vocabulary(Taxonomy.load(), ACCEPTED, siblings, suggest)
        condition, faults = compile_expression(spec.when, vocabulary)
        if faults and (*path, "when") not in self._expressions:
            self._expressions.add((*path, "when"))  # profiles that inherit the rule need not say it again
            for fault in faults:
                self.faults.add((*path, "when"), fault)
        if condition is None:
            return None
        needs = {_need(text) for text, _ in condition.values} - {""}
        return ExpressionRule(**_acting(spec, needs), condition=condition)

    def _demand(self, path: Path_, **content: list[str]) -> None:
        if not any(content.values()):
            names = [f"`{name}`" for name in content]
            self.faults.add(path, f"looks for nothing; give {', '.join(names[:-1])} or {names[-1]}")


def _common(spec: rule_schema.RuleBase, needs: set[str]) -> dict[str, Any]:
    kind = str(getattr(spec, "kind", ""))
    return {
        "id": spec.id,
        "kind": kind,
        "message": spec.message,
        "on_unknown": spec.on_unknown,
        "final": spec.final,
        "needs": frozenset(needs),
    }


def _acting(spec: rule_schema.Acting, needs: set[str]) -> dict[str, Any]:
    severity = DEFAULT_SEVERITY[spec.action] if spec.severity is None else spec.severity
    return _common(spec, needs) | {
        "action": spec.action,
        "severity": severity,
        "overrides": frozenset(spec.overrides),
    }


def _need(leaf: str) -> str:
    """What an expression needs for a signal that it reads, as `moderation.policy.look` names it."""
    root = leaf.split("(")[0].split(".")[0].split("[")[0]
    return leaf if root == "image" else _NEEDS.get(root, "")
