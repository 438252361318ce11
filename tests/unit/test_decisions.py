"""Two records of decisions: what a change of the networks or of the pipeline changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.decisions import compare, load


def result(decision: str, score: float = 0.5, text: str = "hello", kind: str = "photo") -> dict[str, Any]:
    return {
        "decision": decision,
        "reasons": [{"rule": "nudity"}] if decision != "allow" else [],
        "labels": [{"name": "nudity/explicit/anus", "score": score}, {"name": "nudity/explicit/anus", "score": 0.1}],
        "content_type": {"name": kind, "score": 0.9},
        "text": [{"text": text}],
    }


def test_a_record_agrees_with_itself() -> None:
    """Promise: no difference is reported where there is none."""
    record = {"a.jpg": result("allow"), "b.jpg": {"decision": "error", "error": {"code": "INVALID_ARG"}}}
    found = compare(record, record)
    assert (found.agreement, found.changed, found.only) == (1.0, [], [])
    assert (found.kinds, found.labels, max(found.score_moves), found.character_moves) == (0, 0, 0.0, 0)


def test_every_difference_is_listed() -> None:
    """Promise: decisions with the rules of both sides, scores, kinds and characters that moved, pictures that are
    missing."""
    before = {"a.jpg": result("allow"), "b.jpg": result("review"), "gone.jpg": result("allow")}
    after = {"a.jpg": result("allow", 0.53, "hallo", "meme"), "b.jpg": result("block")}
    found = compare(before, after)
    assert found.agreement == 0.5
    assert found.changed == ["b.jpg: review (nudity) → block (nudity)"]
    assert found.only == ["gone.jpg"]
    assert found.kinds == 1
    assert round(max(found.score_moves), 4) == 0.03
    assert (found.characters, found.character_moves) == (10, 1)
    assert "agreement 50.00%" in found.report()


def test_a_picture_without_an_answer_counts_as_changed() -> None:
    """Promise: a refusal in place of a decision is a difference; nothing in common is no agreement."""
    refused = {"a.jpg": {"decision": "error", "error": {"code": "INVALID_ARG"}}}
    assert compare({"a.jpg": result("allow")}, refused).agreement == 0.0
    assert compare({}, {}).agreement == 0.0


def test_a_record_is_what_check_writes(tmp_path: Path) -> None:
    """Promise: lines of `moderation check --json`, named by their place in the folder, so that folders may differ."""
    record = tmp_path / "record.jsonl"
    record.write_text(json.dumps({"file": str(tmp_path / "x" / "a.jpg"), **result("allow")}) + "\n")
    assert list(load(record, tmp_path)) == ["x/a.jpg"]
