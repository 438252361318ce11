"""Links, bare domains and e-mail addresses, also where dots and the `@` are written out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from moderation.text.findings.base import Span, Text, apart
from moderation.text.suffixes import ascii_host, public_suffix, registered_domain

# Endings that are trusted where the spelling is odd: the most used ones, and those that spam likes.
COMMON: Final = frozenset([
    "com", "org", "info", "biz", "xyz", "shop", "online", "site", "club", "top", "store", "live", "app", "dev",
    "io", "co", "tv", "ru", "de", "uk", "fr", "es", "vip", "icu", "link", "click", "win", "bet", "casino", "porn",
    "xxx", "sex", "cam", "loan", "pro",
])  # fmt: skip
# Endings that are words: without anything else around it, such a domain is more likely a missing space
# (`thanks.it was`) when a word follows.
_WORDS: Final = frozenset(["am", "as", "at", "be", "by", "do", "in", "is", "it", "me", "my", "no", "to", "us"])
# Endings that are types of files or parts of programs.
_FILES: Final = frozenset(["ai", "cc", "id", "md", "mov", "pl", "ps", "py", "rs", "sh", "so", "zip"])

_BRACKETED_DOT: Final = r"\s?[\[({<]\s?(?:dot|punkt|punto|point|\.)\s?[\])}>]\s?"
# Not after an article (`the dot com bubble`), and only before a common ending or another part and dot.
_SPELLED_DOT: Final = (
    r"(?<=\w)(?<!\ba)(?<!\bthe)(?<!\bthis)(?<!\bthat)(?<!\bevery)\sdot\s"
    rf"(?=(?:{'|'.join(sorted(COMMON))}|\w{{2,30}}\sdot\s)\b)"
)
_DOT: Final = re.compile(f"{_BRACKETED_DOT}|{_SPELLED_DOT}|[\u3002\uff61]", re.IGNORECASE)
_BRACKETS: Final = "[({<"
_DISGUISED_DOTS: Final = f"{_BRACKETS}\u3002\uff61"
"""What a match of _DOT begins with, but for the word `dot`."""
DOT: Final = "\ue000"
"""A dot that was disguised, until the candidates are judged."""
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_ANY_DOT: Final = f"[.{DOT}]"
_INNER_DOT: Final = re.compile(rf"[^\W_]{_ANY_DOT}[^\W_]")
# With the name of a user, as in `https://your-bank.com@evil.com/`, whose host is evil.com.
_SCHEME: Final = r"(?P<scheme>h(?:tt|xx|\*\*)ps?|ftp)\s?:\s?/\s?/\s?(?:[^\s/?#@]{1,100}@)?"
_HOST: Final = rf"(?P<host>{_LABEL}(?:{_ANY_DOT}{_LABEL}){{1,9}})"
_REST: Final = r"(?P<rest>(?::\d{1,5})?(?:[/?#][^\s<>\"“”\\]{0,2000})?)"
_LINK: Final = re.compile(rf"(?<![\w@.{DOT}-])(?:{_SCHEME})?{_HOST}(?![\w@]){_REST}", re.IGNORECASE)
_GAPPED: Final = re.compile(
    rf"(?<![\w@.-])(?:{_SCHEME}|(?=www\b))(?P<host>{_LABEL}(?:\s?[.,{DOT}]\s?{_LABEL}){{1,9}}){_REST}", re.IGNORECASE
)
_ENDING: Final = ".,;:!?'\"*_~)]}>»”’"

_AT_MARKS: Final = f"@{_BRACKETS}{DOT}"
"""One of them is in every text with an address: an `at` as a word counts only before a disguised dot."""
_AT: Final = re.compile(r"\s?(?:@|[\[({<]\s?(?:at|@|ät|arroba)\s?[\])}>])\s?|(?P<word>\s(?:at|AT|At)\s)", re.IGNORECASE)
_LOCAL: Final = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9.{DOT}_%+'-]{{0,62}}[A-Za-z0-9_+-])?$")
_MAIL_HOST: Final = re.compile(rf"{_LABEL}(?:{_ANY_DOT}{_LABEL}){{1,9}}")
_GAPPED_MAIL_HOST: Final = re.compile(rf"{_LABEL}(?:\s?[.,{DOT}]\s?{_LABEL}){{1,4}}")
_MAX_LOCAL: Final = 64
_MAX_TAIL: Final = 260


@dataclass(frozen=True)
class Links:
    """Text with its disguised dots as DOT, and what is a link or an address in it."""

    text: Text
    urls: tuple[Span, ...]
    emails: tuple[Span, ...]


def links(typed: Text) -> Links:
    """Links and e-mail addresses of a text as a keyboard would have it."""
    # Most lines have nothing of the kind: what every link or address needs is looked for first, which is quick.
    text = typed.replace(_DOT, lambda _: DOT) if _has_disguised_dot(typed.text) else typed
    plain = _candidates(_LINK, text.text, gapped=False) if _INNER_DOT.search(text.text) else []
    maybe_gapped = "/" in text.text or "www" in text.text.lower()
    gapped = _candidates(_GAPPED, text.text, gapped=True) if maybe_gapped else []
    free = set(apart((link.span for link in gapped), [link.span for link in plain]))
    every = [*plain, *(link for link in gapped if link.span in free)]
    maybe_email = any(mark in text.text for mark in _AT_MARKS)
    emails = tuple(apart(_emails(text.text), [link.head for link in every if link.head])) if maybe_email else ()
    urls = (*(link.span for link in every if link.head), *apart((link.span for link in every if not link.head), emails))
    return Links(text, urls, emails)


def _has_disguised_dot(text: str) -> bool:
    return any(mark in text for mark in _DISGUISED_DOTS) or "dot" in text.lower()


def _candidates(rule: re.Pattern[str], text: str, *, gapped: bool) -> list[_Link]:
    return [link for match in rule.finditer(text) if (link := _judged(match, text, gapped=gapped))]


# --- e-mail


def _emails(text: str) -> Iterator[Span]:
    done = 0
    for at in _AT.finditer(text):
        left = max(done, at.start() - _MAX_LOCAL)
        local = _LOCAL.search(text[left : at.start()])
        if local is None:
            continue
        tail = text[at.end() : at.end() + _MAX_TAIL]
        for rule in (_MAIL_HOST, _GAPPED_MAIL_HOST):
            match = rule.match(tail)
            found = _longest_host(match.group(), gapped=rule is _GAPPED_MAIL_HOST) if match else None
            if found is None or (at["word"] and DOT not in tail[: found[0]]):
                continue  # `look at example.com` is no address, `name at example dot com` is one
            length, host = found
            done = at.end() + length
            name = local.group().replace(DOT, ".")
            yield Span(left + local.start(), done, f"{name}@{host}", host)
            break


def _longest_host(candidate: str, *, gapped: bool) -> tuple[int, str] | None:
    """End and ASCII form of the longest beginning of a candidate that is a registered domain or below one."""
    ends = [len(candidate), *(m.start() for m in reversed(list(re.finditer(rf"\s?[.,{DOT}]", candidate))))]
    for end in ends:
        host = ascii_host(re.sub(rf"\s?[.,{DOT}]\s?", ".", candidate[:end]))
        if host and registered_domain(host) and not (gapped and public_suffix(host) not in (*COMMON, "net")):
            return end, host
    return None


# --- links


@dataclass(frozen=True)
class _Link:
    """A link, and its part up to the end of the host if it begins with `http://` or so."""

    span: Span
    head: Span | None


def _judged(match: re.Match[str], text: str, *, gapped: bool) -> _Link | None:
    """The link, when its host can be one and it does not look like a missing space or a file name."""
    explicit = match["scheme"] is not None
    rest = match["rest"].rstrip(_ENDING)
    found = (_numeric(match["host"]) if explicit else None) or _longest_host(match["host"], gapped=gapped)
    if found is None:
        return None
    length, host = found
    rest = rest if length == len(match["host"]) else ""
    head = match.start("host") + length
    end = head + len(rest)
    if not explicit and not host.startswith("www.") and not _is_meant(match["host"][:length], host, rest, text[end:]):
        return None
    scheme = (match["scheme"] or "http").lower().replace("xx", "tt").replace("**", "tt")
    value = f"{scheme}://{host}{rest.replace(DOT, '.')}"
    return _Link(Span(match.start(), end, value, host), Span(match.start(), head, "", "") if explicit else None)


def _numeric(written: str) -> tuple[int, str] | None:
    """Length and canonical form of a host that is an IPv4 address."""
    try:
        return len(written), str(ipaddress.IPv4Address(written.replace(DOT, ".")))
    except ValueError:
        return None


def _is_meant(written: str, host: str, rest: str, after: str) -> bool:
    """Whether a bare domain is meant as one.

    Args:
        written: the host as it stands in the text.
        host: its ASCII form.
        rest: port, path and so on.
        after: the text behind it.
    """
    if rest or DOT in written:
        return True
    suffix = host.rpartition(".")[2]
    owner = (registered_domain(host) or "").partition(".")[0]
    if suffix in COMMON or suffix == "net":
        return any(c.isalpha() for c in owner) or owner.isdigit()
    labels = written.split(".")
    generic = len(suffix) > 2 and suffix.isalpha()  # `model.fit`, `user.name`: more often programs than domains
    if generic or suffix in _FILES or len(owner) < 2 or not any(c.isalpha() for c in owner):
        return False
    if labels[-1][:1].isupper() and not labels[-1].isupper():
        return False  # `at home.In the morning`
    return not (suffix in _WORDS and re.match(r"\s+[^\W\d_]", after))
