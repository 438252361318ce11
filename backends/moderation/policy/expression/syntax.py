"""The tree of an expression. `at` and `end` are offsets in the source, for faults and for evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Node:
    """Any part of an expression."""

    at: int
    end: int


@dataclass(frozen=True)
class Literal(Node):
    """A bool, int, float, str or None."""

    value: Any


@dataclass(frozen=True)
class Name(Node):
    """A signal or the variable of a macro."""

    name: str


@dataclass(frozen=True)
class Member(Node):
    """`of.name`."""

    of: Node
    name: str


@dataclass(frozen=True)
class Index(Node):
    """`of[key]`."""

    of: Node
    key: Node


@dataclass(frozen=True)
class Call(Node):
    """`name(args)`, or `of.name(args)`."""

    of: Node | None
    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`!x` or `-x`."""

    sign: str
    of: Node


@dataclass(frozen=True)
class Binary(Node):
    """Two operands and a sign."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Choice(Node):
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True)
class Items(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Macro(Node):
    """`of.exists(name, test)` or `of.all(name, test)`."""

    kind: str
    of: Node
    name: str
    test: Node
