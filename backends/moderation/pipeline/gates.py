"""Which stages a kind of picture is spared: the `gates` of `pipeline.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from moderation import contract
from moderation.policy.source import suggest
from moderation.taxonomy import Taxonomy

Act = Literal["run", "check", "skip"]
"""`check` asks the ocr-engine to look at a small picture first and to read only what seems to have text."""
GATED: Final = (contract.SAFETY, contract.SAFETY_CLASSIFIER, contract.OCR)


class Gate(BaseModel):
    """For pictures of some kinds, from a probability on: what a stage does instead of its work."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    types: Annotated[list[str], Field(min_length=1)]
    min_score: Annotated[float, Field(gt=0, le=1)]
    do: Literal["check", "skip"]


_GATES: Final = TypeAdapter(dict[str, list[Gate]])


@dataclass(frozen=True)
class Gates:
    """Gates by stage; the first that fits decides."""

    stages: Mapping[str, list[Gate]] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: Any) -> tuple[Gates, list[str]]:
        """Gates and every fault, one sentence each."""
        try:
            stages = _GATES.validate_python(document)
        except ValidationError as error:
            return cls(), [
                f"gates.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)
            ]
        kinds = Taxonomy.load().content_types
        faults = []
        for stage, gates in stages.items():
            if stage not in GATED:
                faults.append(f"gates.{stage}: no such stage; allowed: {', '.join(GATED)}{suggest(stage, GATED)}")
            for index, gate in enumerate(gates):
                place = f"gates.{stage}.{index}"
                if gate.do == "check" and stage != contract.OCR:
                    faults.append(f"{place}.do: `check` is for {contract.OCR}; allowed here: skip")
                faults += [
                    f"{place}.types: `{kind}` is no content type; allowed: {', '.join(kinds)}{suggest(kind, kinds)}"
                    for kind in gate.types
                    if kind not in kinds and not kind.startswith("custom/")
                ]
        return cls(stages), faults

    def waits(self, stage: str) -> bool:
        """Whether a stage has to know the kind of picture before it begins."""
        return bool(self.stages.get(stage))

    def act(self, stage: str, content_type: Mapping[str, Any] | None) -> Act:
        """What a stage does; an unknown kind of picture is spared nothing."""
        if content_type is not None:
            for gate in self.stages.get(stage, ()):
                if content_type["name"] in gate.types and content_type["score"] >= gate.min_score:
                    return gate.do
        return "run"
