"""Conditions that can never hold, or always do, whatever the picture: a rule with one is a mistake."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from moderation.policy.expression import syntax
from moderation.policy.expression.syntax import Node

Fault = tuple[int, str]
_TURN: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_MIRROR: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEVER, _ALWAYS, _DEPENDS = "never", "always", "depends"


@dataclass
class _Range:
    """What earlier conditions leave of one operand."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    only: set[Any] | None = None
    without: set[Any] = field(default_factory=set)

    def empty(self) -> bool:
        if self.low > self.high or (self.low == self.high and (self.low_open or self.high_open)):
            return True
        return self.only is not None and not any(self._holds(value) for value in self.only - self.without)

    def _holds(self, value: Any) -> bool:
        if isinstance(value, str | bool):
            return True
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def narrow(self, sign: str, value: Any) -> None:
        if sign == "==":
            self.only = {value} if self.only is None else self.only & {value}
        elif sign == "!=":
            self.without.add(value)
        elif isinstance(value, int | float):
            if sign in (">", ">=") and (value, sign == ">") > (self.low, self.low_open):
                self.low, self.low_open = value, sign == ">"
            if sign in ("<", "<=") and (value, sign == "<=") < (self.high, not self.high_open):
                self.high, self.high_open = value, sign == "<"


def unreachable(tree: Node, source: str) -> list[Fault]:
    """Faults: parts that can never be true, and an expression that is true for every picture."""
    faults = list(_dead(tree, source, ()))
    if not faults and _always(tree, source):
        faults.append((tree.at, "is true for every picture; a rule needs a condition that depends on the picture"))
    return faults


def _dead(node: Node, source: str, given: tuple[Node, ...]) -> Iterator[Fault]:
    """Alternatives that cannot hold together with what else is asked."""
    if isinstance(node, syntax.Binary) and node.sign == "||":
        yield from _dead(node.left, source, given)
        yield from _dead(node.right, source, given)
        return
    parts = list(_conjuncts(node, turned=False))
    choices = [part for part in parts if isinstance(part, syntax.Binary) and part.sign == "||"]
    rest = (*given, *(part for part in parts if part not in choices))
    if not _possible(rest, source):
        yield node.at, f"can never be true: {_text(node, source)}"
        return
    for choice in choices:
        yield from _dead(choice, source, rest)


def _always(node: Node, source: str) -> bool:
    """Whether its opposite is impossible; `||` is one conjunction when turned round."""
    return not _possible(tuple(_conjuncts(node, turned=True)), source)


def _conjuncts(node: Node, *, turned: bool) -> Iterator[Node]:
    """Conditions that must all hold; with `turned` those for the opposite of the node."""
    if isinstance(node, syntax.Unary) and node.sign == "!":
        yield from _conjuncts(node.of, turned=not turned)
    elif isinstance(node, syntax.Binary) and node.sign == ("||" if turned else "&&"):
        yield from _conjuncts(node.left, turned=turned)
        yield from _conjuncts(node.right, turned=turned)
    elif turned and isinstance(node, syntax.Binary) and node.sign in _TURN:
        yield syntax.Binary(node.at, node.end, _TURN[node.sign], node.left, node.right)
    elif turned:
        yield syntax.Unary(node.at, node.end, "!", node)
    else:
        yield node


def _possible(parts: tuple[Node, ...], source: str) -> bool:
    ranges: dict[str, _Range] = {}
    for part in parts:
        constant = _constant(part)
        if constant is not None:
            if not constant:
                return False
            continue
        key, sign, value = _limit(part, source)
        if key is None:
            continue
        known = ranges.setdefault(key, _start(part))
        if sign == "in":
            known.only = set(value) if known.only is None else known.only & set(value)
        else:
            known.narrow(sign, value)
        if known.empty():
            return False
    return True


def _constant(part: Node) -> bool | None:
    """The truth of a condition without signals; None for others."""
    if isinstance(part, syntax.Literal):
        return bool(part.value)
    if isinstance(part, syntax.Unary) and isinstance(part.of, syntax.Literal):
        return not part.of.value
    if not (isinstance(part, syntax.Binary) and part.sign in _TURN):
        return None
    if not (isinstance(part.left, syntax.Literal) and isinstance(part.right, syntax.Literal)):
        return None
    known = _Range()
    known.narrow("==", part.left.value)
    known.narrow(part.sign, part.right.value)
    return not known.empty()


def _limit(part: Node, source: str) -> tuple[str | None, str, Any]:
    """Operand, sign and literal of a comparison; the operand is None for other conditions."""
    if isinstance(part, syntax.Unary):
        return _text(part.of, source), "==", False
    if isinstance(part, syntax.Binary) and part.sign == "in" and isinstance(part.right, syntax.Items):
        if all(isinstance(item, syntax.Literal) for item in part.right.items):
            return _text(part.left, source), "in", [i.value for i in part.right.items if isinstance(i, syntax.Literal)]
        return None, "", None
    if isinstance(part, syntax.Binary) and part.sign in _TURN:
        if isinstance(part.right, syntax.Literal):
            return _text(part.left, source), part.sign, part.right.value
        if isinstance(part.left, syntax.Literal):
            return _text(part.right, source), _MIRROR[part.sign], part.left.value
        return None, "", None
    return _text(part, source), "==", True


def _start(part: Node) -> _Range:
    """What a signal can be at all: scores are 0-1, sizes and counts 0 or more."""
    operand = part
    if isinstance(part, syntax.Binary):
        operand = part.right if isinstance(part.left, syntax.Literal) else part.left
    if isinstance(operand, syntax.Call) and operand.name == "label":
        return _Range(0.0, 1.0)
    if isinstance(operand, syntax.Member) and operand.name == "score":
        return _Range(0.0, 1.0)
    if isinstance(operand, syntax.Call) and operand.name in ("count", "hits", "size"):
        return _Range(0.0)
    return _Range()


def _text(node: Node, source: str) -> str:
    return " ".join(source[node.at : node.end].split())
