"""The shape of policy.yaml and tests.yaml. Their JSON Schemas are generated from here (`moderation policy schema`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from moderation.policy.rule_schema import Action, AnyRule, Identifier, Strict

Stage = Literal["image-preprocessor", "content-classifier", "safety-detector", "safety-classifier", "ocr-engine"]
UnknownAction = Literal["allow", "review", "block"]
Name = Annotated[str, Field(min_length=1, max_length=64)]
AttributeText = Annotated[str, Field(max_length=256)]


class Condition(Strict):
    """What an attribute of the caller must be; of several all must hold."""

    equals: AttributeText | None = None
    prefix: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    one_of: Annotated[list[AttributeText], Field(min_length=1)] | None = None


class Select(Strict):
    """Which profile callers get that name none."""

    when: Annotated[dict[Name, Condition], Field(min_length=1, description="by attribute, such as `x-tenant`")]
    profile: Identifier


class ProfileSpec(Strict):
    """A named set of rules; with `extends` it starts from another one."""

    description: str = ""
    extends: Identifier | None = None
    default_action: Action | None = Field(
        None, description="what is done when no rule asks for more; inherited, `allow` at the start"
    )
    on_unknown: dict[Stage, UnknownAction] = Field(
        {}, description="what a stage without a signal means; otherwise `review`"
    )
    optional_stages: list[Stage] = Field([], description="stages whose absence means nothing")
    remove: list[Identifier] = Field([], description="inherited rules to drop")
    change: dict[Identifier, dict[str, Any]] = Field(
        {}, description="inherited rules to change, by id: the keys given here replace those of the inherited rule"
    )
    rules: list[AnyRule] = Field([], description="further rules")


class PolicyFile(Strict):
    """policy.yaml."""

    version: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="name of the release; otherwise the name of the version folder"
    )
    select: list[Select] = Field([], description="the first entry that holds gives the profile")
    profiles: Annotated[dict[Identifier, ProfileSpec], Field(min_length=1)]


class Expect(Strict):
    """What must come out."""

    decision: Action
    severity: Literal[0, 2, 4, 6] | None = None
    rules: list[Identifier] | None = Field(
        None, description="exactly these rules are reported, overridden ones too, in any order"
    )
    profile: Identifier | None = Field(None, description="the profile that `select` must choose")


class Given(Strict):
    """Signals in short form. What is left out was looked at, and nothing was found."""

    labels: dict[str, float] = Field({}, description="score by label")
    content_type: str = "photo"
    content_score: float = 1.0
    text: list[str] = Field([], description="recognised lines, read without doubt")
    caption: str | None = None
    codes: list[str] = Field([], description="what QR codes say")
    image: dict[str, Any] = Field({}, description="facts that matter, such as sha256, pdq, width")
    subject: dict[str, Any] = Field({}, description="attributes of the caller")
    unknown: list[Stage] = Field([], description="stages that gave no signal")


class Case(Strict):
    """One test of a policy."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    profile: Identifier | None = Field(None, description="otherwise what `select` says, or `default`")
    profiles: list[Identifier] = Field([], description="several profiles with one outcome")
    given: Given | None = None
    signals: dict[str, Any] | None = Field(None, description="instead of `given`: SIGNALS as recorded")
    expect: Expect


class TestsFile(Strict):
    """tests.yaml."""

    __test__ = False  # pytest would take the name for a class of tests
    tests: Annotated[list[Case], Field(min_length=1)]
