"""What a sweep varies: the lists in a Model Analyzer configuration, as axes.

The files in `analyzer_configs/` are configurations of Model Analyzer
(https://github.com/triton-inference-server/model_analyzer, docs/config.md) without paths and addresses, which the
launcher fills in, and with one block of our own, `judge`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from moderation import contract
from moderation.errors import ConfigError
from moderation.policy.source import suggest

Value = int | str
KNOWN: Final = (
    ("instance_group", "count"),
    ("dynamic_batching", "max_queue_delay_microseconds"),
    ("max_batch_size",),
)
"""Settings that can be written back; beside them `parameters/<name>/string_value`."""
MOST: Final = 10_000


@dataclass(frozen=True)
class Axis:
    """One setting of one model.

    Attributes:
        path: of the setting in Triton's model configuration, without list positions.
        values: to try.
    """

    model: str
    path: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def name(self) -> str:
        """As a report says it."""
        inner = [part for part in self.path if part not in ("instance_group", "parameters", "string_value")]
        return f"{self.model} {inner[-1] if inner[-1] != 'count' else 'instances'}"


Choice = Mapping[tuple[str, tuple[str, ...]], Value]
"""A value for each (model, path); what is not in it stays as the profile has it."""


@dataclass(frozen=True)
class Judge:
    """How candidates are measured against each other.

    Attributes:
        search: `model-analyzer`, or `in-turn`: one setting after the other over every composing model.
        concurrency: requests in flight, the same for every candidate.
        seconds: of one measurement.
        rounds: measurements of each candidate, in turn with the others.
        finalists: most candidates that are measured again after the search.
        margin: share by which a candidate has to be faster to replace what is there.
        p95_ms: slower candidates do not count; none when it is 0.
    """

    search: Literal["model-analyzer", "in-turn"] = "model-analyzer"
    concurrency: int = 4
    seconds: float = 5.0
    rounds: int = 5
    finalists: int = 3
    margin: float = 0.03
    p95_ms: float = 0.0


@dataclass(frozen=True)
class Space:
    """One sweep.

    Attributes:
        model: that is measured.
        axes: of it and of the models that it calls.
        fixed: settings with one value: what is there, said because a search varies them unless it is told not to.
        analyzer: the configuration for Model Analyzer, without `judge`.
    """

    model: str
    axes: tuple[Axis, ...]
    fixed: tuple[Axis, ...]
    judge: Judge
    analyzer: Mapping[str, Any]

    @property
    def models(self) -> list[str]:
        """Every model with an axis, the measured one last."""
        return sorted({axis.model for axis in self.axes}, key=lambda name: (name == self.model, name))

    def combinations(self) -> int:
        """How many there are."""
        total = 1
        for axis in self.axes:
            total *= len(axis.values)
        return total

    def choices(self) -> Iterator[Choice]:
        """Every combination."""
        for values in itertools.product(*(axis.values for axis in self.axes)):
            yield {(a.model, a.path): v for a, v in zip(self.axes, values, strict=True)}


def load(path: Path) -> Space:
    """Read a sweep.

    Raises:
        ConfigError: with every fault of the file.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    faults: list[str] = []
    if not isinstance(document, dict) or not isinstance(document.get("profile_models"), dict):
        raise ConfigError(f"{path}: `profile_models` must name the model that is measured")
    judge = _judge(document.pop("judge", {}), faults)
    profiled: dict[str, Any] = document["profile_models"]
    if len(profiled) != 1:
        faults.append(f"profile_models names {len(profiled)} models; one is expected")
    inner = document.get("bls_composing_models", [])
    if not isinstance(inner, list):
        # Model Analyzer would take a mapping for more models to profile
        faults.append("bls_composing_models must be a list of one-key mappings")
        inner = []
    axes: list[Axis] = []
    fixed: list[Axis] = []
    for entry in (profiled, *inner):
        for model, settings in entry.items() if isinstance(entry, dict) else ():
            if model not in contract.MODELS:
                faults.append(f"no model `{model}`{suggest(str(model), list(contract.MODELS))}")
                continue
            varied = settings.get("model_config_parameters", {}) if isinstance(settings, dict) else {}
            found = [Axis(model, place, values) for place, values in _walk(varied, ())]
            axes += [axis for axis in found if len(axis.values) > 1]
            fixed += [axis for axis in found if len(axis.values) == 1]
    for axis in (*axes, *fixed):
        if axis.path not in KNOWN and not (axis.path[0] == "parameters" and axis.path[-1] == "string_value"):
            faults.append(f"{axis.name}: {'/'.join(axis.path)} is no setting that can be written back")
    space = Space(next(iter(profiled), ""), tuple(axes), tuple(fixed), judge, document)
    if not axes:
        faults.append("nothing varies: model_config_parameters has no list")
    elif judge.search == "model-analyzer" and space.combinations() > MOST:
        faults.append(f"{space.combinations()} combinations; at most {MOST}, or `search: in-turn`")
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return space


def _judge(block: Any, faults: list[str]) -> Judge:
    known = {field.name: field.default for field in fields(Judge)}
    if not isinstance(block, dict):
        faults.append("judge must be a mapping")
        return Judge()
    for name, value in block.items():
        if name not in known:
            faults.append(f"judge.{name} is unknown; allowed: {', '.join(known)}{suggest(str(name), list(known))}")
        elif name == "search":
            if value not in ("model-analyzer", "in-turn"):
                faults.append(f"judge.search is `{value}`; allowed: model-analyzer, in-turn")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            faults.append(f"judge.{name} is `{value}`; a number from 0 on is expected")
    return Judge(**{name: value for name, value in block.items() if name in known}) if not faults else Judge()


def _walk(node: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[Value, ...]]]:
    """Lists of scalars are values to try; a list of mappings is a repeated field of the configuration."""
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield from _walk(inner, (*place, str(name)))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        if all(isinstance(item, Mapping) for item in node):
            for item in node:
                yield from _walk(item, place)
        else:
            yield place, tuple(node)
