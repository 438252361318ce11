"""Text to the tree of an expression."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from moderation.errors import ExpressionError
from moderation.policy.expression import syntax
from moderation.policy.expression.syntax import Node

MAX_LENGTH: Final = 2000
"""Characters of an expression."""
MAX_DEPTH: Final = 40
"""Levels of nesting."""
MACROS: Final = ("exists", "all")
_INT_MAX: Final = 2**63 - 1
_WORDS: Final = {"true": True, "false": False, "null": None}
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<raw>[rR](?:"[^"\n]*"|'[^'\n]*'))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?"}
_LEVELS: Final = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))


class _Token(NamedTuple):
    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)


def parse(source: str) -> Node:
    """The tree.

    Raises:
        ExpressionError: the text is not an expression, or is too long or too deep.
    """
    if len(source) > MAX_LENGTH:
        raise ExpressionError(f"has {len(source)} characters; an expression may have {MAX_LENGTH}", 0)
    return _Parser(source).whole()


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ExpressionError(_strange(source, at), at)
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    found.append(_Token("end", "", len(source)))
    return found


def _strange(source: str, at: int) -> str:
    char = source[at]
    if char in "\"'":
        return f"text that starts with {char} has no end; close it with {char}"
    meant = {"=": "`==`", "&": "`&&`", "|": "`||`"}.get(char)
    return f"{char!r} has no meaning here" + (f"; did you mean {meant}?" if meant else "")


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = _tokens(source)
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        if self._peek().kind == "end":
            raise ExpressionError("is empty", 0)
        node = self._choice()
        if self._peek().kind != "end":
            self._fail("the end or `&&`, `||` is expected")
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _fail(self, wanted: str) -> None:
        token = self._peek()
        seen = f"`{token.text}`" if token.text else "the end"
        words = {"and": "`&&`", "or": "`||`", "not": "`!`"}
        meant = f"; did you mean {words[token.text]}?" if token.text in words else ""
        raise ExpressionError(f"{seen} stands where {wanted}{meant}", token.at)

    def _is(self, *signs: str) -> bool:
        token = self._peek()
        return token.kind in ("sign", "name") and token.text in signs

    def _expect(self, sign: str) -> _Token:
        if not self._is(sign):
            self._fail(f"`{sign}` is expected")
        return self._take()

    def _choice(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"is nested deeper than {MAX_DEPTH} levels", self._peek().at)
        node = self._binary(0)
        if self._is("?"):
            self._take()
            yes = self._binary(0)
            self._expect(":")
            no = self._choice()
            node = syntax.Choice(node.at, no.end, node, yes, no)
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self._binary(level + 1)
        count = 0
        while self._is(*_LEVELS[level]):
            sign = self._take().text
            right = self._binary(level + 1)
            node = syntax.Binary(node.at, right.end, sign, node, right)
            count += 1
            if count > MAX_DEPTH:  # a long chain is a deep tree
                raise ExpressionError(f"joins more than {MAX_DEPTH} parts; use `in [...]` or several rules", right.at)
        return node

    def _unary(self) -> Node:
        start = self._peek().at
        signs: list[str] = []
        while self._is("!", "-"):
            signs.append(self._take().text)
            if len(signs) > MAX_DEPTH:
                raise ExpressionError(f"is nested deeper than {MAX_DEPTH} levels", start)
        node = self._primary(negative=bool(signs) and signs[-1] == "-")
        if signs and signs[-1] == "-" and isinstance(node, syntax.Literal) and type(node.value) in (int, float):
            signs.pop()
            node = syntax.Literal(start, node.end, -node.value)
        for sign in reversed(signs):
            node = syntax.Unary(start, node.end, sign, node)
        return node

    def _primary(self, *, negative: bool) -> Node:
        node = self._atom(negative=negative)
        for _ in range(MAX_DEPTH):
            if self._is("."):
                self._take()
                node = self._member(node)
            elif self._is("["):
                self._take()
                key = self._choice()
                node = syntax.Index(node.at, self._expect("]").end, node, key)
            else:
                return node
        raise ExpressionError(f"is nested deeper than {MAX_DEPTH} levels", node.at)

    def _member(self, of: Node) -> Node:
        token = self._peek()
        if token.kind != "name":
            self._fail("a name is expected")
        self._take()
        if not self._is("("):
            return syntax.Member(of.at, token.end, of, token.text)
        args, end = self._arguments()
        if token.text not in MACROS:
            return syntax.Call(of.at, end, of, token.text, args)
        if len(args) != 2 or not isinstance(args[0], syntax.Name):
            raise ExpressionError(f"`{token.text}` takes a name and a condition: list.{token.text}(x, x > 0)", token.at)
        return syntax.Macro(of.at, end, token.text, of, args[0].name, args[1])

    def _arguments(self) -> tuple[tuple[Node, ...], int]:
        self._expect("(")
        return self._list(")")

    def _list(self, close: str) -> tuple[tuple[Node, ...], int]:
        items: list[Node] = []
        while not self._is(close):
            items.append(self._choice())
            if not self._is(close):
                self._expect(",")
        return tuple(items), self._take().end

    def _atom(self, *, negative: bool) -> Node:
        token = self._peek()
        if token.kind == "end" or (token.kind == "sign" and token.text not in ("(", "[")):
            self._fail("a value is expected")
        self._take()
        if token.text == "(":
            node = self._choice()
            self._expect(")")
            return node
        if token.text == "[":
            items, end = self._list("]")
            return syntax.Items(token.at, end, items)
        if token.kind != "name":
            return syntax.Literal(token.at, token.end, _value(token, negative=negative))
        if token.text in _WORDS:
            return syntax.Literal(token.at, token.end, _WORDS[token.text])
        if token.text == "in":
            self._next -= 1
            self._fail("a value is expected")
        if self._is("("):
            args, end = self._arguments()
            return syntax.Call(token.at, end, None, token.text, args)
        return syntax.Name(token.at, token.end, token.text)


def _value(token: _Token, *, negative: bool) -> int | float | str:
    if token.kind == "float":
        number = float(token.text)
        if number == float("inf"):
            raise ExpressionError(f"{token.text} is too large", token.at)
        return number
    if token.kind == "int":
        whole = int(token.text, 0) if token.text.startswith("0x") else int(token.text)
        if whole > _INT_MAX + negative:
            raise ExpressionError(f"{token.text} is too large; whole numbers end at {_INT_MAX}", token.at)
        return whole
    if token.kind == "raw":
        return token.text[2:-1]

    def unescape(match: re.Match[str]) -> str:
        code = match.group(1) or match.group(2) or match.group(3)
        if code:
            number = int(code, 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                raise ExpressionError(f"`{match.group()}` is no character", token.at)
            return chr(number)
        if match.group(4) not in _ESCAPED:
            raise ExpressionError(f"`{match.group()}` has no meaning in text; write `\\\\` for a backslash", token.at)
        return _ESCAPED[match.group(4)]

    return _ESCAPE.sub(unescape, token.text[1:-1])
