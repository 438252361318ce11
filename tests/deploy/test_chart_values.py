"""Values: documented, checked by a schema, tied to the models they speak of."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import tools
from deploy.chart import CHART, EXPOSED, Helm, RefusedError, Values, with_values
from moderation.launcher import preflight
from moderation.launcher.run import REPOSITORY

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
STAGES = ("staging", "production")

MATRIX: dict[str, Values] = {
    "as it is": {},
    "gpu": {"profile": "gpu"},
    "gpu on a MIG slice": {"profile": "gpu", "gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}},
    "gpu with shared plans": {
        "profile": "gpu",
        "gpu": {"product": "NVIDIA-H100-80GB-HBM3"},
        "planCache": {"type": "pvc", "existingClaim": "plans"},
    },
    "networks built into a claim": {"modelStore": {"source": "pvc"}},
    "networks from object storage": {
        "modelStore": {"source": "objectStorage", "objectStorage": {"path": "models/v1", "existingSecret": "s3"}},
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
    },
    "an own policy": {"policy": {"version": 7, "files": {"policy.yaml": "a: 1", "lists/a.txt": "b"}}},
    "hpa": {"autoscaling": {"mode": "hpa"}},
    "keda": {"autoscaling": {"mode": "keda", "keda": {"serverAddress": "http://prometheus:9090"}}},
    "exposed by a gateway": EXPOSED,
    "a canary": with_values(EXPOSED, {"canary": {"enabled": True, "image": {"tag": "0.2.0"}}}),
    "exposed by an ingress": {
        "ingress": {"enabled": True, "hosts": ["a.example.com"], "tlsSecret": "tls"},
        "exposure": {"trustedCallers": True},
    },
    "watched": {"monitoring": {"monitor": "service", "rules": True, "dashboards": True}},
    "watched by pod": {"monitoring": {"monitor": "pod"}},
    "traced": {
        "tracing": {"enabled": True, "endpoint": "http://otel:4318/v1/traces"},
        "networkPolicy": {"egress": [{"ports": [{"port": 4318}]}]},
    },
    "least": {
        "analysis": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "serviceAccount": {"create": False},
        "scheduling": {"zoneSpread": "off", "nodeSpread": "off"},
        "replicaCount": 1,
    },
}


def leaves(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all values that are no tables; an empty table is a value."""
    if isinstance(values, dict) and values and path[2:] != ("resources",) and path[1:] != ("resources",):
        return list(itertools.chain.from_iterable(leaves(v, (*path, k)) for k, v in values.items()))
    return [path]


def lookup(schema: Any, path: tuple[str, ...]) -> Any:
    """The part of the schema that speaks of a value."""
    for key in path:
        while "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = schema["properties"][key]
    return schema


