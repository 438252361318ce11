"""Values that contradict each other: each is refused with the values and the remedy, all of them at once."""

from __future__ import annotations

import re

import pytest

from deploy.chart import CHART, EXPOSED, Helm, RefusedError, Values, with_values

REFUSALS: dict[str, tuple[Values, str]] = {
    "replicas under an autoscaler": (
        {"replicaCount": 3, "autoscaling": {"mode": "hpa"}},
        "replicaCount is 3 and autoscaling.mode is hpa",
    ),
    "fewest above most": (
        {"autoscaling": {"mode": "hpa", "minReplicas": 5, "maxReplicas": 4}},
        "autoscaling.minReplicas 5 is above autoscaling.maxReplicas 4",
    ),
    "keda without Prometheus": ({"autoscaling": {"mode": "keda"}}, "without autoscaling.keda.serverAddress"),
    "a budget that forbids every drain": ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable is 0"),
    "a budget for one pod": ({"replicaCount": 1}, "1 replica with a PodDisruptionBudget"),
    "a drain that ends before it may": (
        {"drain": {"minSeconds": 60, "maxSeconds": 50}},
        "drain.minSeconds 60 is above drain.maxSeconds 50",
    ),
    "callers that stay longer than the drain": (
        {"drain": {"grpcConnectionSeconds": 40}},
        "drain.maxSeconds 45 ends before the last gRPC caller has left and it was quiet, after 46 s",
    ),
    "an analysis without time": (
        {"analysis": {"watchSeconds": 300, "timeoutSeconds": 300}},
        "analysis.watchSeconds 300 leaves nothing of analysis.timeoutSeconds 300",
    ),
    "too little shared memory": ({"sharedMemory": {"sizeMi": 64}}, r"sharedMemory.sizeMi 64 is too small: \d+ Python"),
    "a memory limit that /dev/shm eats": (
        {"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1.5Gi"}}},
        "the memory limit of 1536 MiB counts /dev/shm",
    ),
    "an image that moves": ({"image": {"tag": "latest"}}, "image.tag is latest"),
    "a claim for one pod at a time": (
        {"modelStore": {"source": "pvc", "pvc": {"accessMode": "ReadWriteOnce"}}},
        "modelStore.pvc.accessMode is ReadWriteOnce",
    ),
    "object storage without a place": (
        {"modelStore": {"source": "objectStorage"}, "networkPolicy": {"egress": [{}]}},
        "without modelStore.objectStorage.path",
    ),
    "object storage behind a closed door": (
        {"modelStore": {"source": "objectStorage", "objectStorage": {"path": "a/b"}}},
        "networkPolicy denies the way there",
    ),
    "a plan cache without claim": (
        {"profile": "gpu", "gpu": {"product": "L4"}, "planCache": {"type": "pvc"}},
        "without planCache.existingClaim",
    ),
    "a plan cache without folder": (
        {"profile": "gpu", "gpu": {"product": "L4"}, "planCache": {"type": "hostPath"}},
        "without planCache.hostPath",
    ),
    "plans of several GPUs in one folder": (
        {"profile": "gpu", "planCache": {"type": "pvc", "existingClaim": "plans"}},
        "planCache.type is pvc without gpu.product",
    ),
    "two policies": (
        {"policy": {"existingConfigMap": "a", "files": {"policy.yaml": "b"}}},
        "policy.files and policy.existingConfigMap a are both given",
    ),
    "a policy without policy.yaml": ({"policy": {"files": {"lists/a.txt": "b"}}}, "policy.files has no policy.yaml"),
    "a canary's policy without policy.yaml": (
        with_values(EXPOSED, {"canary": {"enabled": True, "policy": {"files": {"lists/a.txt": "b"}}}}),
        "canary.policy.files has no policy.yaml",
    ),
    "a canary with nothing new": (with_values(EXPOSED, {"canary": {"enabled": True}}), "the stable track once more"),
    "a canary that nobody reaches": (
        {"canary": {"enabled": True, "image": {"tag": "2"}}},
        "nothing would send it a share",
    ),
    "a route to no gateway": (with_values(EXPOSED, {"gateway": {"parentRefs": []}}), "without gateway.parentRefs"),
    "a route for every host": (with_values(EXPOSED, {"gateway": {"hostnames": []}}), "without gateway.hostnames"),
    "an ingress without host": (
        {"ingress": {"enabled": True, "tlsSecret": "a"}, "exposure": {"trustedCallers": True}},
        "without ingress.hosts",
    ),
    "an ingress in clear": (
        {"ingress": {"enabled": True, "hosts": ["a.example.com"]}, "exposure": {"trustedCallers": True}},
        "without ingress.tlsSecret",
    ),
    "open to everybody": (
        {"profile": "gpu", "ingress": {"enabled": True, "hosts": ["a.example.com"], "tlsSecret": "a"}},
        "without access control: everybody could use it",
    ),
    "the embedded server exposed": (with_values(EXPOSED, {"profile": "cpu"}), "Triton 24.10 has known holes"),
    "gRPC without authentication": (
        with_values(
            EXPOSED, {"security": {"config": {"access": {"mode": "none"}}}, "exposure": {"trustedCallers": True}}
        ),
        "callers would reach every model",
    ),
    "gRPC encrypted where the route is not": (
        with_values(EXPOSED, {"tls": {"grpc": {"existingSecret": "tls"}}}),
        "the route speaks clear HTTP/2",
    ),
    "authentication without keys": (
        {"security": {"config": {"access": {"mode": "required"}}}, "analysis": {"tokenSecret": "a"}},
        "without security.existingSecret",
    ),
    "an analysis that is not let in": (
        {"security": {"config": {"access": {"mode": "required"}}, "existingSecret": "a"}},
        "the analysis has no token",
    ),
    "an audit log that ends with its pod": (
        {"security": {"config": {"audit": {"mode": "required"}}}},
        "audit.mode is required without security.auditClaim",
    ),
    "keys that nothing reads": ({"security": {"existingSecret": "a"}}, "security.existingSecret a without"),
    "networks of a CPU beside plans": (
        {"profile": "gpu", "modelStore": {"source": "pvc"}},
        "modelStore.source is pvc with profile gpu",
    ),
    "mutual TLS without certificates": ({"tls": {"grpc": {"mutual": True}}}, "without tls.grpc.existingSecret"),
    "traces to nowhere": (
        {"tracing": {"enabled": True}, "networkPolicy": {"enabled": False}},
        "without tracing.endpoint",
    ),
    "traces behind a closed door": (
        {"tracing": {"enabled": True, "endpoint": "http://otel:4318/v1/traces"}},
        "networkPolicy denies the way to the receiver",
    ),
    "rules over nothing": ({"monitoring": {"rules": True}}, "monitoring.rules without monitoring.monitor"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_contradiction_is_refused(helm: Helm, case: str) -> None:
    """Promise: this one fault is named, alone, and what it contradicts."""
    values, says = REFUSALS[case]
    with pytest.raises(RefusedError, match=says) as refused:
        helm.render(values)
    assert "1 contradiction" in str(refused.value)


def test_all_contradictions_are_named_at_once(helm: Helm) -> None:
    """Promise: one round of corrections is enough."""
    with pytest.raises(RefusedError) as refused:
        helm.render(
            {
                "replicaCount": 1,
                "autoscaling": {"mode": "keda"},
                "image": {"tag": "latest"},
                "canary": {"enabled": True},
                "monitoring": {"rules": True},
            }
        )
    assert "6 contradiction" in str(refused.value)


def test_every_refusal_has_a_test() -> None:
    """Promise: no refusal is written that is never tried."""
    written = (CHART / "templates" / "_refusals.tpl").read_text().count("$faults = append $faults")
    # one line of the template serves the stable policy and the canary's
    assert len(REFUSALS) == written + 1


def test_every_refusal_names_a_remedy() -> None:
    """Promise: a sentence after the fault says what to do."""
    text = (CHART / "templates" / "_refusals.tpl").read_text()
    sentences = re.findall(r'\$faults = append \$faults (?:\(printf )?"([^"]*)"', text)
    assert len(sentences) == len(REFUSALS) - 1
    verbs = "Set|Give|Name|Raise|Remove|Keep|Add|Use|Let|enable|A version folder"
    assert not [s for s in sentences if not re.search(rf"(\. |; |, or )({verbs})", s)]
