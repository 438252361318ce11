"""The chart on a real control plane: what only an API server, controllers and a scheduler can say.

The tests follow one release through its life, in order.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import yaml

from deploy.chart import CHART, NAME, Helm
from deploy.cluster.plane import ApiError, Cluster, wait_for
from deploy.test_chart_values import MATRIX

pytestmark = pytest.mark.timeout(1500)  # Kubernetes builds slowly on a busy machine; nothing here measures
SPACE = "moderation"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{SPACE}/deployments/{NAME}"
BROKEN = "0.1.2-broken"


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Cluster:
    """Release `demo`, installed by Helm 3 into a namespace that enforces *restricted*."""
    cluster.namespace(SPACE)
    done = cluster.helm("helm", "install", "demo", str(CHART), f"--namespace={SPACE}", "--wait", "--timeout=300s")
    assert done.returncode == 0, done.stderr
    assert "STATUS: deployed" in done.stdout
    assert "Warning" not in done.stderr
    return cluster


def pods(cluster: Cluster, space: str = SPACE, selector: str = "app.kubernetes.io/component=server") -> list[Any]:
    found: list[Any] = cluster.get(f"/api/v1/namespaces/{space}/pods?labelSelector={selector}")["items"]
    return [p for p in found if "deletionTimestamp" not in p["metadata"]]


def images(cluster: Cluster) -> set[str]:
    return {p["spec"]["containers"][0]["image"] for p in pods(cluster)}


def history(cluster: Cluster) -> list[Any]:
    done = cluster.helm("helm", "history", "demo", f"--namespace={SPACE}", "--output=json")
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> str:
    """A namespace that enforces *restricted*, with the account that the chart's pods name."""
    cluster.namespace("objects")
    cluster.create("/api/v1/namespaces/objects/serviceaccounts", {"metadata": {"name": NAME}})
    return "objects"


@pytest.mark.parametrize("case", MATRIX)
def test_the_api_server_takes_every_object(cluster: Cluster, space: str, case: str) -> None:
    """Promise: each object of each kind of values passes validation and admission of the real API server."""
    for body in Helm("helm").render(MATRIX[case]).objects:
        body["metadata"] |= {"namespace": space}
        if body["kind"] == "ServiceAccount":
            continue  # it is there already
        assert cluster.create(f"{cluster.path_of(body)}?dryRun=All", body)["kind"] == body["kind"]


def test_an_install_is_admitted_under_pod_security_restricted(release: Cluster) -> None:
    """Promise: pods of server and analysis were admitted without a warning, and became ready."""
    status = release.get(DEPLOYMENT)["status"]
    assert status["readyReplicas"] == status["updatedReplicas"] == 2
    assert len({p["spec"]["nodeName"] for p in pods(release)}) == 2
    assert not [p for p in pods(release) if p["spec"]["nodeName"].startswith("gpu-")]


