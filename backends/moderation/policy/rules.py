"""A loaded policy: plain data that the evaluation walks over. Scores are 0-1, severities 0, 2, 4 or 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from moderation import contract
from moderation.hashes.sha256 import Sha256Index
from moderation.policy.expression.compile import Expression as Condition
from moderation.text.domains import DomainIndex

if TYPE_CHECKING:
    from moderation.hashes.pdq import PdqIndex
    from moderation.policy.tables import Tables

DEFAULT_PROFILE: Final = "default"
"""The profile of a request that names none and that `select` does not place; every policy has it."""
UNKNOWN_RULE: Final = "unknown-signal"
"""Rule id of reasons that come from a stage without a usable signal."""
DEFAULT_RULE: Final = "default-action"
"""Rule id of the reason that a profile's `default_action` gives."""
RESERVED: Final = (UNKNOWN_RULE, DEFAULT_RULE)


def strength(action: str) -> int:
    """Order of the actions: 0 allow, 1 review, 2 block."""
    return contract.DECISIONS.index(action)


@dataclass(frozen=True)
class Limit:
    """An action and the lowest score that causes it."""

    action: str
    score: float
    severity: int


@dataclass(frozen=True)
class Rule:
    """What every rule has.

    Attributes:
        kind: as policy.yaml spells it.
        on_unknown: `ignore`, or the action when a needed signal is missing.
        final: whether no allow-rule can override it.
        needs: the signals that it reads: `labels`, `content_type`, `ocr_text`, `code`, `sha256`, `pdq`.
    """

    id: str
    kind: str
    message: str
    on_unknown: str
    final: bool
    needs: frozenset[str]


@dataclass(frozen=True)
class LabelRule(Rule):
    """Limits for each label prefix, strongest action first; the longest prefix of a label decides alone."""

    limits: Mapping[str, tuple[Limit, ...]]

    def limits_for(self, label: str) -> tuple[Limit, ...]:
        """The limits of the label itself or else of its nearest parent; empty when the rule does not cover it."""
        return self.limits.get(self.covering(label), ())

    def covering(self, label: str) -> str:
        """The line of the rule that decides about a label; empty when there is none."""
        name = label
        while name and name not in self.limits:
            name = name.rpartition("/")[0]
        return name


@dataclass(frozen=True)
class ContentTypeRule(Rule):
    """Limits for each kind of content."""

    limits: Mapping[str, Limit]


@dataclass(frozen=True)
class ActingRule(Rule):
    """A rule with one action; an allow-rule names the rules that it overrides."""

    action: str
    severity: int
    overrides: frozenset[str]


@dataclass(frozen=True)
class TextRule(ActingRule):
    """Terms that are looked for in the recognised text, the caption, and codes."""

    fields: tuple[str, ...]
    min_ocr_score: float
    sources: frozenset[str]
    """Keys of the terms and lists, as the search reports them."""


@dataclass(frozen=True)
class FindingsRule(ActingRule):
    """Contact and payment details.

    Attributes:
        kinds: as `moderation.text.findings` names them.
        min_count: different values from which it matches.
        allowed: domains of e-mail addresses and links that are no findings.
        allowed_values: whole values that are none.
    """

    fields: tuple[str, ...]
    min_ocr_score: float
    kinds: frozenset[str]
    regions: tuple[str, ...]
    min_count: int
    allowed: DomainIndex
    allowed_values: frozenset[str]


@dataclass(frozen=True)
class LinksRule(ActingRule):
    """Links to listed domains, or with `any` to all that are not allowed."""

    fields: tuple[str, ...]
    min_ocr_score: float
    any: bool
    domains: DomainIndex
    allowed: DomainIndex
    kinds: frozenset[str] = frozenset(("url",))
    regions: tuple[str, ...] = ()
    min_count: int = 1
    allowed_values: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HashRule(ActingRule):
    """Known files and pictures.

    Attributes:
        digests: SHA-256 (lower-case hex) that stand in the rule itself.
        exact: lists of SHA-256 digests with their names.
        alike: lists of PDQ hashes with their names; those in the rule itself have its id for a name.
        max_distance: bits of 256 in which a PDQ hash may differ.
        min_quality: 0-100; pictures below are not compared by PDQ.
    """

    digests: frozenset[str]
    exact: tuple[tuple[str, Sha256Index], ...]
    alike: tuple[tuple[str, PdqIndex], ...]
    max_distance: int
    min_quality: int


@dataclass(frozen=True)
class ExpressionRule(ActingRule):
    """A condition over all signals."""

    condition: Condition


@dataclass(frozen=True)
class Unknown:
    """What a stage without a usable signal means."""

    action: str
    severity: int


@dataclass(frozen=True)
class Profile:
    """One named set of rules.

    Attributes:
        name: as requests spell it.
        rules: sorted by id.
        unknown: meaning of a missing signal for each stage; stages that are not named mean review.
        default: what is done when no rule asks for more.
        tables: the rules again, indexed by what they look for.
    """

    name: str
    rules: tuple[Rule, ...]
    unknown: Mapping[str, Unknown]
    default: str
    tables: Tables


@dataclass(frozen=True)
class Choice:
    """Conditions on the caller's attributes, and the profile of callers that meet them all.

    A condition is (attribute, whole values, prefix).
    """

    conditions: tuple[tuple[str, frozenset[str] | None, str], ...]
    profile: str


@dataclass(frozen=True)
class Policy:
    """A policy release.

    Attributes:
        version: the file's `version`, else the name of its folder.
        sha256: of policy.yaml and of every list that it uses, in hex.
        profiles: by name; `default` is always there.
        select: which profile callers get that name none; the first that holds.
    """

    version: str
    sha256: str
    profiles: Mapping[str, Profile]
    select: tuple[Choice, ...] = field(default=())
