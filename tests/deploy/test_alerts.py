"""Alerts: valid, each with cases where it fires and where it stays silent, each with a runbook that exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from debian import binary

CHART = Path(__file__).resolve().parents[2] / "helm" / "content-moderation"
FILES = sorted((CHART / "alerts").glob("*.yaml"))
CASES = Path(__file__).with_name("alerts")
RULES: list[dict[str, Any]] = [
    rule for file in FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def promtool(*arguments: str) -> str:
    """What promtool says, with its exit code checked."""
    done = subprocess.run([binary("promtool"), *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a Markdown file, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_rules_are_valid() -> None:
    """Promise: Prometheus takes every file as it is."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, FILES))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_alerts_fire_and_stay_silent_as_the_cases_say(file: Path) -> None:
    """Promise: every case holds, with labels and the sentences that a person gets to read."""
    promtool("test", "rules", str(CASES / file.name))


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_alert_has_a_case_where_it_fires_and_one_where_it_is_silent(alert: str) -> None:
    """Promise: no alert is untested, in either way."""
    tests = [
        test["exp_alerts"]
        for file in CASES.glob("*.yaml")
        for case in yaml.safe_load(file.read_text())["tests"]
        for test in case["alert_rule_test"]
        if test["alertname"] == alert
    ]
    assert any(tests), "no case where it fires"
    assert not all(tests), "no case where it stays silent"


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_every_alert_says_what_it_means_and_what_to_do(alert: str) -> None:
    """Promise: whoever is woken has a sentence, the impact, and a section of a runbook that names the alert."""
    annotations = ALERTS[alert]["annotations"]
    assert set(annotations) == {"summary", "impact", "runbook_url"}
    assert ALERTS[alert]["labels"]["severity"] in ("page", "ticket")
    path, _, anchor = annotations["runbook_url"].partition("#")
    text = (CHART / path).read_text()
    assert anchor in anchors(text)
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    (section,) = [part for part in sections if anchors(f"# {part.splitlines()[0]}") == {anchor}]
    assert f"`{alert}`" in section


def test_every_runbook_belongs_to_an_alert() -> None:
    """Promise: no section is left over from an alert that is gone."""
    text = (CHART / "runbooks" / "README.md").read_text()
    assert set(re.findall(r"`(Moderation\w+)`", text)) == set(ALERTS)
