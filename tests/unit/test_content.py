"""The kind of picture: what codes and text say for and against what the network says."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moderation.images.codes import UNREAD
from moderation.pipeline.content import NO_TEXT, Kind
from moderation.taxonomy import Taxonomy

KINDS = {"photo": 0.7, "document": 0.2, "code_2d": 0.1}


def code(share: float, kind: str = "QRCode") -> dict[str, Any]:
    """A code that covers a share of a picture of 100 × 100 pixels."""
    side = 100 * share**0.5
    return {"format": kind, "text": "x", "quad": [[0, 0], [side, 0], [side, side], [0, side]], "frame": 0}


def line(text: str) -> dict[str, Any]:
    return {"text": text, "score": 0.9, "quad": [[0, 0], [9, 0], [9, 9], [0, 9]], "frame": 0}


def with_codes(scores: dict[str, float], *codes: dict[str, Any]) -> dict[str, Any]:
    return Kind(scores, "classifier@1").with_codes(codes, 100, 100).best()


def test_a_large_code_decides_and_a_small_one_does_not() -> None:
    """Promise: a code that fills a part of the picture makes it code_2d; a stamp on a page leaves the page a page."""
    assert with_codes(KINDS, code(0.1))["name"] == "code_2d"
    assert with_codes(KINDS, code(0.1, UNREAD))["name"] == "code_2d"
    assert with_codes(KINDS, code(0.005)) == {"name": "photo", "score": 0.7, "source": "classifier@1"}


def test_no_code_speaks_against_one() -> None:
    """Promise: where nothing was found, code_2d is less probable than the network thinks."""
    found = with_codes({"photo": 0.45, "code_2d": 0.55})
    assert (found["name"], round(found["score"], 2)) == ("photo", 0.73)


def test_a_picture_without_text_is_no_meme() -> None:
    """Promise: a photo of a person that the network takes for a meme is a photo once nothing could be read in it."""
    kind = Kind({"photo": 0.2, "illustration": 0.1, "meme": 0.7})
    assert kind.best()["name"] == "meme"
    assert kind.with_text([]).best()["name"] == "photo"
    assert kind.with_text([line("I")]).best()["name"] == "photo"


def test_text_and_not_having_read_leave_the_kind_alone() -> None:
    """Promise: photos have text as well, and a stage that was left out or failed is no evidence."""
    kind = Kind({"photo": 0.2, "illustration": 0.1, "meme": 0.7})
    assert kind.with_text([line("WHEN IT COMPILES")]) == kind
    assert kind.with_text(None) == kind


def test_every_kind_of_the_taxonomy_has_its_share_without_text() -> None:
    """Promise: a kind that is added to the taxonomy is measured as well, or text would weigh it against no other."""
    assert set(NO_TEXT) == set(Taxonomy.load().content_types)
    assert all(0 < share < 1 for share in NO_TEXT.values())


@given(
    scores=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    share=st.floats(0, 1),
    kind=st.sampled_from(["QRCode", UNREAD]),
    texts=st.none() | st.lists(st.text(max_size=3), max_size=3),
)
def test_the_answer_is_a_probability(scores: list[float], share: float, kind: str, texts: list[str] | None) -> None:
    """Promise: always one of the kinds, always 0 to 1, also when a network says nothing at all."""
    lines = None if texts is None else [line(text) for text in texts]
    first = Kind(dict(zip(KINDS, scores, strict=True))).with_codes([code(share, kind)], 100, 100)
    found = first.with_text(lines).best()
    assert found["name"] in KINDS
    assert 0 <= found["score"] <= 1
