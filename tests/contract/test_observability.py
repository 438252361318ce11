"""Metrics, rules, dashboards and their documents use one set of names."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

import moderation.telemetry
from moderation.telemetry.catalogue import CATALOGUE

CHART = Path(__file__).resolve().parents[2] / "helm" / "content-moderation"
RULES: list[dict[str, Any]] = [
    rule
    for file in sorted((CHART / "alerts").glob("*.yaml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((CHART / "dashboards").glob("*.json"))}
QUERIES = {
    **{rule.get("record") or rule["alert"]: rule["expr"] for rule in RULES},
    **{
        f"{name}: {panel['title']}: {target['refId']}": target["expr"]
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    },
}
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def names(query: str) -> set[str]:
    """Metrics of this product, and recorded series, that a query asks for; a histogram's parts as the histogram."""
    found = set(re.findall(r"\bmoderation[_:][\w:]+", query))
    return {name if name in CATALOGUE or ":" in name else SUFFIX.sub("", name) for name in found}


@pytest.mark.parametrize("place", QUERIES)
def test_queries_ask_for_metrics_that_exist(place: str) -> None:
    """Promise: a misspelt or renamed metric is found here, not by an alert that never fires."""
    assert names(QUERIES[place]) <= CATALOGUE.keys() | RECORDED


def test_every_recorded_series_is_used() -> None:
    """Promise: Prometheus computes nothing that nobody looks at."""
    used = set().union(*(names(query) for query in QUERIES.values()))
    assert used >= RECORDED, RECORDED - used


def test_labels_of_metrics_are_those_of_the_catalogue() -> None:
    """Promise: a selector names labels that the metric has; others are those that Prometheus adds."""
    added = {"namespace", "job", "instance", "le"}
    for place, query in QUERIES.items():
        for name, selector in re.findall(r"\b(moderation_\w+)\{([^}]*)\}", query):
            kind = CATALOGUE[name if name in CATALOGUE else SUFFIX.sub("", name)]
            assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= {*kind.labels, *added}, place


def test_every_metric_is_in_the_document() -> None:
    """Promise: the list that people read is whole, and has no metric that is gone."""
    document = Path(moderation.telemetry.__file__).with_name("README.md").read_text()
    table = document.split("## Metrics of this product")[1].split("\n## ")[0]
    assert set(re.findall(r"`(moderation_\w+)`", table)) == set(CATALOGUE)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_are_whole(name: str) -> None:
    """Promise: panels lie beside each other, each says what it shows, and the data source can be chosen."""
    dashboard = DASHBOARDS[name]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for one, two in combinations((panel["gridPos"] for panel in panels), 2):
        apart = (
            one["x"] + one["w"] <= two["x"]
            or two["x"] + two["w"] <= one["x"]
            or one["y"] + one["h"] <= two["y"]
            or two["y"] + two["h"] <= one["y"]
        )
        assert apart, (one, two)


def test_dashboards_have_titles_and_ids_of_their_own() -> None:
    """Promise: Grafana takes all of them side by side."""
    assert {dashboard["title"] for dashboard in DASHBOARDS.values()} == {
        f"Content moderation: {part}" for part in ("Operational", "Business", "SLA", "Cost")
    }
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
