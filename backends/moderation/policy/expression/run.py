"""A checked tree to a function of the signals. Built once, when a policy loads."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from moderation.policy.expression import syntax
from moderation.policy.expression.syntax import Node
from moderation.policy.expression.values import ERROR, Partial, Scope, Unknown, join

Run = Callable[[Scope], Any]
_FAULT: Final = Unknown(frozenset((ERROR,)))
_COMPARE: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_MIRROR: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_METHODS: Final[dict[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}
_WHOLE: Final = range(-(2**63), 2**63)


def build(node: Node) -> Run:
    """The function that evaluates a tree that `check` has accepted: a value or an Unknown; it never raises."""
    if isinstance(node, syntax.Literal):
        value = node.value
        return lambda scope: value
    if isinstance(node, syntax.Name):
        return _name(node.name)
    if isinstance(node, syntax.Member):
        return _member(node)
    if isinstance(node, syntax.Index):
        return _index(node)
    if isinstance(node, syntax.Unary):
        return _unary(node)
    if isinstance(node, syntax.Binary):
        return _binary(node)
    if isinstance(node, syntax.Choice):
        return _choice(node)
    if isinstance(node, syntax.Macro):
        return _macro(node)
    if isinstance(node, syntax.Items):
        items = [build(item) for item in node.items]
        return lambda scope: [item(scope) for item in items]
    if isinstance(node, syntax.Call):
        return _function(node) if node.of is None else _method(node, node.of)
    raise TypeError(f"{type(node).__name__} is no part of the language")


def _name(name: str) -> Run:
    return lambda scope: scope.values.get(name, scope.item)


def _member(node: syntax.Member) -> Run:
    of, name = build(node.of), node.name

    def run(scope: Scope) -> Any:
        owner = of(scope)
        if isinstance(owner, Unknown):
            return owner
        if name in owner:
            return owner[name]
        return Unknown(frozenset((f"subject.{name}",)))  # records have all their members, only attributes are free

    return run


def _index(node: syntax.Index) -> Run:
    of, key = build(node.of), build(node.key)

    def run(scope: Scope) -> Any:
        owner, place = of(scope), key(scope)
        if (lost := join(owner, place)) is not None:
            return lost
        if isinstance(owner, dict):
            return owner[place] if place in owner else Unknown(frozenset((f"subject.{place}",)))
        items = owner.items if isinstance(owner, Partial) else owner
        if 0 <= place < len(items):
            return items[place]
        return Unknown(owner.causes) if isinstance(owner, Partial) else _FAULT

    return run


def _unary(node: syntax.Unary) -> Run:
    of = build(node.of)

    def negate(scope: Scope) -> Any:
        value = of(scope)
        return value if isinstance(value, Unknown) else not value if isinstance(value, bool) else _FAULT

    def minus(scope: Scope) -> Any:
        value = of(scope)
        return value if isinstance(value, Unknown) else _number(-value) if _is_number(value) else _FAULT

    return negate if node.sign == "!" else minus


def _binary(node: syntax.Binary) -> Run:
    left, right = build(node.left), build(node.right)
    if node.sign in ("&&", "||"):
        return _logic(left, right, decisive=node.sign == "||")
    if node.sign in _COMPARE:
        return _compare(left, right, node.sign)
    if node.sign in ("==", "!="):
        wanted = node.sign == "=="

        def equal(scope: Scope) -> Any:
            a, b = left(scope), right(scope)
            return lost if (lost := join(a, b)) is not None else _same(a, b) is wanted

        return equal
    if node.sign == "in":
        return _in(left, right)
    return _arithmetic(left, right, node.sign)


def _logic(left: Run, right: Run, *, decisive: bool) -> Run:
    """`||` is decided by one true side, `&&` by one false side, whatever the other is."""

    def run(scope: Scope) -> Any:
        a = left(scope)
        if a is decisive:
            return decisive
        b = right(scope)
        if b is decisive:
            return decisive
        if isinstance(a, bool) and isinstance(b, bool):
            return not decisive
        return join(a, b) or _FAULT  # an attribute that is no condition

    return run


def _compare(left: Run, right: Run, sign: str) -> Run:
    compare, mirrored = _COMPARE[sign], _COMPARE[_MIRROR[sign]]
    upward = sign in (">", ">=")

    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        if isinstance(a, Unknown):
            return _at_least(a, b, compare, true_above=upward)
        if isinstance(b, Unknown):
            return _at_least(b, a, mirrored, true_above=not upward)
        if (_is_number(a) and _is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
            return compare(a, b)
        return _FAULT

    return run


def _at_least(lost: Unknown, limit: Any, compare: Callable[[Any, Any], bool], *, true_above: bool) -> Any:
    """A comparison that what is known of a number may decide already."""
    if isinstance(limit, Unknown):
        return join(lost, limit)
    if lost.low is not None and _is_number(limit) and compare(lost.low, limit) is true_above:
        return true_above
    return Unknown(lost.causes)


def _in(left: Run, right: Run) -> Run:
    def run(scope: Scope) -> Any:
        value, place = left(scope), right(scope)
        if isinstance(place, dict):
            return value if isinstance(value, Unknown) else value in place
        items = place.items if isinstance(place, Partial) else place
        if (lost := join(value)) is not None:
            return lost
        if any(not isinstance(item, Unknown) and _same(value, item) for item in items):
            return True
        more = Unknown(place.causes) if isinstance(place, Partial) else None
        return join(*items, more) or False

    return run


def _arithmetic(left: Run, right: Run, sign: str) -> Run:
    def run(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        if (lost := join(a, b)) is not None:
            return lost
        if sign == "+":
            return _number(a + b)
        if sign == "-":
            return _number(a - b)
        if sign == "*":
            return _number(a * b)
        if b == 0:
            return _FAULT
        if isinstance(a, float):
            return _number(a / b)
        quotient = abs(a) // abs(b) * (1 if (a < 0) is (b < 0) else -1)  # towards zero, as CEL has it
        return _number(quotient if sign == "/" else a - b * quotient)

    return run


def _choice(node: syntax.Choice) -> Run:
    test, yes, no = build(node.test), build(node.yes), build(node.no)

    def run(scope: Scope) -> Any:
        chosen = test(scope)
        if isinstance(chosen, bool):
            return yes(scope) if chosen else no(scope)
        return chosen if isinstance(chosen, Unknown) else _FAULT

    return run


def _macro(node: syntax.Macro) -> Run:
    of, test, decisive = build(node.of), build(node.test), node.kind == "exists"

    def run(scope: Scope) -> Any:
        place = of(scope)
        items, more = (place.items, Unknown(place.causes)) if isinstance(place, Partial) else (place, None)
        lost: list[Any] = [more]
        for item in items:
            scope.item = item
            found = test(scope)
            if found is decisive:
                return decisive
            if not isinstance(found, bool):
                lost.append(found if isinstance(found, Unknown) else _FAULT)
        return join(*lost) or (not decisive)

    return run


def _method(node: syntax.Call, owner: Node) -> Run:
    of = build(owner)
    if node.name == "size":
        return lambda scope: _size(of(scope))
    method, arg = _METHODS[node.name], build(node.args[0])

    def run(scope: Scope) -> Any:
        text, part = of(scope), arg(scope)
        if (lost := join(text, part)) is not None:
            return lost
        return method(text, part) if isinstance(text, str) and isinstance(part, str) else _FAULT

    return run


def _function(node: syntax.Call) -> Run:
    if isinstance(node.args[0], syntax.Member) and node.name == "has":
        return _has(node.args[0])
    first = build(node.args[0])
    if node.name == "size":
        return lambda scope: _size(first(scope))
    name = node.args[0].value if isinstance(node.args[0], syntax.Literal) else ""
    if node.name == "label":

        def label(scope: Scope) -> Any:
            score = scope.best_score(name)
            return Unknown(scope.labels_lost, low=score) if scope.labels_lost else score

        return label
    if node.name == "count":
        least = build(node.args[1])

        def count(scope: Scope) -> Any:
            limit = least(scope)
            if isinstance(limit, Unknown):
                return limit
            found = scope.count(name, limit)
            return Unknown(scope.labels_lost, low=found) if scope.labels_lost else found

        return count
    if node.name == "hits":
        return lambda scope: scope.rules[name]

    def rule(scope: Scope) -> Any:
        found = scope.rules[name]
        return found if isinstance(found, Unknown) and not found.low else isinstance(found, Unknown) or found > 0

    return rule


def _has(member: syntax.Member) -> Run:
    of, name = build(member.of), member.name
    return lambda scope: name in of(scope)


def _size(value: Any) -> Any:
    if isinstance(value, Unknown):
        return Unknown(value.causes)
    if isinstance(value, Partial):
        return Unknown(value.causes, low=len(value.items))
    return len(value) if isinstance(value, str | list) else _FAULT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(a: Any, b: Any) -> bool:
    """Equality without conversions: true is not 1."""
    return bool(a == b) and isinstance(a, bool) is isinstance(b, bool)


def _number(value: Any) -> Any:
    """A result that is too large for its type, or no number, is an error: it must not decide anything."""
    sound = math.isfinite(value) if isinstance(value, float) else value in _WHOLE
    return value if sound else _FAULT
