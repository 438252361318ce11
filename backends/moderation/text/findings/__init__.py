"""Personal data and links in text: e-mail, telephone, payment card, IBAN, IP address, link, social account."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from moderation.errors import ConfigError
from moderation.text.findings.base import KINDS, Finding, Kind, Span, Text, apart
from moderation.text.findings.handles import handles
from moderation.text.findings.links import links
from moderation.text.findings.numbers import addresses, cards, ibans
from moderation.text.findings.phones import REGIONS, phones

__all__ = ["KINDS", "REGIONS", "Finding", "find"]


def find(text: str, kinds: Collection[str] = KINDS, regions: Sequence[str] = ()) -> list[Finding]:
    """Everything of the wanted kinds, in the order of the text.

    Args:
        text: as recognised or typed; disguises such as `name (at) mail (dot) com`, full-width and invisible
            characters and common confusions of text recognition are seen through.
        kinds: some of KINDS.
        regions: countries (some of REGIONS) whose national telephone numbers count; numbers with a country code
            (`+49 …`) always do.

    Raises:
        ConfigError: an unknown kind or region.
    """
    for given, allowed, what in ((kinds, KINDS, "kind of finding"), (regions, REGIONS, "region")):
        for name in given:
            if name not in allowed:
                raise ConfigError(f"{what} {name!r} is not known; allowed: {', '.join(sorted(allowed))}")
    return sorted(_find(text, frozenset(kinds), regions), key=lambda found: (found.start, found.end, found.kind))


def _find(original: str, kinds: frozenset[str], regions: Sequence[str]) -> Iterator[Finding]:
    """Numbers inside links and addresses are parts of these; a number is one thing only, the strictest first."""
    found = links(Text.of(original))
    text = found.text
    webs = (*found.urls, *found.emails)
    numbers = {"iban": list(apart(ibans(text.text), webs)), "ip": list(addresses(text.text))}
    numbers["card"] = list(apart(cards(text.text), (*webs, *numbers["iban"])))
    spans: dict[Kind, Iterator[Span] | Sequence[Span]] = {
        "email": found.emails,
        "url": found.urls,
        "iban": numbers["iban"],
        "ip": numbers["ip"],
        "card": numbers["card"],
        "handle": apart(handles(text.text, found.urls), found.emails) if "handle" in kinds else (),
    }
    if "phone" in kinds:
        spans["phone"] = apart(phones(text.text, regions), (*webs, *chain.from_iterable(numbers.values())))
    for kind, every in spans.items():
        if kind in kinds:
            yield from (text.finding(kind, span) for span in every)
