"""The shape of each kind of rule in policy.yaml.

Keys that are not declared here are refused. Types are strict: `"0.5"` is not a number, `yes` is not a string.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from moderation.hashes.pdq import MAX_DISTANCE, MIN_QUALITY

_IDENTIFIER = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_LABEL = r"^[^/\s]+(/[^/\s]+)*$"
_LIST = r"^[A-Za-z0-9_-]+$"
_DIGEST = r"^[0-9A-Fa-f]{64}$"
_REGION = r"^[A-Z]{2}$"
PATTERNS = {
    _IDENTIFIER: "small letters and digits, with single hyphens between them",
    _LABEL: "names joined by single `/`, without spaces",
    _LIST: "the name of a file in lists/ without its ending: letters, digits, `-` and `_`",
    _DIGEST: "64 characters 0-9 and a-f",
    _REGION: "two capital letters, such as DE or US",
}
"""The patterns in words."""
Identifier = Annotated[str, Field(pattern=_IDENTIFIER, max_length=64)]
LabelPrefix = Annotated[str, Field(pattern=_LABEL, max_length=200)]
ListName = Annotated[str, Field(pattern=_LIST, max_length=64)]
Sentence = Annotated[str, Field(min_length=1, max_length=300)]
Score = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
OcrScore = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Action = Literal["allow", "review", "block"]
Harm = Literal[2, 4, 6]
Digest = Annotated[str, Field(pattern=_DIGEST)]
Place = Literal["ocr_text", "caption", "code"]
Finding = Literal["email", "phone", "card", "iban", "ip", "url", "handle"]
Region = Annotated[str, Field(pattern=_REGION)]
PLACES: list[Place] = ["ocr_text", "caption", "code"]

DEFAULT_SEVERITY = {"allow": 0, "review": 2, "block": 6}
"""Severity of an action where a rule gives none."""
FARTHEST = 63
"""Bits of 256 beyond which PDQ hashes say nothing; pictures that are the same differ in 31 at most."""
EVERYTHING = "everything"
"""In `overrides`: every rule that is not final."""


class Strict(BaseModel):
    """No unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Severity(Strict):
    """How bad each action of a rule is: 2 low, 4 medium, 6 high."""

    review: Harm = 2
    block: Harm = 6


class Threshold(Strict):
    """Lowest scores that cause a review or a block; an action that is left out or `never` is not caused."""

    review: Score | Literal["never"] = "never"
    block: Score | Literal["never"] = "never"
    severity: Severity | None = None


class ContentKind(Strict):
    """Action for one kind of content from a score on."""

    action: Literal["review", "block"] = "review"
    min_score: Score
    severity: Harm | None = None


class RuleBase(Strict):
    """What every rule has: an id and the sentence that a person reads."""

    id: Identifier
    message: Sentence
    final: Annotated[bool, Field(description="no allow-rule can override this rule")] = False
    on_unknown: Annotated[
        Literal["ignore", "review", "block"],
        Field(
            description="what the rule does when a signal that it needs is missing and could have made it match; "
            "`ignore` leaves it to the profile's `on_unknown`"
        ),
    ] = "ignore"


class Labels(RuleBase):
    """What the networks found in the pixels."""

    kind: Literal["labels"]
    thresholds: Annotated[dict[LabelPrefix, Threshold], Field(min_length=1)]
    severity: Severity = Severity()


class ContentType(RuleBase):
    """What kind of picture the content-classifier takes it for."""

    kind: Literal["content_type"]
    types: Annotated[dict[LabelPrefix, ContentKind], Field(min_length=1)]


class Acting(RuleBase):
    """A rule with one action."""

    action: Action
    severity: Harm | None = None
    overrides: Annotated[
        list[Identifier],
        Field(
            description="for `action: allow`: ids of the rules that do not count when this one matches, or "
            "`everything`; an allow-rule that overrides nothing is only reported"
        ),
    ] = []


class Text(Acting):
    """Listed terms in the picture's text, its caption, or its QR codes."""

    kind: Literal["text"]
    fields: Annotated[list[Place], Field(min_length=1)] = PLACES
    min_ocr_score: OcrScore = 0.0
    terms: list[Annotated[str, Field(min_length=1, max_length=200)]] = []
    lists: list[ListName] = []


class Findings(Acting):
    """Contact and payment details in text."""

    kind: Literal["findings"]
    find: Annotated[list[Finding], Field(min_length=1)]
    fields: Annotated[list[Place], Field(min_length=1)] = PLACES
    min_ocr_score: OcrScore = 0.0
    min_count: Annotated[int, Field(ge=1, le=100)] = 1
    regions: Annotated[list[Region], Field(description="where phone numbers without a country code are from")] = []
    allowed: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(description="what is no finding: a whole value, or a domain with everything below it"),
    ] = []


class Links(Acting):
    """Links to listed domains, or to any that are not allowed."""

    kind: Literal["links"]
    fields: Annotated[list[Place], Field(min_length=1)] = PLACES
    min_ocr_score: OcrScore = 0.0
    any: bool = False
    domains: list[Annotated[str, Field(min_length=1, max_length=253)]] = []
    lists: list[ListName] = []
    allowed: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253)]],
        Field(description="domains that are never a match, with everything below them"),
    ] = []


class Hash(Acting):
    """Known files by SHA-256, and known pictures by PDQ."""

    kind: Literal["hash"]
    digests: Annotated[list[Digest], Field(description="SHA-256 of files")] = []
    lists: Annotated[list[ListName], Field(description="lists/<name>.csv or .txt with SHA-256 digests")] = []
    pdq: Annotated[list[Digest], Field(description="PDQ hashes of pictures")] = []
    pdq_lists: Annotated[list[ListName], Field(description="lists/<name>.csv or .txt with PDQ hashes")] = []
    max_distance: Annotated[int, Field(ge=0, le=FARTHEST, description="bits of 256 in which a PDQ hash may differ")] = (
        MAX_DISTANCE
    )
    min_quality: Annotated[int, Field(ge=0, le=100, description="pictures below say too little for PDQ")] = MIN_QUALITY


class Expression(Acting):
    """A condition over all signals."""

    kind: Literal["expression"]
    when: Annotated[str, Field(min_length=1, max_length=2000, description="a CEL expression; see README.md")]


AnyRule = Annotated[Labels | ContentType | Text | Findings | Links | Hash | Expression, Field(discriminator="kind")]
KINDS: dict[str, type[RuleBase]] = {
    "labels": Labels,
    "content_type": ContentType,
    "text": Text,
    "findings": Findings,
    "links": Links,
    "hash": Hash,
    "expression": Expression,
}
