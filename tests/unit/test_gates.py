"""Gates: which stages a kind of picture is spared."""

from __future__ import annotations

from typing import Any

import pytest

from moderation import contract
from moderation.pipeline.gates import Gates

CHECK = {contract.OCR: [{"types": ["photo"], "min_score": 0.6, "do": "check"}]}


def photo(score: float) -> dict[str, Any]:
    return {"name": "photo", "score": score, "source": "content-classifier:1"}


def test_the_first_gate_that_fits_decides() -> None:
    """Promise: lines are read from above; a kind that no line names is spared nothing."""
    gates, faults = Gates.parse(
        {
            contract.OCR: [
                {"types": ["photo"], "min_score": 0.95, "do": "skip"},
                {"types": ["photo", "illustration"], "min_score": 0.6, "do": "check"},
            ]
        }
    )
    assert not faults
    assert gates.act(contract.OCR, photo(0.99)) == "skip"
    assert gates.act(contract.OCR, photo(0.7)) == "check"
    assert gates.act(contract.OCR, photo(0.5)) == "run"
    assert gates.act(contract.OCR, {"name": "document", "score": 1.0}) == "run"
    assert gates.act(contract.SAFETY, photo(1.0)) == "run"


def test_an_unknown_kind_is_spared_nothing() -> None:
    """Promise: when the classifier gives no signal, every stage does its whole work."""
    gates, _ = Gates.parse(CHECK)
    assert gates.act(contract.OCR, None) == "run"


def test_only_gated_stages_wait() -> None:
    """Promise: a stage without a gate starts at once."""
    gates, _ = Gates.parse(CHECK)
    assert gates.waits(contract.OCR)
    assert not gates.waits(contract.SAFETY)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"ocr-engin": CHECK[contract.OCR]}, "did you mean `ocr-engine`"),
        ({contract.OCR: [{"types": ["foto"], "min_score": 0.6, "do": "skip"}]}, "did you mean `photo`"),
        ({contract.SAFETY: [{"types": ["photo"], "min_score": 0.6, "do": "check"}]}, "allowed here: skip"),
        ({contract.OCR: [{"types": ["photo"], "min_score": 0, "do": "skip"}]}, "min_score"),
        ({contract.OCR: [{"types": [], "min_score": 0.6, "do": "skip"}]}, "types"),
        ({contract.OCR: [{"types": ["photo"], "min_score": 0.6, "do": "forget"}]}, "do"),
    ],
)
def test_faults_name_the_place_and_what_is_allowed(document: Any, words: str) -> None:
    """Promise: a wrong gate is refused with its path and the remedy."""
    _, faults = Gates.parse(document)
    assert any(words in fault for fault in faults), faults
