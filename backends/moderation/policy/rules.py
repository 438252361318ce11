"""A loaded policy: plain data that the evaluation walks over. Scores are 0-1, severities 0, 2, 4 or 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moderation import contract
from moderation.policy.text import TermIndex

DEFAULT_PROFILE = "default"
"""The profile of a request that names none; every policy has it."""
UNKNOWN_RULE = "unknown-signal"
"""Rule id of reasons that come from a stage without a usable signal."""


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
class LabelRule:
    """Limits for each label prefix, strongest action first; the longest prefix of a label decides alone."""

    id: str
    message: str
    limits: Mapping[str, tuple[Limit, ...]]

    def limits_for(self, label: str) -> tuple[Limit, ...]:
        """The limits of the label itself or else of its nearest parent; empty when the rule does not cover it."""
        name = label
        while True:
            if name in self.limits:
                return self.limits[name]
            name, slash, _ = name.rpartition("/")
            if not slash:
                return ()


@dataclass(frozen=True)
class ContentTypeRule:
    """Limits for each kind of content."""

    id: str
    message: str
    limits: Mapping[str, Limit]


@dataclass(frozen=True)
class TextRule:
    """Terms that are looked for in the recognised text, the caption, or both."""

    id: str
    message: str
    action: str
    severity: int
    fields: tuple[str, ...]
    min_ocr_score: float
    terms: TermIndex


@dataclass(frozen=True)
class HashRule:
    """SHA-256 digests (lower-case hex) of files, each with the list that names it."""

    id: str
    message: str
    action: str
    severity: int
    digests: Mapping[str, str]


Rule = LabelRule | ContentTypeRule | TextRule | HashRule


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
    """

    name: str
    rules: tuple[Rule, ...]
    unknown: Mapping[str, Unknown]


@dataclass(frozen=True)
class Policy:
    """A policy release.

    Attributes:
        version: the file's `version`, else the name of its folder.
        sha256: of policy.yaml and of every list that it uses, in hex.
        profiles: by name; `default` is always there.
    """

    version: str
    sha256: str
    profiles: Mapping[str, Profile]
