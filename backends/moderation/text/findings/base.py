"""What a finding is, and the text that findings are looked for in."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal, get_args

from moderation.text import characters
from moderation.text.normalize import typed

Kind = Literal["email", "phone", "card", "iban", "ip", "url", "handle"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of personal data or a link.

    Attributes:
        kind: one of KINDS.
        start, end: offsets in the original text.
        value: the canonical form, with disguises undone: `name@example.com`, `+4930123456` (E.164), digits of a card,
            IBAN without spaces, IP address, link, name of an account.
        detail: host in ASCII (email, url), region (phone, iban: ISO 3166, `001` where there is none), brand (card),
            `global` or what else (ip), platform (handle; empty when nobody says).
    """

    kind: Kind
    start: int
    end: int
    value: str
    detail: str

    @property
    def masked(self) -> str:
        """The value with only its end readable, four characters and a third at most, for logs and reasons."""
        kept = len(self.value) - min(_SHOWN, len(self.value) // 3)
        return re.sub(r"[^\W_]", "*", self.value[:kept]) + self.value[kept:]


@dataclass(frozen=True, slots=True)
class Span:
    """A finding before it is mapped back: offsets in a `Text`."""

    start: int
    end: int
    value: str
    detail: str


@dataclass(frozen=True)
class Text:
    """Text with a map back to its original.

    Attributes:
        text: what is searched.
        first, last: for each character, the first and last index of what it stands for in the original.
    """

    text: str
    first: Sequence[int]
    last: Sequence[int]

    @classmethod
    def of(cls, original: str) -> Text:
        """A text as a keyboard would have it."""
        spelling = typed(original)
        return cls(characters.to_text(spelling.codes), spelling.first.tolist(), spelling.last.tolist())

    def replace(self, pattern: re.Pattern[str], by: Callable[[re.Match[str]], str]) -> Text:
        """The text with every match replaced; the replacement stands for all of the match."""
        parts: list[str] = []
        first: list[int] = []
        last: list[int] = []
        at = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            new = by(match)
            parts += (self.text[at:start], new)
            first += (*self.first[at:start], *[self.first[start]] * len(new))
            last += (*self.last[at:start], *[self.last[end - 1]] * len(new))
            at = end
        if not at:
            return self
        return Text("".join((*parts, self.text[at:])), [*first, *self.first[at:]], [*last, *self.last[at:]])

    def finding(self, kind: Kind, span: Span) -> Finding:
        """The span with offsets in the original."""
        return Finding(kind, self.first[span.start], self.last[span.end - 1] + 1, span.value, span.detail)


def apart(spans: Iterable[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """The spans that overlap none of those taken."""
    ordered = sorted(taken, key=lambda span: span.start)
    starts = [span.start for span in ordered]
    ends = [0, *accumulate((span.end for span in ordered), max)]
    # Of those that begin before the span's end, none may end behind its start.
    return (span for span in spans if ends[bisect_left(starts, span.end)] <= span.start)
