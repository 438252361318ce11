"""Search of all terms, contact details and links of a profile at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from moderation.policy.rules import FindingsRule, LinksRule
from moderation.text.entries import Entry
from moderation.text.findings import Finding, find
from moderation.text.matching import Hit, Matcher


@dataclass(frozen=True)
class Source:
    """Where terms come from: a list, or the terms that stand in a rule itself."""

    key: str
    name: str
    entries: tuple[Entry, ...]


class TextSearch:
    """Finds terms, and says which source they are from. The sources' entries are without faults."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.names: dict[str, str] = {}
        entries: list[Entry] = []
        for source in sources:
            self.names[source.key] = source.name
            entries += (replace(entry, list_name=source.key) for entry in source.entries)
        self._matcher = Matcher(entries, checked=True) if entries else None

    def search(self, pieces: Sequence[str]) -> list[Hit]:
        """Each term that is found; `list_name` is the key of its source."""
        return self._matcher.search(pieces) if self._matcher else []


@dataclass(frozen=True)
class Group:
    """Rules that ask for findings with the same regions."""

    regions: tuple[str, ...]
    kinds: frozenset[str]
    rules: tuple[FindingsRule | LinksRule, ...]

    def find(self, text: str) -> list[Finding]:
        """All findings of the kinds that any of the rules asks for."""
        return find(text, self.kinds, self.regions)


def groups(rules: Iterable[FindingsRule | LinksRule]) -> tuple[Group, ...]:
    """The rules by their regions."""
    by_region: dict[tuple[str, ...], list[FindingsRule | LinksRule]] = {}
    for rule in rules:
        by_region.setdefault(rule.regions, []).append(rule)
    return tuple(
        Group(regions, frozenset().union(*(rule.kinds for rule in found)), tuple(found))
        for regions, found in sorted(by_region.items())
    )


def wanted(rule: FindingsRule | LinksRule, found: Finding) -> Iterator[str]:
    """The lists for which a finding is a match of a rule; nothing when it is none."""
    if found.kind not in rule.kinds or found.value in rule.allowed_values:
        return
    if found.kind in ("email", "url") and rule.allowed.match(found.detail):
        return
    if isinstance(rule, FindingsRule):
        yield found.kind
        return
    listed = rule.domains.match(found.detail)
    if listed:
        yield listed[0].list_name
    elif rule.any:
        yield "any link"
