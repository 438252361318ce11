"""The shape of policy.yaml. `PolicyFile.model_json_schema()` is its JSON Schema.

Keys that are not declared here are refused. Types are strict: `"0.5"` is not a number, `yes` is not a string.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_IDENTIFIER = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_LABEL = r"^[^/\s]+(/[^/\s]+)*$"
_LIST = r"^[A-Za-z0-9_-]+$"
_DIGEST = r"^[0-9A-Fa-f]{64}$"
PATTERNS = {
    _IDENTIFIER: "small letters and digits, with single hyphens between them",
    _LABEL: "names joined by single `/`, without spaces",
    _LIST: "the name of a file in lists/ without `.txt`: letters, digits, `-` and `_`",
    _DIGEST: "64 characters 0-9 and a-f",
}
"""The patterns in words."""
Identifier = Annotated[str, Field(pattern=_IDENTIFIER, max_length=64)]
LabelPrefix = Annotated[str, Field(pattern=_LABEL, max_length=200)]
ListName = Annotated[str, Field(pattern=_LIST, max_length=64)]
Sentence = Annotated[str, Field(min_length=1, max_length=300)]
Score = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
OcrScore = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Action = Literal["review", "block"]
UnknownAction = Literal["allow", "review", "block"]
Harm = Literal[2, 4, 6]
Digest = Annotated[str, Field(pattern=_DIGEST)]
Stage = Literal["image-preprocessor", "content-classifier", "safety-detector", "ocr-engine"]

DEFAULT_SEVERITY = {"allow": 0, "review": 2, "block": 6}
"""Severity of an action where a rule gives none."""


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


class Kind(Strict):
    """Action for one kind of content from a score on."""

    action: Action = "review"
    min_score: Score
    severity: Harm | None = None


class RuleBase(Strict):
    """What every rule has: an id and the sentence that a person reads."""

    id: Identifier
    message: Sentence


class Labels(RuleBase):
    """Unsafe regions that the safety-detector found."""

    kind: Literal["labels"]
    thresholds: Annotated[dict[LabelPrefix, Threshold], Field(min_length=1)]
    severity: Severity = Severity()


class ContentType(RuleBase):
    """What kind of picture the content-classifier takes it for."""

    kind: Literal["content_type"]
    types: Annotated[dict[LabelPrefix, Kind], Field(min_length=1)]


class Text(RuleBase):
    """Terms in the picture's text or its caption."""

    kind: Literal["text"]
    action: Action
    severity: Harm | None = None
    fields: Annotated[list[Literal["ocr_text", "caption"]], Field(min_length=1)] = ["ocr_text", "caption"]
    min_ocr_score: OcrScore = 0.0
    terms: list[Annotated[str, Field(min_length=1, max_length=200)]] = []
    lists: list[ListName] = []


class Hash(RuleBase):
    """Known files by SHA-256."""

    kind: Literal["hash"]
    action: Action
    severity: Harm | None = None
    digests: list[Digest] = []
    lists: list[ListName] = []


AnyRule = Annotated[Labels | ContentType | Text | Hash, Field(discriminator="kind")]


class ProfileSpec(Strict):
    """A named set of rules; with `extends` it starts from another one.

    A rule with the id of an inherited one replaces it whole; `remove` drops inherited rules.
    """

    description: str = ""
    extends: str | None = None
    on_unknown: dict[Stage, UnknownAction] = {}
    optional_stages: list[Stage] = []
    remove: list[Identifier] = []
    rules: list[AnyRule] = []


class PolicyFile(Strict):
    """policy.yaml."""

    version: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    profiles: Annotated[dict[Identifier, ProfileSpec], Field(min_length=1)]


KINDS: dict[str, type[RuleBase]] = {"labels": Labels, "content_type": ContentType, "text": Text, "hash": Hash}
