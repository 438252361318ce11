"""The door: text to an expression that can be evaluated and explained, or all of its faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moderation.errors import ExpressionError
from moderation.policy.expression import kinds, syntax
from moderation.policy.expression.check import check
from moderation.policy.expression.kinds import Vocabulary
from moderation.policy.expression.parse import parse
from moderation.policy.expression.reach import unreachable
from moderation.policy.expression.run import Run, build
from moderation.policy.expression.syntax import Node
from moderation.policy.expression.values import Scope, Unknown


@dataclass(frozen=True)
class Atom:
    """One condition of an expression that is not made of others, for explanations.

    Attributes:
        source: as it is written.
        run: its truth.
        operand: the number that it compares, where it compares one with a number.
        limit: that number.
    """

    source: str
    run: Run
    operand: Run | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Expression:
    """A condition over signals.

    Attributes:
        source: as it is written.
        run: True, False or Unknown for a Scope; never raises.
        values: the signals that it reads: (as written, their values).
        triggered_by: where its signals come from; `combination` when from several places.
        rules: ids of the rules that it asks for.
    """

    source: str
    run: Run
    values: tuple[tuple[str, Run], ...]
    atoms: tuple[Atom, ...]
    triggered_by: str
    rules: frozenset[str]

    def holds(self, scope: Scope) -> bool | Unknown:
        """Its truth; what is neither true nor false, such as an attribute that is a number, is an error."""
        found: bool | Unknown = self.run(scope)
        return found


def compile_expression(source: str, vocabulary: Vocabulary) -> tuple[Expression | None, list[str]]:
    """An expression, or sentences for all of its faults, each with its column.

    The first is None when there are faults.
    """
    try:
        tree = parse(source)
    except ExpressionError as error:
        return None, [f"{_place(source, error.at)}: {error.message}"]
    faults = check(tree, vocabulary) or unreachable(tree, source)
    if faults:
        return None, [f"{_place(source, at)}: {text}" for at, text in sorted(set(faults))]
    leaves = {_text(leaf, source): leaf for leaf in _leaves(tree)}
    origins = {kinds.MODALITIES[_root(leaf)] for leaf in leaves.values()}
    rules = frozenset(
        leaf.args[0].value
        for leaf in leaves.values()
        if isinstance(leaf, syntax.Call) and leaf.name in ("rule", "hits") and isinstance(leaf.args[0], syntax.Literal)
    )
    expression = Expression(
        source,
        build(tree),
        tuple((text, build(leaf)) for text, leaf in sorted(leaves.items())),
        tuple(_atom(node, source) for node in _atoms(tree)),
        origins.pop() if len(origins) == 1 else "combination",
        rules,
    )
    return expression, []


def _place(source: str, at: int) -> str:
    """Where a fault is, as people count."""
    if "\n" not in source.strip():
        return f"at character {at + 1}"
    return (
        f"at line {source.count(chr(10), 0, at) + 1} of the expression, character {at - source.rfind(chr(10), 0, at)}"
    )


def _text(node: Node, source: str) -> str:
    return " ".join(source[node.at : node.end].split())


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, syntax.Binary):
        return node.left, node.right
    if isinstance(node, syntax.Choice):
        return node.test, node.yes, node.no
    if isinstance(node, syntax.Unary):
        return (node.of,)
    if isinstance(node, syntax.Call):
        return (*(() if node.of is None else (node.of,)), *node.args)
    if isinstance(node, syntax.Items):
        return node.items
    return ()


def _leaves(node: Node) -> Iterator[Node]:
    """The signals that an expression reads. What a macro's items are asked is told by the macro's list."""
    if isinstance(node, syntax.Macro):
        yield from _leaves(node.of)
    elif isinstance(node, syntax.Name | syntax.Member | syntax.Index) or _asks(node):
        yield node
    else:
        for child in _children(node):
            yield from _leaves(child)


def _asks(node: Node) -> bool:
    return isinstance(node, syntax.Call) and node.name in ("label", "count", "rule", "hits")


def _root(node: Node) -> str:
    """The signal that a leaf belongs to."""
    while isinstance(node, syntax.Member | syntax.Index):
        node = node.of
    return node.name if isinstance(node, syntax.Name | syntax.Call) else ""


def _atoms(node: Node) -> Iterator[Node]:
    if isinstance(node, syntax.Binary) and node.sign in ("&&", "||"):
        yield from _atoms(node.left)
        yield from _atoms(node.right)
    elif isinstance(node, syntax.Unary) and node.sign == "!" and isinstance(node.of, syntax.Binary):
        yield from _atoms(node.of)
    elif isinstance(node, syntax.Choice):
        for part in (node.test, node.yes, node.no):
            yield from _atoms(part)
    else:
        yield node


def _atom(node: Node, source: str) -> Atom:
    operand: Node | None = None
    limit: Any = None
    if isinstance(node, syntax.Binary) and node.sign in ("<", "<=", ">", ">="):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, syntax.Literal) and isinstance(other.value, int | float):
                operand, limit = one, other.value
    return Atom(_text(node, source), build(node), None if operand is None else build(operand), limit)
