"""Listed terms are found however they are disguised, and innocent words are left alone."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from moderation.errors import PolicyError
from moderation.text.matching import Entry, Hit, Matcher, faults
from moderation.text.normalize import readings, spellings, stretched, typed
from moderation.text.patterns import PatternSet

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


@pytest.mark.parametrize(
    "text",
    ["Scunthorpe", "Essex and Sussex", "grape, drape, scrape", "title: titanic", "hello shell", "cockpit", "assassin",
     "therapist", "an analyst", "s exactly", "class ex ample", "dick\u0061ns", "t i t l e", "RAPESEED?", "ti tle"],
)  # fmt: skip
def test_words_inside_words_are_left_alone(text: str) -> None:
    """Promise: the inhabitants of Scunthorpe can write their address (the name of a well-known false alarm)."""
    words = ("cunt", "sex", "rape", "tit", "hell", "cock", "ass", "rapist", "anal", "dick")
    assert Matcher(Entry("sample", word) for word in words).search([text]) == []


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


def places(entry: Entry, text: str) -> list[str]:
    """The parts of a text that an entry is found in."""
    return [text[hit.start : hit.end] for hit in Matcher([entry]).search([text])]


@pytest.mark.parametrize(
    ("term", "text", "place"),
    [
        ("free bitcoin", "so ＦＲ３３ b1tco\u200bin!", "ＦＲ３３ b1tco\u200bin"),
        ("café", "the cafe\u0301 now", "cafe\u0301"),
        ("fi", "a ﬁ b", "ﬁ"),
        ("free", "so freeeee!", "freeeee"),
        ("한국", "그 \u1112\u1161\u11ab\u1100\u116e\u11a8 x", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("kill", "𝓴𝓲𝓵𝓵 x", "𝓴𝓲𝓵𝓵"),
    ],
)
def test_evidence_is_the_original_spelling(term: str, text: str, place: str) -> None:
    """Promise: a hit points at the characters as they were given, whatever was folded, dropped or put together."""
    assert places(Entry("sample", term), text) == [place]


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("free", "freeee", True),
        ("free", "ffffreeeee", True),
        ("kill", "kiiill", True),
        ("kill", "kiiiillll", True),
        ("free bitcoin", "freeee biiiitcoinnnn", True),
        ("free", "f r e e e e", True),
        ("free", "fr333", True),
        ("ass", "as", False),
        ("as", "ass", False),  # two letters are spelling, three are stretching
        ("bred", "breed", False),
        ("sam", "bass sam", True),
        ("100", "1000 1 00", False),  # numbers are not stretched
    ],
)
def test_stretched_letters_do_not_hide_a_term(term: str, text: str, found: bool) -> None:
    """Promise: three and more equal letters are read as one or two; the number of letters in a word else counts."""
    assert bool(places(Entry("sample", term), text)) is found


@pytest.mark.parametrize("text", ["k1ll", "ki1l", "kil1", "k111", "k!|l", "ķíļľ"])
def test_a_bar_is_an_i_or_an_l_each_by_itself(text: str) -> None:
    """Promise: mixing the two meanings of `1` in one word does not hide it."""
    assert places(Entry("sample", "kill"), text) == [text]
    assert places(Entry("sample", "kiii"), "klll kiil") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a weedhead!", "weedhead"),
        ("w33dy", "w33dy"),
        ("weed", "weed"),
        ("seaweed", None),
        ("wee dream", None),
        ("w e e d y", None),  # spaced-out short terms must stand alone
    ],
)
def test_a_prefix_finds_every_word_that_begins_so(text: str, found: str | None) -> None:
    """Promise: a prefix is found at the beginning of words only, and the evidence is the whole word."""
    assert places(Entry("sample", "weed", "prefix"), text) == ([found] if found else [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Buy  100 LIKES now", "Buy  100 LIKES"),
        ("ｂｕｙ 5 lïkes", "ｂｕｙ 5 lïkes"),
        ("buy 7 1ikes", "buy 7 1ikes"),
        ("buy 7 l!kes", "buy 7 l!kes"),
        ("buylikes", None),
    ],
)
def test_a_regular_expression_sees_text_without_disguises(text: str, found: str | None) -> None:
    """Promise: expressions are matched against folded text with its separators, and the evidence is the original."""
    assert places(Entry("sample", r"buy\s+\d+ likes", "regex"), text) == ([found] if found else [])


def test_an_expression_may_run_over_lines_but_does_not_end_between_them() -> None:
    """Promise: offsets lie in the pieces that were given, also where an expression matches the gap between them."""
    (hit,) = Matcher([Entry("sample", r"\s*café\s+now\s*", "regex")]).search(["one", "Cafe\u0301", "now", "end"])
    assert (hit.piece, hit.start, hit.end_piece, hit.end) == (1, 0, 2, 3)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing"),
        ("(?=a)b", "look-around"),
        (r"(a)\1", "back-references"),
        ("x*", "empty text"),
        ("(a{500}){500}", ""),
    ],
)
def test_an_expression_that_cannot_work_is_refused(pattern: str, words: str) -> None:
    """Promise: broken, unbounded and empty expressions do not get into a matcher, and the reason says so."""
    ((_, why),) = faults([Entry("sample", pattern, "regex")])
    assert words in why


def test_hostile_text_cannot_stop_an_expression() -> None:
    """Promise: what takes other engines for ever is linear here."""
    assert places(Entry("sample", "(a+)+$", "regex"), "a" * 50_000 + "b") == []


@pytest.mark.parametrize("memory", [1 << size for size in range(10, 25, 2)])
def test_expressions_that_do_not_fit_into_memory_together_are_still_found(memory: int) -> None:
    """Promise: when all expressions together grow too large, they are searched one by one; none is lost."""
    patterns = PatternSet([rf"[ab]*a[ab]{{12}}[cd]+{number}x" for number in range(30)], memory)
    text = "abbabaabbbaabab" * 60 + "a" + "b" * 12 + "cd7x and " + "babaabb" * 30 + "dd29x"
    assert [number for number, _, _ in patterns.search(text)] == [7, 29]


@pytest.mark.parametrize(
    ("distance", "text", "found"),
    [
        (1, "free bitcion", "bitcion"),
        (1, "b1tcoins", "b1tcoins"),
        (1, "bitco", None),
        (1, "bitterns", None),
        (2, "bitco", None),  # too short for two errors: see the limits
        (1, "bit coin", None),  # one word, not two
        (1, "xbitcoin", "xbitcoin"),
    ],
)
def test_a_fuzzy_term_forgives_typing_errors(distance: int, text: str, found: str | None) -> None:
    """Promise: wrong, missing, extra and swapped letters are forgiven up to the distance, in whole words."""
    term = "bitcoin" if distance == 1 else "bitcoins"
    assert places(Entry("sample", term, "fuzzy", distance), text) == ([found] if found else [])


def test_a_fuzzy_phrase_is_compared_with_as_many_words() -> None:
    """Promise: typing errors in a phrase are counted over all of it."""
    entry = Entry("sample", "free money", "fuzzy", 1)
    assert places(entry, "get fre money") == ["fre money"]
    assert places(entry, "get fre mony") == []


@pytest.mark.parametrize(
    ("term", "distance"), [("weed", 1), ("bitcoin", 2), ("bitcoin", 3), ("bitcoin", 0), ("x" * 25, 1)]
)
def test_a_fuzzy_term_outside_the_limits_is_refused(term: str, distance: int) -> None:
    """Promise: short terms, which innocent words resemble, and long ones cannot be fuzzy."""
    assert len(faults([Entry("sample", term, "fuzzy", distance)])) == 1


_letters = st.text("abcd", min_size=8, max_size=11)


@given(st.lists(_letters, min_size=1, max_size=8, unique=True), st.lists(_letters, max_size=8), st.sampled_from([1, 2]))
@settings(deadline=None)
def test_fuzzy_search_agrees_with_comparing_everything(terms_: list[str], words: list[str], distance: int) -> None:
    """Promise: no word within the distance is missed, and none beyond it is found."""
    found = Matcher(Entry("sample", term, "fuzzy", distance) for term in terms_).search(words)
    nearest = {term for term in terms_ for word in words if OSA.distance(term, word) <= distance}
    assert {hit.term for hit in found} == nearest


@given(st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=12), st.text("abc ", max_size=40))
@settings(deadline=None)
def test_one_pass_agrees_with_looking_for_each_term_alone(terms_: list[str], text: str) -> None:
    """Promise: terms that contain or overlap each other do not hide each other."""
    entries = [entry for entry in (Entry("sample", term) for term in terms_) if not faults([entry])]
    together = Matcher(entries).search([text])
    alone = {hit for entry in entries for hit in Matcher([entry]).search([text])}
    assert set(together) == alone


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


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_a_reading_knows_where_everything_stands(text: str) -> None:
    """Promise: the map back to the original is complete, in order, and inside the text."""
    for base in readings(text):
        for reading in (base, *stretched(base)):
            first, last = reading.first.tolist(), reading.last.tolist()
            assert len(first) == len(last) == len(reading.codes) == len(reading.cuts) - 1
            assert first == sorted(first)
            assert last == sorted(last)
            assert all(0 <= a <= b < len(text) for a, b in zip(first, last, strict=True))


@given(st.text(st.sampled_from("abcls019@$!|'`. \n_-A\0\t"), max_size=40), st.booleans())
@settings(max_examples=400)
def test_the_short_way_for_ascii_reads_as_the_long_way_does(text: str, lone: bool) -> None:
    """Promise: what makes plain text quick to read changes nothing; a dash at the end forces the long way."""
    dash = "\n\u2014"
    for short, long in (
        ([typed(text)], [typed(text + dash)]),
        (spellings(text, lone=lone), spellings(text + dash, lone=lone)),
    ):
        assert [x.codes.tolist() for x in short] == [x.codes.tolist()[:-2] for x in long]
        assert [(x.first.tolist(), x.last.tolist()) for x in short] == [
            (x.first.tolist()[:-2], x.last.tolist()[:-2]) for x in long
        ]
    assert [(r.codes.tolist(), r.cuts.tolist()) for r in readings(text)] == [
        (r.codes.tolist(), r.cuts.tolist()) for r in readings(text + dash)
    ]


@given(st.text(st.sampled_from("éñüàあがハパ한글구กินन्कфйЙabc "), max_size=20))
def test_composed_and_decomposed_text_read_the_same(text: str) -> None:
    """Promise: how a keyboard or file system encodes accents and syllables makes no difference."""
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    for one, other in zip(readings(composed), readings(decomposed), strict=True):
        assert one.codes.tolist() == other.codes.tolist()
        assert one.cuts.tolist() == other.cuts.tolist()


@given(st.text(max_size=60))
def test_the_number_of_readings_is_bounded(text: str) -> None:
    """Promise: the work per text is bounded: plain and disguised, each stretched in at most eight ways."""
    found = readings(text)
    assert 1 <= len(found) <= 2
    assert all(len(list(stretched(reading))) <= 8 for reading in found)
