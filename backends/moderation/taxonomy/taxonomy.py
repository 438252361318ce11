"""`taxonomy.yaml` as an object. A name is up to three parts joined by `/`, of small letters, digits, - and _."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from moderation.errors import ConfigError

FILE: Final = Path(__file__).with_name("taxonomy.yaml")
CUSTOM: Final = "custom"
"""Topic whose names need no declaration."""
LEVELS: Final = 3
_PART: Final = r"[a-z0-9]+(?:[_-][a-z0-9]+)*"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART}){{0,{LEVELS - 1}}}")


def parents(name: str) -> tuple[str, ...]:
    """The names above a name, topic first: `a/b/c` has `a` and `a/b`."""
    parts = name.split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts)))


@dataclass(frozen=True)
class Taxonomy:
    """Every declared name with its description.

    Attributes:
        version: semantic version of the file.
        labels: description by name, in the order of the file; every parent of a name is there.
        content_types: description by name; these have no levels.
    """

    version: str
    labels: Mapping[str, str]
    content_types: Mapping[str, str]

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> Taxonomy:
        """The taxonomy of this release."""
        return Taxonomy.read(FILE)

    @classmethod
    def read(cls, path: Path) -> Taxonomy:
        """A taxonomy file, checked.

        Raises:
            ConfigError: with every fault: a name of another form, a name without its parent, a missing description.
        """
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        labels, content_types = dict(document["labels"]), dict(document["content_types"])
        faults = [
            f"`{name}` must be 1 to {LEVELS} parts of small letters, digits, - and _, joined by /"
            for name in (*labels, *content_types)
            if not _NAME.fullmatch(name) or is_custom(name)
        ]
        faults += [
            f"`{name}` needs a line for `{above}`" for name in labels for above in parents(name) if above not in labels
        ]
        faults += [
            f"`{name}` needs a description" for name, text in (*labels.items(), *content_types.items()) if not text
        ]
        faults += [f"`{name}` is a label and a content type" for name in labels if name in content_types]
        if faults:
            raise ConfigError(f"{path}: " + "; ".join(faults))
        return cls(document["version"], labels, content_types)

    def knows(self, name: str) -> bool:
        """Whether a label or content type (a leaf or a name above leaves) may be used: declared, or custom."""
        return name in self.labels or name in self.content_types or is_custom(name)

    def suggest(self, name: str) -> str | None:
        """The declared name that an unknown name most likely means; None when nothing is near."""
        near = get_close_matches(name.casefold(), [*self.labels, *self.content_types], n=1, cutoff=0.6)
        return near[0] if near else None

    def children(self, name: str) -> tuple[str, ...]:
        """Declared names one level below; of the empty name the topics."""
        return tuple(n for n in self.labels if n.rpartition("/")[0] == name)

    def leaves(self) -> tuple[str, ...]:
        """Declared labels with nothing below them."""
        above = {parent for name in self.labels for parent in parents(name)}
        return tuple(name for name in self.labels if name not in above)


def is_custom(name: str) -> bool:
    """Whether a name is one that a model of one's own may bring: `custom`, or one or two parts below it."""
    return name.split("/")[0] == CUSTOM and _NAME.fullmatch(name) is not None
