"""Two versions compared by what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from moderation import contract
from moderation.cli.main import app
from moderation.deploy.scrape import Page
from moderation.errors import InputError
from moderation.rollout import compare
from moderation.rollout.shadow import Seen

POLICY = contract.DECISION_LOGIC


def result(version: int, decision: str, picture: str, by: str = "subject", ms: float = 1.0) -> dict[str, Any]:
    return {
        "decision": decision,
        "versions": {POLICY: str(version)},
        "routes": {POLICY: {"version": version, "by": by}},
        "image": {"sha256": picture},
        "timings_ms": {"policy": ms, "total": 40.0},
        "request_id": f"{picture}-{version}",
    }


RECORDS = [
    *(result(1, "allow", f"p{n}", ms=1.0 + n % 2) for n in range(90)),
    *(result(1, "block", f"b{n}") for n in range(10)),
    *(result(2, "allow", f"p{n}", ms=3.0 + n % 2) for n in range(40)),
    *(result(2, "review", f"b{n}") for n in range(10)),
    result(1, "allow", "f", by="fallback"),
    result(2, "block", "t", by="override"),
]
LINES = [json.dumps(record) for record in RECORDS]


def test_shares_are_compared_with_intervals() -> None:
    """Promise: decisions, errors and times by version; testers are left out, what fell back is the new one's error."""
    found = compare.of_results(LINES, POLICY, 1, 2)
    assert (found.old.items, found.new.items, found.new.errors) == (101, 50, 1)
    changes = found.changes()
    assert changes["review"].value == pytest.approx(0.2)
    assert 0.1 < changes["review"].low < 0.2 < changes["review"].high < 0.35
    slower = found.slower()
    assert slower is not None
    assert 1 < slower.low < slower.value < slower.high < 3
    assert found.missing(0.01)["block"] > 1_000
    assert found.missing(0.5) == {"allow": 0, "review": 0, "block": 0}


def test_the_same_picture_shows_where_versions_differ() -> None:
    """Promise: pictures that both versions saw make the matrix, with the request ids of those that differ."""
    found = compare.of_results(LINES, POLICY, 1, 2)
    assert found.matrix == {("allow", "allow"): 40, ("block", "review"): 10}
    assert found.agreement().value == 0.8
    assert found.examples[0] == compare.Example("b0-1", "b0-2", "block", "review")


def test_a_shadow_is_reported_from_metrics_and_log() -> None:
    """Promise: the matrix comes from the metrics, the requests from the log, whatever their ids look like."""
    page = Page.parse(
        f'moderation_shadow_decisions_total{{model="{POLICY}",version="2",live="allow",shadow="block"}} 3\n'
        f'moderation_arm_decisions_total{{model="{POLICY}",version="1",decision="allow"}} 9\n'
    )
    line = Seen(POLICY, 2, 'an id="7" live=x', "allow", "block").line()
    other = Seen("ocr-engine", 2, "id", "allow", "block").line()
    found = compare.of_page(page, POLICY, 1, 2).with_examples(
        compare.shadow_examples([f'I1125 "{line}"', "noise", other], POLICY, 2)
    )
    assert (found.old.items, found.matrix) == (9, {("allow", "block"): 3})
    assert found.examples == (compare.Example('an id="7" live=x', 'an id="7" live=x', "allow", "block"),)


def test_the_command_prints_it(tmp_path: Path) -> None:
    """Promise: a table for people, JSON for programs, a sentence for what is no RESULT."""
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(LINES))
    words = ["rollout", "report", POLICY, "1", "2", "--on", str(path)]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    assert "50 items that both saw" in shown.output
    assert "b0-1 and b0-2: block became review" in shown.output
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (document["differing"], document["agreement"][0]) == (10, 0.8)
    path.write_text('{"decision": "allow"}\n')
    assert CliRunner().invoke(app, words).exit_code == 2
    with pytest.raises(InputError, match="line 1 is no RESULT"):
        compare.of_results(['{"decision": "allow"}'], POLICY, 1, 2)