def test_the_namespace_refuses_what_the_chart_avoids(release: Cluster) -> None:
    """Promise: the enforcement is real: the chart's own pod as root is refused."""
    template = release.get(DEPLOYMENT)["spec"]["template"]
    template["metadata"] |= {"name": "as-root"}
    template["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
    with pytest.raises(ApiError, match='violates PodSecurity "restricted') as refused:
        release.create(f"/api/v1/namespaces/{SPACE}/pods", template)
    assert refused.value.code == 403


def test_a_drain_of_nodes_may_take_one_pod(release: Cluster) -> None:
    """Promise: the budget counts the release's pods and allows one to go."""
    path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets/{NAME}"
    status = wait_for(lambda: release.get(path)["status"], "budget")
    wait_for(lambda: release.get(path)["status"].get("disruptionsAllowed") == 1, f"one disruption, was {status}")
    assert release.get(path)["status"]["currentHealthy"] == 2


def test_services_find_the_pods(release: Cluster) -> None:
    """Promise: the endpoints of stable and headless service are the two pods, not the analysis."""
    for suffix in ("", "-pods"):
        selector = f"kubernetes.io/service-name={NAME}{suffix}"
        slices = release.get(f"/apis/discovery.k8s.io/v1/namespaces/{SPACE}/endpointslices?labelSelector={selector}")
        assert sum(len(s["endpoints"]) for s in slices["items"]) == 2


def test_an_upgrade_to_a_new_image_and_policy_never_lowers_capacity(release: Cluster) -> None:
    """Promise: Helm 4 upgrades what Helm 3 installed; two pods are available all the time; the policy is mounted."""
    fewest = [2]
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            fewest[0] = min(fewest[0], release.get(DEPLOYMENT)["status"].get("availableReplicas", 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    values = {"image": {"tag": "0.1.1"}, "policy": {"version": 2, "files": {"policy.yaml": "name: two"}}}
    try:
        done = release.helm(
            "helm4",
            "upgrade",
            "demo",
            str(CHART),
            f"--namespace={SPACE}",
            "--rollback-on-failure",
            "--timeout=300s",
            values=values,
        )
    finally:
        over.set()
        watcher.join()
    assert done.returncode == 0, done.stderr
    assert images(release) == {"content-moderation-cpu:0.1.1"}
    assert fewest == [2]
    (volume,) = [v for v in pods(release)[0]["spec"]["volumes"] if v["name"] == "policy"]
    found = release.get(f"/api/v1/namespaces/{SPACE}/configmaps/{volume['configMap']['name']}")
    assert found["data"]["policy.yaml"] == "name: two"


@pytest.mark.parametrize(("kind", "flag"), [("helm", "--atomic"), ("helm4", "--rollback-on-failure")])
def test_a_failed_analysis_rolls_the_upgrade_back(release: Cluster, kind: str, flag: str) -> None:
    """Promise: golden images that fail bring back image and policy of the release before, with Helm 3 and 4."""
    before = history(release)[-1]
    done = release.helm(
        kind,
        "upgrade",
        "demo",
        str(CHART),
        f"--namespace={SPACE}",
        flag,
        "--timeout=300s",
        values={"image": {"tag": BROKEN}},
    )
    assert done.returncode != 0
    assert "failed" in done.stderr
    assert images(release) == {"content-moderation-cpu:0.1.1"}
    assert [v for v in pods(release)[0]["spec"]["volumes"] if v["name"] == "policy"]
    now = history(release)
    assert now[-2]["status"] == "failed"
    assert now[-1]["status"] == "deployed"
    assert now[-1]["description"] == f"Rollback to {before['revision']}"


def test_the_log_of_a_failed_analysis_can_be_read(release: Cluster) -> None:
    """Promise: the failed job stays until the next upgrade, so that somebody can look why."""
    values = {"image": {"tag": BROKEN}}
    done = release.helm(
        "helm", "upgrade", "demo", str(CHART), f"--namespace={SPACE}", "--timeout=300s", "--wait", values=values
    )
    assert done.returncode != 0
    failed = [
        p for p in pods(release, selector="app.kubernetes.io/component=check") if p["status"]["phase"] == "Failed"
    ]
    assert [p["spec"]["containers"][0]["image"] for p in failed] == [f"content-moderation-cpu:{BROKEN}"]
    done = release.helm("helm", "rollback", "demo", f"--namespace={SPACE}", "--wait", "--timeout=300s")
    assert done.returncode == 0, done.stderr


def test_helm_test_runs_on_the_release(release: Cluster) -> None:
    """Promise: the test pod is admitted and its end is the test's."""
    done = release.helm("helm", "test", "demo", f"--namespace={SPACE}", "--timeout=180s")
    assert done.returncode == 0, done.stderr
    assert "Phase:          Succeeded" in done.stdout


def test_the_autoscaler_keeps_its_number_over_an_upgrade(release: Cluster) -> None:
    """Promise: the HPA is accepted, finds its deployment, and an upgrade does not undo what was scaled."""
    values = {"autoscaling": {"mode": "hpa", "minReplicas": 2}}
    common = "upgrade", "demo", str(CHART), f"--namespace={SPACE}", "--wait", "--timeout=300s"
    assert release.helm("helm", *common, values=values).returncode == 0
    path = f"/apis/autoscaling/v2/namespaces/{SPACE}/horizontalpodautoscalers/{NAME}"

    def able() -> bool:
        conditions = release.get(path)["status"].get("conditions", [])
        return any(c["type"] == "AbleToScale" and c["status"] == "True" for c in conditions)

    wait_for(able, "the HPA reaches its deployment")
    release.patch(f"{DEPLOYMENT}/scale", {"spec": {"replicas": 4}})
    done = release.helm("helm", *common, values={**values, "image": {"tag": "0.1.3"}})
    assert done.returncode == 0, done.stderr
    assert release.get(DEPLOYMENT)["spec"]["replicas"] == 4
    assert images(release) == {"content-moderation-cpu:0.1.3"}


def test_production_runs_on_gpus_in_every_zone(cluster: Cluster) -> None:
    """Promise: the shipped production values are admitted and scheduled: one GPU a pod, one pod a zone."""
    cluster.create(
        "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "production-critical"}, "value": 1000}
    )
    cluster.namespace("production")
    done = cluster.helm(
        "helm",
        "install",
        "demo",
        str(CHART),
        "--namespace=production",
        f"--values={CHART / 'values-production.yaml'}",
        "--wait",
        "--timeout=300s",
    )
    assert done.returncode == 0, done.stderr
    # KEDA is not here to do it
    path = f"/apis/apps/v1/namespaces/production/deployments/{NAME}"
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 3}})
    wait_for(lambda: cluster.get(path)["status"].get("readyReplicas") == 3, "three pods")
    assert sorted(p["spec"]["nodeName"] for p in pods(cluster, "production")) == ["gpu-0", "gpu-1", "gpu-2"]
    kinds = {"HTTPRoute": "gateway.networking.k8s.io/v1", "ScaledObject": "keda.sh/v1alpha1"}
    for kind, version in kinds.items():
        body = {"apiVersion": version, "kind": kind, "metadata": {"namespace": "production"}}
        assert cluster.get(f"{cluster.path_of(body)}/{NAME}")


def test_an_uninstall_leaves_nothing(release: Cluster) -> None:
    """Promise: no object of the release stays; the claim of a model store would, by its own annotation."""
    done = release.helm("helm", "uninstall", "demo", f"--namespace={SPACE}", "--wait", "--timeout=180s")
    assert done.returncode == 0, done.stderr
    kinds = [
        yaml.safe_load(text) for text in ("{apiVersion: apps/v1, kind: Deployment}", "{apiVersion: v1, kind: Service}")
    ]
    for body in [*kinds, {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}]:
        body["metadata"] = {"namespace": SPACE}
        assert release.get(release.path_of(body))["items"] == []
    wait_for(lambda: not pods(release), "the pods end")
