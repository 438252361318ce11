"""Lists of domains: a listed name stands for itself and everything below it (`evil.com`: `www.evil.com` too)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moderation.errors import PolicyError
from moderation.text.suffixes import ascii_host, public_suffix


@dataclass(frozen=True, slots=True)
class DomainEntry:
    """A domain (`evil.com`, `bücher.de`) and the list that it stands in."""

    list_name: str
    domain: str


def domain_fault(domain: str) -> str | None:
    """Why a list entry is refused, in words, or None."""
    host = ascii_host(domain)
    if host is None:
        return "is no domain; write it like example.com, without https:// and without a path"
    suffix = public_suffix(host)
    if suffix is None:
        return "has an ending that no registry gives out; look for a typing error"
    if suffix == host:
        return "belongs to a registry; everybody's domains end so"
    return None


class DomainIndex:
    """Domains of some lists. Immutable; a lookup takes as many steps as the host has dots.

    Raises:
        PolicyError: entries that `domain_fault` refuses.
    """

    def __init__(self, entries: Iterable[DomainEntry]) -> None:
        self._lists: dict[str, tuple[str, ...]] = {}
        refused: list[str] = []
        for entry in entries:
            fault = domain_fault(entry.domain)
            if fault:
                refused.append(f"{entry.list_name}: {entry.domain!r} {fault}")
                continue
            host = ascii_host(entry.domain) or ""
            known = self._lists.get(host, ())
            if entry.list_name not in known:
                self._lists[host] = (*known, entry.list_name)
        if refused:
            raise PolicyError("\n  ".join(("some domains cannot be used:", *refused)), tuple(refused))

    def match(self, host: str) -> list[DomainEntry]:
        """The entries that cover a host name, the longest first; none for what is no host name."""
        found: list[DomainEntry] = []
        name = ascii_host(host) or ""
        while name:
            found += [DomainEntry(list_name, name) for list_name in self._lists.get(name, ())]
            name = name.partition(".")[2]
        return found
