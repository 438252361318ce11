"""The rules of a profile, indexed by what they look for, so that rules which cannot match cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

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
from moderation.policy.search import Group, TextSearch, groups

_READERS: Final = (TextRule, FindingsRule, LinksRule)


@dataclass(frozen=True)
class Tables:
    """Indexes over the rules of one profile.

    Attributes:
        by_id: every rule.
        needs: what any of the rules needs (`moderation.policy.look`).
        labels: lines of label rules by label.
        types: limits by content type.
        text: rules by the source (list or inline terms) that they look for.
        minimums: the different `min_ocr_score` of rules that read text.
        search: finds the entries of all sources at once.
        findings: rules that look for contact details and links.
        sha256: rules by a digest that stands in the rule itself.
        hashes: rules that look into lists of hashes.
        expressions: in the order of their ids.
        referenced: rules that expressions ask for.
        watchful: rules that say themselves what a missing signal means.
    """

    by_id: Mapping[str, Rule]
    needs: frozenset[str]
    labels: Mapping[str, tuple[tuple[LabelRule, tuple[Limit, ...]], ...]]
    types: Mapping[str, tuple[tuple[ContentTypeRule, Limit], ...]]
    text: Mapping[str, tuple[TextRule, ...]]
    minimums: tuple[float, ...]
    search: TextSearch
    findings: tuple[Group, ...]
    sha256: Mapping[str, tuple[HashRule, ...]]
    hashes: tuple[HashRule, ...]
    expressions: tuple[ExpressionRule, ...]
    referenced: tuple[Rule, ...]
    watchful: tuple[Rule, ...]

    def label_limits(self, label: str) -> Iterator[tuple[LabelRule, tuple[Limit, ...]]]:
        """Each rule that covers a label, with the limits of its nearest line."""
        seen: set[str] = set()
        name = label
        while name:
            for rule, limits in self.labels.get(name, ()):
                if rule.id not in seen:
                    seen.add(rule.id)
                    yield rule, limits
            name = name.rpartition("/")[0]


def build(rules: Iterable[Rule], search: TextSearch) -> Tables:
    """The indexes of a profile's rules."""
    ordered = sorted(rules, key=lambda rule: rule.id)
    labels: dict[str, list[tuple[LabelRule, tuple[Limit, ...]]]] = {}
    types: dict[str, list[tuple[ContentTypeRule, Limit]]] = {}
    text: dict[str, list[TextRule]] = {}
    digests: dict[str, list[HashRule]] = {}
    for rule in ordered:
        if isinstance(rule, LabelRule):
            for label, limits in rule.limits.items():
                labels.setdefault(label, []).append((rule, limits))
        elif isinstance(rule, ContentTypeRule):
            for name, limit in rule.limits.items():
                types.setdefault(name, []).append((rule, limit))
        elif isinstance(rule, TextRule):
            for source in rule.sources:
                text.setdefault(source, []).append(rule)
        elif isinstance(rule, HashRule):
            for digest in rule.digests:
                digests.setdefault(digest, []).append(rule)
    expressions = tuple(rule for rule in ordered if isinstance(rule, ExpressionRule))
    return Tables(
        by_id={rule.id: rule for rule in ordered},
        needs=frozenset().union(*(rule.needs for rule in ordered)),
        labels={key: tuple(value) for key, value in labels.items()},
        types={key: tuple(value) for key, value in types.items()},
        text={key: tuple(value) for key, value in text.items()},
        minimums=tuple(sorted({rule.min_ocr_score for rule in ordered if isinstance(rule, _READERS)})),
        search=search,
        findings=groups(rule for rule in ordered if isinstance(rule, FindingsRule | LinksRule)),
        sha256={key: tuple(value) for key, value in digests.items()},
        hashes=tuple(rule for rule in ordered if isinstance(rule, HashRule) and (rule.exact or rule.alike)),
        expressions=expressions,
        referenced=tuple(rule for rule in ordered if any(rule.id in one.condition.rules for one in expressions)),
        watchful=tuple(
            rule for rule in ordered if rule.on_unknown != "ignore" and not isinstance(rule, ExpressionRule)
        ),
    )
