"""Payment cards, IBANs and IP addresses: numbers with rules of their own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from moderation.text.findings.base import Span

# First digits and lengths of card numbers (ISO/IEC 7812; Wikipedia "Payment card number", read 2026-11).
_BRANDS: Final = (
    ("visa", re.compile(r"4(?:\d{12}|\d{15}|\d{18})")),
    ("mastercard", re.compile(r"(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}")),
    ("amex", re.compile(r"3[47]\d{13}")),
    ("discover", re.compile(r"(?:6011|64[4-9]\d|65\d{2})\d{12,15}")),
    ("diners", re.compile(r"3(?:0[0-5]|[689]\d)\d{11,16}")),
    ("jcb", re.compile(r"35(?:2[89]|[3-8]\d)\d{12,15}")),
    ("unionpay", re.compile(r"62\d{14,17}")),
    ("mir", re.compile(r"220[0-4]\d{12,15}")),
    ("maestro", re.compile(r"(?:50|5[6-8]|6\d)\d{10,17}")),
)
_CARD: Final = re.compile(r"(?<![\w.+-])\d(?:[ \u00a0.-]?\d){11,18}(?![\w-]|\.\d)")
# Length by country: SWIFT IBAN Registry, release 99.
IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
_DIGIT: Final = re.compile(r"\d")
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ .-]?[0-9OoIl]{2}(?:[ .-]?[A-Za-z0-9]){11,34}")
_DIGITS_FOR: Final = str.maketrans("OIL", "011")
_IPV4: Final = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\w)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:[0-9.]{7,15})?(?![\w:])")
_COLONS: Final = 6  # of an address that leaves nothing out, its last two parts perhaps as IPv4
_VERSION: Final = re.compile(r"(?:\bv|\bver(?:sion)?[.:]?|\brelease|\bbuild|[=<>~]=)\s*$", re.IGNORECASE)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the rest (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban_is_valid(iban: str) -> bool:
    """Whether country, length and check digits (ISO 13616, mod 97) agree; capitals, no spaces."""
    if len(iban) != IBAN_LENGTHS.get(iban[:2], 0) or not iban[2:4].isdigit():
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def cards(text: str) -> Iterator[Span]:
    """Payment cards; the detail is the brand."""
    if not _DIGIT.search(text):
        return
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        brand = next((name for name, rule in _BRANDS if rule.fullmatch(digits)), None)
        if brand and luhn(digits):
            yield Span(*match.span(), digits, brand)


def ibans(text: str) -> Iterator[Span]:
    """IBANs in capitals without spaces; a capital O or I that text recognition saw for a digit is mended."""
    at = 0 if _DIGIT.search(text) else len(text)
    while match := _IBAN.search(text, at):
        at = match.start() + 1
        places = [i for i in range(*match.span()) if text[i].isalnum()]
        letters = "".join(text[i] for i in places).upper()
        places = places[: IBAN_LENGTHS.get(letters[:2], 0)]
        if not places or text[places[-1] + 1 : places[-1] + 2].isalnum():
            continue
        read = letters[: len(places)]
        for iban in (read, read[:2] + read[2:].translate(_DIGITS_FOR)):
            if iban_is_valid(iban):
                yield Span(places[0], places[-1] + 1, iban, iban[:2])
                at = places[-1] + 1
                break


def addresses(text: str) -> Iterator[Span]:
    """IP addresses that stand alone or in links; four-part version numbers are left out where a word says so."""
    for match in _IPV4.finditer(text) if text.count(".") >= 3 else ():
        if not _VERSION.search(text, max(0, match.start() - 12), match.start()):
            yield from _address(match)
    for match in _IPV6.finditer(text) if "::" in text or text.count(":") >= _COLONS else ():
        # `12:30` and `::` are no addresses that anybody means.
        if match.group().count(":") >= 2 and sum(c not in ":." for c in match.group()) >= 5:
            yield from _address(match)


def _address(match: re.Match[str]) -> Iterator[Span]:
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return
    scopes = ("loopback", "link_local", "multicast", "unspecified", "reserved", "private")
    scope = next((name for name in scopes if getattr(address, f"is_{name}")), "global")
    yield Span(*match.span(), str(address), scope)
