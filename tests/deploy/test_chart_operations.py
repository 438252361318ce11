"""How the chart scales, is watched, and proves an upgrade."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from deploy.chart import CANARY, CHART, NAME, Helm, Values
from moderation import contract


def test_an_autoscaler_owns_the_number_of_pods(helm: Helm) -> None:
    """Promise: no `replicas` beside an autoscaler, so an upgrade keeps the number."""
    assert "replicas" not in helm.render({"autoscaling": {"mode": "hpa"}}).one("Deployment")["spec"]
    assert helm.render({}).one("Deployment")["spec"]["replicas"] == 2
    assert helm.render({"replicaCount": 5}).one("Deployment")["spec"]["replicas"] == 5


def test_the_hpa_scales_by_waiting_time(helm: Helm) -> None:
    """Promise: the target is the mean time in the queue."""
    autoscaling = {"mode": "hpa", "minReplicas": 3, "maxReplicas": 9, "targetQueueMilliseconds": 25}
    spec = helm.render({"autoscaling": autoscaling}).one("HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    (metric,) = spec["metrics"]
    assert metric["pods"]["metric"]["name"] == adapter_rule()["name"]["as"]
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "25000"}
    assert spec["scaleTargetRef"]["name"] == NAME


def adapter_rule() -> Values:
    """What the chart gives to prometheus-adapter."""
    text = (CHART / "autoscaling" / "prometheus-adapter.yaml").read_text()
    (rule,) = yaml.safe_load(text)["rules"]["custom"]
    return dict(rule)


def test_keda_asks_prometheus_for_the_same(helm: Helm) -> None:
    """Promise: the query names the release's pods and the entry model."""
    keda = {"serverAddress": "http://prometheus:9090", "authenticationRef": "prometheus"}
    spec = helm.render({"autoscaling": {"mode": "keda", "keda": keda}}).one("ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["threshold"] == "20000"
    assert f'model="{contract.ENTRY}"' in trigger["metadata"]["query"]
    (pattern,) = set(re.findall(r'pod=~"([^"]+)"', trigger["metadata"]["query"]))
    assert re.fullmatch(pattern, f"{NAME}-6f7d8c9b5-x2x9z")
    assert not re.fullmatch(pattern, f"{NAME}-canary-6f7d8c9b5-x2x9z")
    assert trigger["authenticationRef"] == {"name": "prometheus"}


def test_a_drain_of_nodes_leaves_pods(helm: Helm) -> None:
    """Promise: one pod at a time, and a pod that is not ready never blocks a node."""
    spec = helm.render({}).one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize(("monitor", "kind"), [("service", "ServiceMonitor"), ("pod", "PodMonitor")])
def test_the_monitor_finds_what_it_scrapes(helm: Helm, monitor: str, kind: str) -> None:
    """Promise: its selector fits one service or the pods, and each pod is scraped once."""
    rendered = helm.render({"monitoring": {"monitor": monitor, "labels": {"release": "prometheus"}}})
    found = rendered.one(kind)
    assert found["metadata"]["labels"]["release"] == "prometheus"
    selector = found["spec"]["selector"]["matchLabels"].items()
    if monitor == "service":
        assert [
            s["metadata"]["name"] for s in rendered.all("Service") if selector <= s["metadata"]["labels"].items()
        ] == [f"{NAME}-pods"]
    else:
        assert selector <= rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"].items()


def test_rules_and_dashboards_are_those_of_the_folders(helm: Helm) -> None:
    """Promise: every file of alerts/ and dashboards/ is in the release as it is."""
    rendered = helm.render({"monitoring": {"monitor": "service", "rules": True, "dashboards": True}})
    rules = [o["spec"]["groups"] for o in rendered.all("PrometheusRule")]
    assert rules == [yaml.safe_load(p.read_text())["groups"] for p in sorted((CHART / "alerts").glob("*.yaml"))]
    boards = [o for o in rendered.all("ConfigMap") if "grafana_dashboard" in o["metadata"]["labels"]]
    assert [json.loads(next(iter(o["data"].values()))) for o in boards] == [
        json.loads(p.read_text()) for p in sorted((CHART / "dashboards").glob("*.json"))
    ]


def test_alerts_link_to_the_runbooks_that_are_given(helm: Helm) -> None:
    """Promise: whoever is woken gets an address that opens."""
    page = "https://wiki.example/runbooks"
    rendered = helm.render({"monitoring": {"monitor": "pod", "rules": True, "runbooks": page}})
    rules = [r for o in rendered.all("PrometheusRule") for g in o["spec"]["groups"] for r in g["rules"]]
    links = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    assert links
    assert all(link.startswith(f"{page}#") for link in links)


def test_the_objective_for_latency_is_a_value(helm: Helm) -> None:
    """Promise: the rules count against it, and the sentences name it."""
    rendered = helm.render({"monitoring": {"monitor": "pod", "rules": True, "latencySeconds": "2.5"}})
    text = json.dumps([o["spec"] for o in rendered.all("PrometheusRule")])
    assert 'le=\\"2.5\\"' in text
    assert "2500 ms" in text
    assert "0.15" not in text
    assert "150 ms" not in text


def test_the_analysis_is_a_hook_that_can_fail_an_upgrade(helm: Helm) -> None:
    """Promise: one try, a time limit, the server's image, every pod of the release; its log is kept when it fails."""
    values: Values = {"analysis": {"watchSeconds": 60, "maxP95Milliseconds": 150, "timeoutSeconds": 200}}
    job = helm.render(values).one("Job", "-analysis")
    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "post-upgrade,post-install"
    assert "hook-failed" not in annotations["helm.sh/hook-delete-policy"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 200
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "content-moderation-cpu:0.1.0"
    assert container["command"][:3] == ["moderation", "deploy", "analyse"]
    assert {f"--host={NAME}-pods", "--watch=60", "--max-p95-ms=150"} <= set(container["command"])


def test_the_analysis_takes_golden_images_and_a_token_of_yours(helm: Helm) -> None:
    """Promise: both come from objects that exist."""
    analysis = {"goldenConfigMap": "golden", "tokenSecret": "token", "tokenKey": "jwt", "onInstall": False}
    job = helm.render({"analysis": analysis}).one("Job", "-analysis")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"--golden=/etc/moderation/golden", "--token-file=/etc/moderation/token/jwt"} <= set(container["command"])


def test_helm_test_sends_the_golden_images(helm: Helm) -> None:
    """Promise: `helm test` works on any release."""
    pod = helm.render({}).one("Pod", "-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert "--watch=0" in pod["spec"]["containers"][0]["command"]


def test_the_account_has_no_rights_and_no_token(helm: Helm) -> None:
    """Promise: a broken-into pod can ask the cluster nothing."""
    rendered = helm.render({})
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert not [o for o in rendered.objects if "Role" in o["kind"]]


def test_objects_of_an_account_of_yours(helm: Helm) -> None:
    """Promise: `serviceAccount.create=false` makes none and uses the named one."""
    rendered = helm.render({"serviceAccount": {"create": False, "name": "team"}})
    assert not rendered.all("ServiceAccount")
    assert rendered.pod()["serviceAccountName"] == "team"


def test_notes_tell_the_next_command(helm: Helm, tmp_path: Path) -> None:
    """Promise: the text after an install names the release's own objects."""
    copy = shutil.copytree(CHART, tmp_path / "content-moderation")
    (copy / "templates" / "shown.yaml").write_text(
        "kind: Notes\nmetadata: {name: demo-content-moderation}\n"
        'text: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}\n'
    )
    shown = helm.render({}, chart=copy).one("Notes")["text"]
    assert f"kubectl -n moderation rollout status deployment/{NAME}" in shown
    assert "helm test demo -n moderation" in shown
    assert f"port-forward service/{NAME} 8000" in shown
    assert "Triton 24.10, which has known holes" in shown
    assert "prometheus-adapter" not in shown
    assert "autoscaling/prometheus-adapter.yaml" in helm.render({"autoscaling": {"mode": "hpa"}}, chart=copy).text
    exposed = helm.render(CANARY, chart=copy).one("Notes")["text"]
    assert "--url https://moderation.example.com" in exposed
    assert "5 % of the routes' requests go to the canary" in exposed


def test_environment_and_options_of_yours_reach_the_server(helm: Helm) -> None:
    """Promise: what the chart does not know can still be set."""
    server = {
        "extraArgs": ["--log-verbose=1"],
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraEnvFromSecrets": ["extra"],
    }
    found = helm.render({"server": server}).server()
    assert found["args"][-1] == "--log-verbose=1"
    assert {"name": "TZ", "value": "UTC"} in found["env"]
    assert found["envFrom"] == [{"secretRef": {"name": "extra"}}]
