"""What one version of the entry model calls: its `pipeline.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from moderation import contract
from moderation.errors import ConfigError
from moderation.pipeline.gates import Gates
from moderation.safety.vote import Votes

FILE: Final = "pipeline.yaml"
STAGES: Final = (
    contract.PREPROCESSOR,
    contract.CLASSIFIER,
    contract.SAFETY,
    contract.SAFETY_CLASSIFIER,
    contract.OCR,
    contract.DECISION_LOGIC,
)
JUDGES: Final = (contract.SAFETY, contract.SAFETY_CLASSIFIER)
"""Stages of which a release needs one at least; one that it does not list is not called and not unknown."""
MODELS: Final = (*STAGES, *contract.READERS)
"""What a release gives a version, and what can have a route."""
OPTIONAL: Final = (*JUDGES, *contract.READERS)
KEYS: Final = ("stages", "gates", "vote")


@dataclass(frozen=True)
class Release:
    """Version of each composing model, so that RESULT can name who answered.

    Attributes:
        versions: by model, of every stage that the release calls.
        votes: how its safety networks decide together.
        gates: which stages a kind of picture is spared.
    """

    versions: Mapping[str, int]
    votes: Votes = field(default_factory=Votes)
    gates: Gates = field(default_factory=Gates)

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Read `pipeline.yaml` of a version folder of the entry model.

        Raises:
            ConfigError: with every fault of the file.
        """
        path = folder / FILE
        try:
            document = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
        stages = document.get("stages") if isinstance(document, dict) else None
        if not isinstance(stages, dict):
            raise ConfigError(f"{path}: `stages` must map each of {', '.join(MODELS)} to {{version: number}}")
        faults = [f"unknown stage `{name}`" for name in stages if name not in MODELS]
        versions: dict[str, int] = {}
        if not any(name in stages for name in JUDGES):
            faults.append(f"stages has none of {', '.join(JUDGES)}; without one nobody looks at the picture")
        for name in MODELS:
            if name in OPTIONAL and name not in stages:
                continue
            entry = stages.get(name)
            version = entry.get("version") if isinstance(entry, dict) else None
            if isinstance(version, int) and not isinstance(version, bool) and version > 0:
                versions[name] = version
            else:
                faults.append(f"stages.{name}.version is {version!r}; a version folder's number is expected")
        faults += [f"unknown key `{key}`; allowed: {', '.join(KEYS)}" for key in document if key not in KEYS]
        votes, wrong = Votes.parse(document.get("vote", []))
        gates, bad = Gates.parse(document.get("gates", {}))
        faults += wrong + bad
        if faults:
            raise ConfigError(f"{path}: " + "; ".join(faults))
        return cls(versions, votes, gates)
