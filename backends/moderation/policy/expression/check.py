"""Static checks: every name exists, every operation has operands that fit, and the whole is a condition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from moderation.policy.expression import kinds, syntax
from moderation.policy.expression.kinds import Kind, Vocabulary
from moderation.policy.expression.syntax import Node

Fault = tuple[int, str]
"""Offset in the source, and a sentence that goes on after it."""
_ORDERED: Final = ("<", "<=", ">", ">=")


def check(tree: Node, vocabulary: Vocabulary) -> list[Fault]:
    """All faults of an expression; none when it is a condition that can be evaluated."""
    checker = _Checker(vocabulary)
    kind = checker.kind(tree)
    if kind.name not in ("bool", "any"):
        checker.fault(tree, f"is {_a(kind)}; a condition (true or false) is expected, such as `... >= 0.5`")
    return checker.faults


def _a(kind: Kind) -> str:
    return "a condition" if kind.name == "bool" else "attributes" if kind.name == "attributes" else f"a {kind.name}"


class _Checker:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.faults: list[Fault] = []
        self._known = vocabulary
        self._locals: dict[str, Kind] = {}

    def fault(self, node: Node, text: str) -> Kind:
        self.faults.append((node.at, text))
        return kinds.ANY

    def kind(self, node: Node) -> Kind:  # one line for each form of the language
        if isinstance(node, syntax.Literal):
            return _of_literal(node)
        if isinstance(node, syntax.Name):
            return self._name(node)
        if isinstance(node, syntax.Member):
            return self._member(node)
        if isinstance(node, syntax.Index):
            return self._index(node)
        if isinstance(node, syntax.Unary):
            return self._unary(node)
        if isinstance(node, syntax.Binary):
            return self._binary(node)
        if isinstance(node, syntax.Choice):
            return self._choice(node)
        if isinstance(node, syntax.Macro):
            return self._macro(node)
        if isinstance(node, syntax.Items):
            return self._items(node)
        if isinstance(node, syntax.Call):
            return self._function(node) if node.of is None else self._method(node, node.of)
        raise TypeError(f"{type(node).__name__} is no part of the language")

    # --- names

    def _name(self, node: syntax.Name) -> Kind:
        if node.name in self._locals:
            return self._locals[node.name]
        if node.name in kinds.SIGNALS:
            return kinds.SIGNALS[node.name]
        known = [*kinds.SIGNALS, *self._locals]
        if node.name in kinds.FUNCTIONS:
            return self.fault(node, f"`{node.name}` is a function; call it: {kinds.FUNCTIONS[node.name][0]}")
        return self.fault(node, f"`{node.name}` is not a signal; {self._allowed(node.name, known)}")

    def _allowed(self, name: str, known: Iterable[str]) -> str:
        names = sorted(known)
        return f"allowed: {', '.join(names)}{self._known.suggest(name, names)}"

    def _member(self, node: syntax.Member) -> Kind:
        of = self.kind(node.of)
        if of.name == "record":
            if node.name in of.members:
                return of.members[node.name]
            return self.fault(node, f"has no member `{node.name}`; {self._allowed(node.name, of.members)}")
        if of.name == "attributes":
            return kinds.ATTRIBUTE
        if of.name == "any":
            return of
        return self.fault(node, f"`.{node.name}` is asked of {_a(of)}, which has no members")

    def _index(self, node: syntax.Index) -> Kind:
        of, key = self.kind(node.of), self.kind(node.key)
        if of.name == "attributes":
            if key.name not in ("text", "any"):
                return self.fault(node.key, 'is not the name of an attribute; write subject["name"]')
            return kinds.ATTRIBUTE
        if of.name == "list" and of.item is not None:
            if key.name not in ("whole number", "any"):
                return self.fault(node.key, "is not a place in a list; places are whole numbers from 0 on")
            return of.item
        return of if of.name == "any" else self.fault(node, f"`[...]` is asked of {_a(of)}; only lists have places")

    # --- operations

    def _unary(self, node: syntax.Unary) -> Kind:
        of = self.kind(node.of)
        if node.sign == "!":
            self._demand(node.of, of, ("bool",), "`!` turns a condition round")
            return kinds.BOOL
        self._demand(node.of, of, ("number", "whole number"), "`-` is for numbers")
        return of

    def _demand(self, node: Node, kind: Kind, allowed: tuple[str, ...], why: str) -> None:
        if kind.name not in (*allowed, "any", "attribute"):
            self.fault(node, f"is {_a(kind)}; {why}")

    def _binary(self, node: syntax.Binary) -> Kind:
        left, right = self.kind(node.left), self.kind(node.right)
        if node.sign in ("&&", "||"):
            for part, kind in ((node.left, left), (node.right, right)):
                self._demand(part, kind, ("bool",), f"`{node.sign}` joins conditions, such as `... >= 0.5`")
            return kinds.BOOL
        if node.sign == "in":
            return self._in(node, left, right)
        if node.sign in ("==", "!=", *_ORDERED):
            self._domain(left, node.right)
            self._domain(right, node.left)
            if not _comparable(left, right, ordered=node.sign in _ORDERED):
                self.fault(node, f"`{node.sign}` compares {_a(left)} with {_a(right)}; both must be of one type")
            return kinds.BOOL
        return self._arithmetic(node, left, right)

    def _arithmetic(self, node: syntax.Binary, left: Kind, right: Kind) -> Kind:
        if "any" in (left.name, right.name):
            return kinds.ANY
        if left.is_number() and left.name == right.name and not (node.sign == "%" and left == kinds.DOUBLE):
            return left
        hint = "; write whole numbers with a point (2.0)" if left.is_number() and right.is_number() else ""
        return self.fault(
            node, f"`{node.sign}` joins {_a(left)} and {_a(right)}; both must be numbers of one type{hint}"
        )

    def _in(self, node: syntax.Binary, left: Kind, right: Kind) -> Kind:
        if right.name == "attributes":
            self._demand(node.left, left, ("text",), "attributes have names, which are text")
            return kinds.BOOL
        if right.name not in ("list", "any"):
            self.fault(node.right, f"is {_a(right)}; `in` looks into a list: x in ['a', 'b']")
        elif right.item is not None and not _comparable(left, right.item, ordered=False):
            self.fault(node, f"looks for {_a(left)} among items that are each {_a(right.item)}")
        if isinstance(node.right, syntax.Items):
            for item in node.right.items:
                self._domain(left, item)
        return kinds.BOOL

    def _domain(self, kind: Kind, other: Node) -> None:
        """A text that is compared with names of some kind must be such a name."""
        if kind.domain and isinstance(other, syntax.Literal) and isinstance(other.value, str):
            self._known_name(kind.domain, other, other.value)

    def _known_name(self, domain: str, node: Node, name: str) -> None:
        if domain == "format":
            if name not in self._known.formats:
                self.fault(node, f"`{name}` is not a format; {self._allowed(name.upper(), self._known.formats)}")
        elif not self._known.has(domain, name):
            near = self._known.names.suggest(name)
            self.fault(node, f"`{name}` is not a {domain}" + (f"; did you mean `{near}`?" if near else ""))

    def _choice(self, node: syntax.Choice) -> Kind:
        self._demand(node.test, self.kind(node.test), ("bool",), "what stands before `?` must be a condition")
        yes, no = self.kind(node.yes), self.kind(node.no)
        if "any" not in (yes.name, no.name) and yes.name != no.name:
            return self.fault(node, f"gives {_a(yes)} or {_a(no)}; both must be of one type")
        return yes

    def _items(self, node: syntax.Items) -> Kind:
        found = [self.kind(item) for item in node.items]
        if not found:
            return self.fault(node, "is an empty list; nothing is in it")
        for item, kind in zip(node.items[1:], found[1:], strict=True):
            if not _comparable(found[0], kind, ordered=False):
                self.fault(item, f"is {_a(kind)} in a list that starts with {_a(found[0])}")
        return kinds.list_of(found[0])

    def _macro(self, node: syntax.Macro) -> Kind:
        of = self.kind(node.of)
        if self._locals:
            return self.fault(node, f"`{node.kind}` stands inside another one; one level is allowed")
        if node.name in kinds.SIGNALS:
            return self.fault(node, f"`{node.name}` is a signal; name the item otherwise, for example `x`")
        if of.name not in ("list", "any") or not isinstance(node.of, syntax.Name | syntax.Items):
            return self.fault(node, f"`{node.kind}` is asked of {_a(of)}; it goes over labels, lines or codes")
        self._locals[node.name] = of.item or kinds.ANY
        self._demand(node.test, self.kind(node.test), ("bool",), f"`{node.kind}` needs a condition")
        self._locals.clear()
        return kinds.BOOL

    # --- calls

    def _method(self, node: syntax.Call, owner: Node) -> Kind:
        of = self.kind(owner)
        found = [self.kind(arg) for arg in node.args]
        if node.name not in kinds.METHODS:
            return self.fault(node, f"`.{node.name}()` does not exist; {self._allowed(node.name, kinds.METHODS)}")
        if node.name == "size":
            self._demand(owner, of, ("text", "list"), "`size` is for text and lists")
            if node.args:
                self.fault(node, "`.size()` takes nothing")
            return kinds.INT
        self._demand(owner, of, ("text",), f"`.{node.name}()` is for text")
        if len(found) != 1 or found[0].name not in ("text", "any", "attribute"):
            self.fault(node, f'`.{node.name}()` takes one text: .{node.name}("...")')
        return kinds.BOOL

    def _function(self, node: syntax.Call) -> Kind:
        if node.name not in kinds.FUNCTIONS:
            return self.fault(node, f"`{node.name}()` does not exist; {self._allowed(node.name, kinds.FUNCTIONS)}")
        usage = f"is called like this: {kinds.FUNCTIONS[node.name][0]}"
        wanted = 2 if node.name == "count" else 1
        if len(node.args) != wanted:
            return self.fault(node, usage)
        if node.name == "size":
            self._demand(node.args[0], self.kind(node.args[0]), ("text", "list"), usage)
            return kinds.INT
        if node.name == "has":
            arg = node.args[0]
            if not isinstance(arg, syntax.Member) or self.kind(arg).name not in ("attribute", "any"):
                return self.fault(node, usage)
            return kinds.BOOL
        name = node.args[0]
        if not isinstance(name, syntax.Literal) or not isinstance(name.value, str):
            return self.fault(node, usage)
        if node.name in ("rule", "hits"):
            if name.value not in self._known.rules:
                text = f"`{name.value}` is no rule of this profile that has another kind than expression"
                self.fault(name, f"{text}; {self._allowed(name.value, self._known.rules)}")
            return kinds.BOOL if node.name == "rule" else kinds.INT
        self._known_name("label", name, name.value)
        if node.name == "count":
            self._demand(node.args[1], self.kind(node.args[1]), ("number",), usage)
            return kinds.INT
        return kinds.DOUBLE


def _of_literal(node: syntax.Literal) -> Kind:
    value = node.value
    if isinstance(value, bool):
        return kinds.BOOL
    if isinstance(value, int):
        return kinds.INT
    if isinstance(value, float):
        return kinds.DOUBLE
    return kinds.NULL if value is None else kinds.TEXT


def _comparable(left: Kind, right: Kind, *, ordered: bool) -> bool:
    if {"any", "attribute"} & {left.name, right.name}:
        return True
    if left.is_number() and right.is_number():
        return True
    return left.name == right.name and left.name in (("text",) if ordered else ("text", "bool"))
