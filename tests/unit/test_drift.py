"""Drift: a reference captured, and the present against it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from moderation.cli.main import app
from moderation.deploy.scrape import Page
from moderation.drift import measure
from moderation.errors import ConfigError
from moderation.telemetry.reference import Reference

SHARES = st.dictionaries(st.sampled_from([f"0.{n}" for n in range(10)]), st.integers(1, 100), min_size=1)


def result(chance: random.Random, nudity: float, text: int) -> dict[str, Any]:
    return {
        "decision": "block" if nudity > 0.8 else "allow",
        "content_type": {"name": chance.choice(["photo", "meme"]), "score": 0.9},
        "image": {"width": 640, "height": chance.choice([100, 480, 2_000])},
        "versions": {"safety-detector": "1", "ocr-engine": "1"},
        "categories": {"nudity": nudity},
        "text": [{"text": "x" * text}],
    }


def results(path: Path, count: int, worst: float, seed: int, text: int = 5) -> Path:
    chance = random.Random(seed)
    lines = [json.dumps(result(chance, chance.uniform(0, worst), text)) for _ in range(count)]
    path.write_text("\n".join([*lines, '{"decision": "error", "error": {}}', ""]))
    return path


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["drift", *map(str, words)], env={"COLUMNS": "160"})


def test_the_same_population_is_stable_and_another_is_not(tmp_path: Path) -> None:
    """Promise: captured from RESULTs; pictures of the same kind are stable, other ones another population."""
    reference = tmp_path / "reference.yaml"
    captured = run("capture", "--on", results(tmp_path / "then", 2_000, 0.9, 1), "--reference", reference)
    assert captured.exit_code == 0, captured.output
    same = run("report", "--on", results(tmp_path / "same", 1_000, 0.9, 2), "--reference", reference, "--json")
    assert same.exit_code == 0, same.output
    assert {drift["verdict"] for drift in json.loads(same.stdout)} == {"stable"}
    other = results(tmp_path / "other", 1_000, 0.3, 3, text=50)
    plot = tmp_path / "drift.svg"
    shown = run("report", "--on", other, "--reference", reference, "--plot", plot)
    assert shown.exit_code == 1
    assert "another population" in shown.output
    assert "text_length" in shown.output
    assert "<svg" in plot.read_text()


def test_few_decisions_are_no_reference_and_no_drift(tmp_path: Path) -> None:
    """Promise: chance in small numbers is not taken for a change."""
    reference = tmp_path / "reference.yaml"
    few = results(tmp_path / "few", 20, 0.1, 4)
    refused = run("capture", "--on", few, "--reference", reference)
    assert refused.exit_code == 2
    assert "20 decisions; a reference needs 100" in refused.output
    run("capture", "--on", results(tmp_path / "then", 500, 0.9, 1), "--reference", reference)
    found = json.loads(run("report", "--on", few, "--reference", reference, "--json").stdout)
    assert {drift["verdict"] for drift in found} == {"too few"}


def test_metrics_say_the_same_as_results(tmp_path: Path) -> None:
    """Promise: the server's counters and kept RESULTs give the same distributions."""
    counts = measure.of_results(results(tmp_path / "then", 200, 0.9, 1).read_text().splitlines())
    lines = [
        f'moderation_distribution_total{{signal="{signal}",bin="{place}"}} {count}'
        for signal, bins in counts.items()
        for place, count in bins.items()
    ]
    assert measure.of_page(Page.parse("\n".join(lines))) == counts
    again = measure.reference(counts)
    (tmp_path / "reference.yaml").write_text(again.dump())
    assert Reference.load(tmp_path) == again
    with pytest.raises(ConfigError, match="0 decisions"):
        measure.reference({})


@given(SHARES, SHARES)
def test_the_distance_is_one(a: dict[str, int], b: dict[str, int]) -> None:
    """Promise: between 0 and 1, the same both ways, 0 between equals."""
    one, two = measure.shares(a), measure.shares(b)
    assert measure.ks(one, one) == 0
    assert 0 <= measure.ks(one, two) <= 1 + 1e-4
    assert measure.ks(one, two) == pytest.approx(measure.ks(two, one))


def test_bins_are_in_order() -> None:
    """Promise: numbers count by value, so that 1000000 comes after 300000."""
    assert measure.ordered(["1000000", "300000", "0", "b", "a"]) == ["0", "300000", "1000000", "a", "b"]
