"""The licence of each locked package and each model, and whether it may be in the product."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

from moderation.errors import ConfigError
from moderation.models import store

RULES: Final = Path(__file__).with_name("allowed.yaml")
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class Exception_(BaseModel):  # noqa: N801 - the word is taken
    """A licence outside the list that is accepted, for one package or model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    licence: str
    reason: Annotated[str, Field(min_length=10)]


class Rules(BaseModel):
    """allowed.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    allowed: frozenset[str]
    exceptions: Mapping[str, Exception_]
    words: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One package or model.

    Attributes:
        name: of the package, or `model:version`.
        licence: SPDX expression; `unknown` when nothing says it.
        verdict: `allowed`, `exception` or `refused`.
        reason: of an exception, or why it is refused.
    """

    name: str
    version: str
    licence: str
    verdict: str
    reason: str = ""


def rules(path: Path = RULES) -> Rules:
    """The rules.

    Raises:
        ConfigError: the file is wrong.
    """
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from None


def locked(requirements: Path) -> list[tuple[str, str]]:
    """Name and version of each package of requirements.txt."""
    return [(name, version) for name, version in _PINNED.findall(requirements.read_text())]


def packages(requirements: Path, known: Rules) -> Iterator[Part]:
    """Every locked package that is installed here; others are for other Python versions or systems."""
    for name, version in locked(requirements):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if found.version == version:
            yield judge(name, version, spdx(found.metadata, known), known)


def models(repository: Path, known: Rules) -> Iterator[Part]:
    """Every network of a repository, by its manifest."""
    for entry in store.entries(repository):
        yield judge(entry.name, entry.version, entry.manifest.licence, known)


def spdx(found: metadata.PackageMetadata, known: Rules) -> str:
    """The licence that a package's metadata names: its expression (PEP 639), else its classifiers, else its words."""
    said = found.json  # PEP 566
    if expression := said.get("license_expression"):
        return str(expression)
    classifiers = [c.rpartition("::")[2].strip() for c in said.get("classifier", ()) if c.startswith("License")]
    text = str(said.get("license", "")).strip()
    for words in (*classifiers, text):
        if words in known.words:
            return known.words[words]
        if words in known.allowed:
            return words
    return text if text and "\n" not in text and len(text) < 60 else "unknown"


def judge(name: str, version: str, licence: str, known: Rules) -> Part:
    """A part with its verdict."""
    exception = known.exceptions.get(name)
    if exception is not None and exception.licence == licence:
        return Part(name, version, licence, "exception", exception.reason)
    if permitted(licence, known.allowed):
        return Part(name, version, licence, "allowed")
    said = f"its exception is for {exception.licence}" if exception else "not in allowed.yaml"
    return Part(name, version, licence, "refused", said)


def permitted(expression: str, allowed: Iterable[str]) -> bool:
    """Whether an SPDX expression of AND and OR, with parentheses, can be met with allowed licences."""
    names = frozenset(allowed)
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)

    def either(at: int) -> tuple[bool, int]:
        value, at = both(at)
        while at < len(tokens) and tokens[at].upper() == "OR":
            other, at = both(at + 1)
            value = value or other
        return value, at

    def both(at: int) -> tuple[bool, int]:
        value, at = single(at)
        while at < len(tokens) and tokens[at].upper() == "AND":
            other, at = single(at + 1)
            value = value and other
        return value, at

    def single(at: int) -> tuple[bool, int]:
        if at >= len(tokens):
            return False, at
        if tokens[at] == "(":
            value, at = either(at + 1)
            return value, at + 1
        return tokens[at] in names, at + 1

    value, end = either(0)
    return value and end == len(tokens)
