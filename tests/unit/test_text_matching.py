"""Listed terms are found however they are disguised, and innocent words are left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.errors import PolicyError
from moderation.text.matching import Entry, Hit, Matcher, faults
from moderation.text.normalize import readings, stretched

TERMS = ("free bitcoin", "kill yourself", "ass", "sc@m", "weed", "купить подписчиков", "杀人", "ΟΔΟΣ", "4chan", "don't")


@pytest.fixture(scope="module")
def index() -> Matcher:
    return Matcher(Entry("sample", term) for term in TERMS)


def terms(index: Matcher, *pieces: str) -> list[str]:
    return [hit.term for hit in index.search(pieces)]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("get FREE   BitCoin!!!", "free bitcoin"),
        ("free\nbitcoin", "free bitcoin"),
        ("free_bitcoin", "free bitcoin"),
        ("ｆｒｅｅ bitcoin", "free bitcoin"),
        ("𝓯𝓻𝓮𝓮 𝕓𝕚𝕥𝕔𝕠𝕚𝕟", "free bitcoin"),
        ("🅵🆁🅴🅴 🅱🅸🆃🅲🅾🅸🅽", "free bitcoin"),
        ("frée bìtcoin", "free bitcoin"),
        ("fr\u200bee bit\u00adcoin", "free bitcoin"),
        ("fr33 b1tc0in", "free bitcoin"),
        ("#FreeBitcoin", "free bitcoin"),
        ("f r e e b i t c o i n", "free bitcoin"),
        ("so F.R.E.E bitcoin", "free bitcoin"),
        ("f r 3 3 b 1 t c o i n", "free bitcoin"),
        ("fr\u0435e bit\u0441\u043ein", "free bitcoin"),  # Cyrillic e, c, o
        ("ki11 yourse1f", "kill yourself"),
        ("k!ll yourself!", "kill yourself"),
        ("@ss", "ass"),
        ("a$$", "ass"),
        ("an a s s", "ass"),
        ("scam", "sc@m"),
        ("Купить Подписчиков", "купить подписчиков"),
        ("他杀人了", "杀人"),
        ("杀 人 了", "杀人"),
        ("οδός", "ΟΔΟΣ"),
        ("on 4CHAN", "4chan"),
        ("I dont know", "don't"),
        ("I don’t know", "don't"),
    ],
)
def test_a_disguised_term_is_found(index: Matcher, text: str, term: str) -> None:
    """Promise: case, width, accents, invisible characters, spacing, look-alikes and leet do not hide a term."""
    assert term in terms(index, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class assess pass",  # inside other words
        "c l a s s",  # inside other spaced-out words
        "as sure as ever",  # across words
        "wee d",
        "freedom of bitcoins",
        "bitcoin free",
        "a",  # what is left of `@ss` without its sign
        "455 $ and 4$$ tickets",  # numbers stay numbers
    ],
)
def test_innocent_text_is_left_alone(index: Matcher, text: str) -> None:
    """Promise: a term is a word or phrase of its own, never a part of other words."""
    assert terms(index, text) == []


def test_a_term_may_run_over_lines_and_names_the_first(index: Matcher) -> None:
    """Promise: text recognition breaks phrases into lines; the hit points at the line where it starts."""
    assert index.search(["look:", "free", "bitcoin", "free bitcoin"]) == [
        Hit("sample", "free bitcoin", "word", piece=1, start=0, end=7, end_piece=2)
    ]


def test_each_term_is_reported_once(index: Matcher) -> None:
    """Promise: repetition does not flood the verdict."""
    assert terms(index, "weed weed w33d", "WEED") == ["weed"]


@pytest.mark.parametrize("term", ["", " ", "!!", "🍆", "\u200b"])
def test_a_term_without_letters_or_digits_is_refused(term: str) -> None:
    """Promise: a term that would be empty after normalisation, and so match everything, cannot get into an index."""
    assert [at for at, _ in faults([Entry("sample", "word"), Entry("sample", term)])] == [1]
    with pytest.raises(PolicyError, match="no letter and no digit"):
        Matcher([Entry("sample", term)])


def test_time_does_not_grow_with_the_number_of_terms() -> None:
    """Promise: a search visits the terms that share letters with the text, not the whole list."""
    index = Matcher(Entry("many", f"word{number:05d} tail") for number in range(20_000))
    assert terms(index, "word01234 tail and word1 tail") == ["word01234 tail"]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=()), max_size=60), max_size=4))
def test_any_text_can_be_searched(pieces: list[str]) -> None:
    """Promise: no text of a caller makes the search fail, lone surrogates included."""
    for hit in Matcher(Entry("sample", term) for term in TERMS).search(pieces):
        assert hit.term in TERMS
        assert 0 <= hit.piece <= hit.end_piece < len(pieces)
        assert 0 <= hit.start < len(pieces[hit.piece])
        assert 0 < hit.end <= len(pieces[hit.end_piece])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_accepted_term_finds_itself(term: str) -> None:
    """Promise: whatever an operator lists is found where it is written exactly so."""
    entry = Entry("sample", term)
    if not faults([entry]):
        assert [hit.term for hit in Matcher([entry]).search([term])] == [term]


@given(st.text(max_size=60), st.text(max_size=60))
def test_more_text_never_hides_a_separate_line(before: str, after: str) -> None:
    """Promise: a phrase of six letters or more on a line of its own is found whatever surrounds it."""
    index = Matcher([Entry("sample", "kill yourself")])
    assert terms(index, before, "kill yourself", after) == ["kill yourself"]


@given(st.text(max_size=60))
def test_the_number_of_readings_is_bounded(text: str) -> None:
    """Promise: the work per text is bounded: plain and disguised, each stretched in at most eight ways."""
    found = readings(text)
    assert 1 <= len(found) <= 2
    assert all(len(list(stretched(reading))) <= 8 for reading in found)
