"""policy.yaml as data, with the line of every value, so that each fault can be pointed at."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from difflib import get_close_matches
from typing import Any

import yaml

Path_ = tuple[str | int, ...]
MAX_DEPTH = 20
"""Levels of nesting; a policy has 7."""
MAX_VALUES = 200_000
"""Values after references are written out, so that a few lines cannot become billions."""


def suggest(value: object, allowed: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest allowed value, or nothing."""
    names = {name.casefold(): name for name in sorted(allowed)}
    near = get_close_matches(str(value).casefold(), names, n=1, cutoff=0.6)
    return f"; did you mean `{names[near[0]]}`?" if near else ""


def dotted(path: Path_) -> str:
    """A path as people write it: `profiles.default.rules[0].id`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the file"


class Source:
    """One YAML file.

    Attributes:
        data: what the file says; None when it cannot be read.
        faults: (line, sentence) of syntax faults, repeated keys and references to itself.
    """

    def __init__(self, text: str) -> None:
        self.data: Any = None
        self.faults: list[tuple[int, str]] = []
        self._lines: dict[Path_, int] = {}
        self._values = 0
        loader = yaml.SafeLoader(text) if self._readable(text) else None
        if loader is None:
            return
        try:
            node = loader.get_single_node()
            if node is None:
                self.faults.append((1, "the file is empty"))
                return
            self._walk(node, ())
            if not self.faults:
                self.data = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.faults.append((mark.line + 1 if mark else 1, f"not valid YAML: {error.problem or error.context}"))
        except (ValueError, RecursionError) as error:  # dates such as 2026-13-45; thousands of brackets
            self.faults.append((1, f"not valid YAML: {error}"))

    def _readable(self, text: str) -> bool:
        """YAML refuses control characters before anything else."""
        bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
        if bad:
            line = text.count("\n", 0, bad.start()) + 1
            self.faults.append((line, f"not valid YAML: the control character {bad.group()!r} is not allowed"))
        return bad is None

    def line(self, path: Path_) -> int:
        """Line of the value at a path, or of its nearest parent that is in the file."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def has(self, path: Path_) -> bool:
        """Whether the file has something at a path."""
        return path in self._lines

    def _walk(self, node: yaml.Node, path: Path_) -> None:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        self._values += 1
        if self._values == MAX_VALUES:
            top = self.line(path[:1])  # a reference's own line is where its target stands
            self.faults.append((top, f"holds more than {MAX_VALUES} values; move terms to lists/*.txt"))
        if self._values >= MAX_VALUES:
            return
        if len(path) > MAX_DEPTH:
            self.faults.append(
                (line, f"{dotted(path[:3])}… is nested deeper than {MAX_DEPTH} levels or contains itself")
            )
            return
        if isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                self._walk(item, (*path, i))
        elif isinstance(node, yaml.MappingNode):
            seen: set[Hashable] = set()
            for key, value in node.value:
                name = str(key.value)
                here = key.start_mark.line + 1
                if name in seen:
                    self.faults.append((here, f"{dotted((*path, name))} is there twice; keep one"))
                seen.add(name)
                self._lines[(*path, name)] = here
                self._walk(value, (*path, name))
