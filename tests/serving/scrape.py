"""A real Prometheus with the chart's rules that scrapes a real server."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from debian import binary
from serving.conftest import free_ports, wait_until

CHART = Path(__file__).resolve().parents[2] / "helm" / "content-moderation"
NAMESPACE, POD = "moderation", "demo-content-moderation-6f7d8c9b5-x2x9z"
"""Labels that Prometheus' operator gives a pod's series."""


@dataclass(frozen=True)
class Prometheus:
    """Its API."""

    url: str

    def get(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def now(self, expression: str) -> dict[str, float]:
        """Value by the series' labels, as text."""
        found = self.get("query", query=expression)["result"]
        return {json.dumps(series["metric"], sort_keys=True): float(series["value"][1]) for series in found}

    def values(self, expression: str, seconds: float) -> list[float]:
        """Every value of every series over the last seconds."""
        end = time.time()
        found = self.get("query_range", query=expression, start=end - seconds, end=end, step=2)["result"]
        return [float(value) for series in found for _, value in series["values"]]


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[Prometheus]:
    """Scrapes every two seconds and evaluates all rules of the chart, until the end of the block."""
    program = binary("prometheus")
    (port,) = free_ports(1)
    labels = {"namespace": NAMESPACE, "pod": POD}
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(CHART / "alerts" / "*.yaml")],
        "scrape_configs": [{"job_name": "moderation", "static_configs": [{"targets": targets, "labels": labels}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
    found = Prometheus(f"http://127.0.0.1:{port}")

    def up() -> bool:
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        try:
            return list(found.now("up").values()) == [1.0] * len(targets)
        except OSError:
            return False

    try:
        wait_until(up, 60)
        yield found
    finally:
        process.terminate()
        process.wait(20)
