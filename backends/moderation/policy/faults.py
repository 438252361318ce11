"""Faults of a YAML file in words for a person who does not program: line, path, value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from moderation.policy.rule_schema import KINDS, PATTERNS
from moderation.policy.source import Path_, Source, dotted, suggest


class Faults:
    """Faults of one file with their lines."""

    def __init__(self, file: str, source: Source) -> None:
        self.file = file
        self.source = source
        self._found: set[tuple[int, str]] = set(source.faults)
        self._once: set[Path_] = set()

    def any(self) -> bool:
        """Whether there are faults."""
        return bool(self._found)

    def add(self, path: Path_, text: str) -> None:
        """Note that the value at a path is wrong; the sentence goes on after the path."""
        self._found.add((self.source.line(path), f"{dotted(path)} {text}"))

    def add_once(self, path: Path_, text: str) -> None:
        """The same for what several profiles find in the rule that they inherit: the first sentence is enough."""
        if path not in self._once:
            self._once.add(path)
            self.add(path, text)

    def add_all(self, error: ValidationError, model: type[BaseModel], at: Path_ = ()) -> None:
        """Note everything that pydantic found in the value at a path."""
        for item in error.errors(include_url=False):
            if item["loc"][-1:] == ("literal['never']",):
                continue  # the number beside it in the union has its own sentence
            path, text = self._explain(at, item["loc"], item["type"], item.get("input"), item.get("ctx", {}), model)
            self.add(path, text)

    def lines(self) -> tuple[str, ...]:
        """One line for each fault, in the order of the file."""
        return tuple(f"{self.file}:{line}: {text}" for line, text in sorted(self._found))

    def _explain(
        self, at: Path_, loc: Path_, kind: str, value: Any, ctx: Mapping[str, Any], model: type[BaseModel]
    ) -> tuple[Path_, str]:
        path = at
        for part in loc:  # pydantic puts names of union members between the keys
            if self.source.has((*path, part)) or (kind == "missing" and part == loc[-1]):
                path = (*path, part)
        simple = isinstance(value, str | int | float)
        shown = "empty" if value is None else repr(value) if simple else type(value).__name__
        if kind == "missing":
            return path[:-1], f"lacks `{path[-1]}`"
        if kind == "extra_forbidden":
            inner = path[len(at) : -1]
            allowed = sorted(_model_at(model, inner, _at(self.source.data, at)).model_fields)
            return path, f"is not a known key; allowed: {', '.join(allowed)}{suggest(path[-1], allowed)}"
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            seen = value.get("kind") if isinstance(value, dict) else None
            say = f"has kind {seen!r}" if seen is not None else "lacks `kind`"
            return path, f"{say}; allowed: {', '.join(KINDS)}{suggest(seen, KINDS)}"
        if kind == "value_error":
            return path, str(ctx["error"])  # a validator's own sentence
        if kind == "literal_error":
            allowed_text = str(ctx.get("expected", "")).replace("'", "")
            choices = allowed_text.replace(" or ", ", ").split(", ")
            return path, f"is {shown}; allowed: {allowed_text}{suggest(value, choices)}"
        return path, f"is {shown}; {_wanted(path, kind, ctx)}"


def _wanted(path: Path_, kind: str, ctx: Mapping[str, Any]) -> str:
    words = {
        "string_type": "text is expected; put it in quotes",
        "bool_type": "true or false is expected",
        "int_type": "a whole number is expected",
        "float_type": "a number is expected" + (" (or `never`)" if path[-1:] in (("review",), ("block",)) else ""),
        "finite_number": "a finite number is expected",
        "list_type": "a list is expected",
        "dict_type": "a mapping (`key: value`) is expected",
        "model_type": "a mapping (`key: value`) is expected",
        "model_attributes_type": "a mapping (`key: value`) is expected",
        "greater_than": f"it must be above {ctx.get('gt')}",
        "greater_than_equal": f"it must be {ctx.get('ge')} or more",
        "less_than_equal": f"it must be {ctx.get('le')} or less",
        "string_pattern_mismatch": f"allowed: {PATTERNS.get(ctx.get('pattern', ''), ctx.get('pattern'))}",
        "too_short": f"it needs {ctx.get('min_length')} or more",
        "string_too_short": f"it needs {ctx.get('min_length')} or more characters",
        "string_too_long": f"it may have {ctx.get('max_length')} characters",
    }
    return words.get(kind, f"it is refused ({kind})")


def _at(data: Any, path: Path_) -> Any:
    for part in path:
        data = _below(data, part)
    return data


def _below(data: Any, part: Any) -> Any:
    """The value of a key or index; pydantic gives a key that is a number of more than 64 bits as text."""
    if isinstance(data, dict) and part not in data:
        return next(value for key, value in data.items() if str(key) == str(part))
    return data[part]


def _model_at(model: type[BaseModel], path: Path_, data: Any) -> type[BaseModel]:
    """The model of the mapping at a path below a model."""
    here: Any = model
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(part)].annotation
        else:
            here = get_args(here)[-1]
        data = _below(data, part)
        here = _choose(here, data)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else model


def _choose(annotation: Any, data: Any) -> Any:
    """The member of a union that a mapping or list is meant to be."""
    options = list(_options(annotation))
    kind = data.get("kind") if isinstance(data, dict) else None
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel) and KINDS.get(str(kind), option) is option:
            return option
    return next((option for option in options if get_origin(option) in (dict, list)), options[0])


def _options(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _options(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
