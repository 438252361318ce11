"""The chart as Helm renders it, for tests that look at single objects."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import tools

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "content-moderation"
NAME = "demo-content-moderation"
"""Full name of the objects of release `demo`."""
Values = dict[str, Any]

EXPOSED: Values = {
    "profile": "gpu",
    "security": {
        "config": {
            "access": {
                "mode": "required",
                "issuers": [{"issuer": "https://login.example.com", "audience": "m", "jwks": "secrets/jwks.json"}],
            }
        },
        "existingSecret": "jwks",
    },
    "analysis": {"tokenSecret": "analysis-token"},
    "gateway": {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["moderation.example.com"],
        "http": {"enabled": True},
        "grpc": {"enabled": True},
    },
}
"""A server that callers outside the cluster reach."""


class RefusedError(Exception):
    """Helm would not render these values."""


@dataclass(frozen=True)
class Rendered:
    """All objects of one release, and what NOTES.txt says."""

    text: str

    @property
    def objects(self) -> list[Any]:
        return [d for d in yaml.load_all(self.text, yaml.CSafeLoader) if d]

    def all(self, kind: str) -> list[Any]:
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Any:
        """The object of a kind whose name is the release's full name and the suffix."""
        found = [o for o in self.all(kind) if o["metadata"]["name"] == NAME + suffix]
        assert len(found) == 1, f"{len(found)} {kind} named {NAME}{suffix}; there are {self.names}"
        return found[0]

    @property
    def names(self) -> list[str]:
        return [f"{o['kind']}/{o['metadata']['name']}" for o in self.objects]

    def pod(self, suffix: str = "") -> Any:
        """The pod of a track's Deployment."""
        return self.one("Deployment", suffix)["spec"]["template"]["spec"]

    def server(self, suffix: str = "") -> Any:
        """The container that serves."""
        (container,) = self.pod(suffix)["containers"]
        return container


class Helm:
    """One Helm: a binary, or the SDK of Helm 4 from PyPI where no binary could be built."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.binary = tools.binary(kind)

    @property
    def missing(self) -> str:
        """Why it cannot be used; empty when it can."""
        if self.kind == "sdk":
            return "" if importlib.util.find_spec("helm_python") else "Helm's SDK: run `make chart-tools`"
        builder = "cluster-test" if self.kind == "helm4" else "chart-tools"
        return "" if self.binary.is_file() else f"no {self.binary.name}: run `make {builder}` (needs Go)"

    def render(self, values: Values, *, files: tuple[Path, ...] = (), chart: Path = CHART) -> Rendered:
        """`helm template demo` with values.

        Raises:
            RefusedError: with what Helm said.
        """
        if self.kind == "sdk":
            return self._render_sdk(values, files, chart)
        done = self.run(
            ["template", "demo", str(chart), "--namespace=moderation"]
            + [f"--values={f}" for f in files]
            + ["--values=-"],
            yaml.safe_dump(values),
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return Rendered(done.stdout)

    def run(self, arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.binary, *arguments], input=stdin, capture_output=True, text=True, timeout=120)

    def _render_sdk(self, values: Values, files: tuple[Path, ...], folder: Path) -> Rendered:
        import helm_python  # not locked: only for machines that have no Go

        merged: Values = {}
        for part in [*(yaml.safe_load(f.read_text()) for f in files), values]:
            merge(merged, part)
        try:
            with helm_python.Chart.load(str(folder)) as chart:
                parts = chart.render(merged, name="demo", namespace="moderation")
        except Exception as error:  # the SDK's own kinds are not public
            raise RefusedError(str(error)) from None
        return Rendered("\n---\n".join(t for path, t in sorted(parts.items()) if not path.endswith("NOTES.txt")))


def merge(target: Values, source: Values) -> None:
    """Lay one set of values over another, as Helm does."""
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def with_values(*parts: Values) -> Values:
    """Several sets of values as one."""
    result: Values = {}
    for part in parts:
        merge(result, yaml.safe_load(yaml.safe_dump(part)))
    return result


def some_helm() -> Helm:
    """The Helm that the chart's tests use: 3, else 4, else the SDK."""
    kinds = [Helm("helm"), Helm("helm4"), Helm("sdk")]
    for helm in kinds:
        if not helm.missing:
            return helm
    pytest.skip(f"no Helm: {' or '.join(helm.missing for helm in kinds)}")


CANARY: Values = with_values(
    EXPOSED, {"canary": {"enabled": True, "weight": 5, "replicas": 2, "image": {"tag": "0.2.0"}}}
)


def seconds(deployment: Any) -> int:
    return int(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])


def containers(pod: Any) -> list[Any]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def pods(rendered: Any) -> list[Any]:
    """Specs of all pods that the chart makes."""
    owners = [o["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for o in rendered.all(kind)]
    return owners + [o["spec"] for o in rendered.all("Pod")]
