"""The shape of routes.yaml. Its JSON Schema is generated from here (`moderation rollout schema`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moderation.policy.rule_schema import Identifier, Strict

Stage = Literal[
    "image-preprocessor",
    "content-classifier",
    "safety-detector",
    "safety-classifier",
    "ocr-engine",
    "moderation-decision-logic",
    "text-detector",
    "text-recognizer",
]
Version = Annotated[int, Field(ge=1, description="number of a version folder")]


class Arm(Strict):
    """A version and its share of the callers."""

    version: Version
    weight: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, description="percent of the callers")]


class Shadow(Strict):
    """A version that looks at a sample beside the one that answers; it changes no answer."""

    version: Version
    sample: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, description="percent of the requests")]


class Route(Strict):
    """How the callers of one model are shared among its versions."""

    model: Stage
    profile: Identifier | None = Field(
        None, description="only for requests that name this profile of the policy; `default`: those that name none"
    )
    arms: Annotated[list[Arm], Field(min_length=1)]
    shadow: list[Shadow] = Field([], description="versions that look on")


class RoutesFile(Strict):
    """routes.yaml."""

    salt: Annotated[str, Field(max_length=64)] = Field("", description="another salt deals every caller anew")
    overrides: Literal["allowed", "refused"] = Field(
        "allowed", description="whether the request parameter `versions` may choose among the listed versions"
    )
    routes: list[Route] = Field([], description="of the entries for a model the first that fits the request decides")
