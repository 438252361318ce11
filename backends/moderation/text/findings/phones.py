"""Telephone numbers, by Google's rules for every country (`phonenumbers`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import phonenumbers
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher

from moderation.text.findings.base import Span, apart

MAX_TRIES: Final = 200
"""Candidates that are examined per text and region: bounds the time that a page of digits can take."""
MIN_DIGITS: Final = 7
"""Shorter numbers are valid in some countries, but far more often numbers of something else."""
REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166 codes of the countries that have rules."""
# A run of digits in which text recognition read some as letters.
_RUN: Final = re.compile(r"(?<![^\W\d_])[\dOoIl|SB]{2,15}(?![^\W\d_])")
# Tables (gaps, several slashes, slashes between decimals) and single decimal numbers.
_COLUMNS: Final = re.compile(r".*(?:\s\s|/.*[/.]|\..*/)|[1-9]\d*\.\d+\Z", re.DOTALL)
_DIGIT: Final = re.compile(r"\d")
_MISREAD: Final = str.maketrans("OoIl|SB", "0011158")


def phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """Numbers in E.164 form; the detail is the region.

    Args:
        text: as a keyboard would have it.
        regions: countries (ISO 3166) whose national numbers count; numbers with `+` and country code always do.
    """
    if len(_DIGIT.findall(text)) < MIN_DIGITS or not (regions or "+" in text):
        return
    mended = _RUN.sub(_mend, text)
    known: list[Span] = []
    for region in regions or (None,):
        known += list(apart(_of_region(mended, region), known))
    yield from known


def _of_region(text: str, region: str | None) -> Iterator[Span]:
    for match in PhoneNumberMatcher(text, region, Leniency.VALID, MAX_TRIES):
        if _plausible(match.raw_string):
            value = phonenumbers.format_number(match.number, PhoneNumberFormat.E164)
            where = phonenumbers.region_code_for_number(match.number) or "001"
            yield Span(match.start, match.end, value, where)


def _plausible(number: str) -> bool:
    return sum(map(str.isdigit, number)) >= MIN_DIGITS and not _COLUMNS.match(number)


def _mend(run: re.Match[str]) -> str:
    digits = sum(map(str.isdigit, run.group()))
    return run.group().translate(_MISREAD) if 3 * digits >= len(run.group()) else run.group()