def schema_leaves(schema: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths of all values that the schema knows."""
    if schema.get("$ref", "").endswith("/profile"):
        schema = SCHEMA["$defs"]["profile"]
    if "properties" not in schema:
        return {path}
    return set().union(*(schema_leaves(part, (*path, key)) for key, part in schema["properties"].items()))


def test_the_schema_knows_exactly_the_values_there_are() -> None:
    """Promise: no value without a check, no check of a value that is gone."""
    assert set(leaves(VALUES)) == schema_leaves(SCHEMA) - {("global",)}


def test_every_table_refuses_unknown_keys() -> None:
    """Promise: a typing error is an error."""
    found = [SCHEMA, *SCHEMA["$defs"].values()]
    while found:
        part = found.pop()
        if isinstance(part, dict) and "properties" in part:
            assert part.get("additionalProperties") is False
            found += part["properties"].values()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replicas": 3}, "replicas"),
        ({"drain": {"minimum": 3}}, "minimum"),
        ({"profiles": {"tpu": {}}}, "tpu"),
        ({"profile": "tpu"}, "profile"),
        ({"replicaCount": 0}, "replicaCount"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"autoscaling": {"mode": "vpa"}}, "mode"),
        ({"canary": {"weight": 101}}, "weight"),
        ({"policy": {"files": {"../policy.yaml": "a"}}}, "files"),
        ({"analysis": {"maxErrorRatio": 1.5}}, "maxErrorRatio"),
        ({"server": {"extraArgs": ["log-verbose=1"]}}, "extraArgs"),
        ({"gateway": {"hostnames": ["not a host"]}}, "hostnames"),
    ],
)
def test_the_schema_refuses(helm: Helm, values: Values, says: str) -> None:
    """Promise: a wrong value is refused by name before anything is rendered."""
    with pytest.raises(RefusedError, match=says):
        helm.render(values)


def test_several_wrong_values_are_named_at_once(helm: Helm) -> None:
    """Promise: one round of corrections is enough."""
    with pytest.raises(RefusedError) as refused:
        helm.render({"profile": "tpu", "replicas": 3, "canary": {"weight": 101}})
    assert all(word in str(refused.value) for word in ("profile", "replicas", "weight"))


@pytest.mark.parametrize("stage", STAGES)
def test_values_of_a_stage_render(helm: Helm, stage: str) -> None:
    """Promise: the shipped value files are consistent."""
    assert helm.render({}, files=(CHART / f"values-{stage}.yaml",)).objects


@pytest.mark.parametrize("case", [*MATRIX, *STAGES])
def test_objects_are_what_kubernetes_takes(helm: Helm, case: str) -> None:
    """Promise: every object, custom resources included, is valid in the current Kubernetes, unknown fields refused."""
    kubeconform = tools.binary("kubeconform")
    if not kubeconform.is_file() or not tools.schemas().is_dir():
        pytest.skip("no kubeconform or no schemas: run `make chart-tools` (needs Go)")
    files = (CHART / f"values-{case}.yaml",) if case in STAGES else ()
    text = helm.render(MATRIX.get(case, {}), files=files).text
    assert not conform(kubeconform, text)
    assert conform(kubeconform, text.replace("policyTypes:", "policyKinds:").replace("selector:", "select:"))


def conform(kubeconform: Path, text: str) -> str:
    """What kubeconform says against manifests."""
    location = f"{tools.schemas()}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = subprocess.run(
        [kubeconform, "-strict", "-schema-location", location], input=text, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("kind", ["helm", "helm4"])
@pytest.mark.parametrize("case", MATRIX)
def test_lint_finds_nothing(kind: str, case: str) -> None:
    """Promise: `helm lint --strict` of Helm 3 and 4 is content with the chart under every kind of values."""
    found = Helm(kind)
    if found.missing:
        pytest.skip(found.missing)
    done = found.run(["lint", "--strict", "--values=-", str(CHART)], yaml.safe_dump(MATRIX[case]))
    assert done.returncode == 0, done.stdout + done.stderr


def test_helm_4_renders_what_helm_3_renders() -> None:
    """Promise: the chart means the same to both."""
    three, four = Helm("helm"), Helm("helm4")
    if three.missing or four.missing:
        pytest.skip(three.missing or four.missing)
    for values in MATRIX.values():
        rendered = [sorted(map(json.dumps, h.render(values).objects)) for h in (three, four)]
        assert rendered[0] == rendered[1]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_instances_are_those_of_the_repository(profile: str) -> None:
    """Promise: /dev/shm is sized for the instances that the models' configurations ask for."""
    of_chart = VALUES["profiles"][profile]
    assert of_chart["pythonInstances"] == preflight.python_instances(REPOSITORY, of_chart["configuration"])


def test_shared_memory_is_what_the_launcher_asks_for() -> None:
    """Promise: the chart's formula is the launcher's."""
    assert (preflight.REGION_BYTES + preflight.PIXEL_BYTES) >> 20 == 26


def test_the_readme_is_made_from_the_values() -> None:
    """Promise: the README's table is that of the values; `make chart-readme` renews it."""
    if not tools.binary("helm-docs").is_file():
        pytest.skip("no helm-docs: run `make chart-tools` (needs Go)")
    done = subprocess.run(
        [*tools.readme_command(), "--dry-run"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == (CHART / "README.md").read_text().strip()


def test_every_value_has_a_comment() -> None:
    """Promise: the README says something about each value."""
    lines = (CHART / "README.md").read_text().splitlines() if (CHART / "README.md").is_file() else []
    rows = {cells[1].strip(): cells[4].strip() for line in lines if len(cells := line.split("|")) > 5}
    silent = [key for path in leaves(VALUES) if not rows.get(key := ".".join(path))]
    assert not silent
