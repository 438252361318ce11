"""Each template of the chart: what it promises a platform engineer."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.chart import CHART, EXPOSED, NAME, Helm, Values, with_values
from moderation import contract
from moderation.cli.serve import serve
from moderation.guard.settings import load as load_security

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


# deployment


def test_capacity_never_falls_in_an_upgrade(helm: Helm) -> None:
    """Promise: a new pod is ready before an old one goes."""
    strategy = helm.render({}).one("Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_a_pod_gets_all_the_time_that_its_stop_takes(helm: Helm) -> None:
    """Promise: nothing is killed while it drains: longest drain + Triton's own grace + the end of its processes."""
    values: Values = {"drain": {"minSeconds": 5, "maxSeconds": 70}, "server": {"graceSeconds": 40}}
    rendered = helm.render(values)
    assert seconds(rendered.one("Deployment")) == 70 + 40 + 15
    server = rendered.server()
    assert "--grace=40" in server["args"]
    command = server["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["moderation", "deploy", "drain", "--at-least=5", "--quiet=2", "--at-most=70"]


def test_probes_ask_the_launcher(helm: Helm) -> None:
    """Promise: a dead Python process fails the probes; a slow cold start does not."""
    server = helm.render({"profile": "gpu"}).server()
    probe = ["python", "-m", "moderation.deploy.probe"]
    assert server["startupProbe"]["exec"]["command"] == [*probe, "ready"]
    assert server["readinessProbe"]["exec"]["command"] == [*probe, "ready"]
    assert server["livenessProbe"]["exec"]["command"] == [*probe, "alive"]
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 600


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_shared_memory_and_memory_fit(helm: Helm, profile: str) -> None:
    """Promise: /dev/shm is memory, sized by the formula."""
    instances = yaml.safe_load((CHART / "values.yaml").read_text())["profiles"][profile]["pythonInstances"]
    pod = helm.render({"profile": profile}).pod()
    (volume,) = [v for v in pod["volumes"] if v["name"] == "shm"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{26 * instances}Mi"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]


def test_profiles_choose_image_configuration_and_resources(helm: Helm) -> None:
    """Promise: one value switches between CPU and GPU."""
    cpu, gpu = (helm.render({"profile": p, "image": {"registry": "registry.example.com/team"}}) for p in ("cpu", "gpu"))
    assert cpu.server()["image"] == "registry.example.com/team/content-moderation-cpu:0.1.0"
    assert gpu.server()["image"] == "registry.example.com/team/content-moderation:0.1.0"
    assert "--profile=cpu" in cpu.server()["args"]
    assert "--profile=default" in gpu.server()["args"]
    assert "nvidia.com/gpu" not in json.dumps(cpu.objects)
    assert gpu.server()["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in gpu.pod()["tolerations"]


def test_a_mig_slice_and_a_kind_of_gpu_can_be_asked_for(helm: Helm) -> None:
    """Promise: GPU sharing needs no fork of the chart."""
    gpu = {"resourceName": "nvidia.com/mig-1g.10gb", "count": 2, "product": "NVIDIA-H100-80GB-HBM3"}
    rendered = helm.render({"profile": "gpu", "gpu": gpu})
    assert rendered.server()["resources"]["requests"]["nvidia.com/mig-1g.10gb"] == 2
    assert rendered.pod()["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def test_a_digest_wins_over_a_tag(helm: Helm) -> None:
    """Promise: what was scanned and signed is what runs."""
    digest = "sha256:" + "a" * 64
    image = helm.render({"image": {"tag": "1.0", "digest": digest}}).server()["image"]
    assert image == f"content-moderation-cpu@{digest}"


@pytest.mark.parametrize(
    "values", [{}, {"profile": "gpu"}, {"modelStore": {"source": "pvc"}}, CANARY], ids=["cpu", "gpu", "pvc", "canary"]
)
def test_every_pod_meets_pod_security_restricted(helm: Helm, values: Values) -> None:
    """Promise: non-root, read-only root, no capabilities, seccomp, no token; hooks and tests included."""
    for pod in pods(helm.render(values)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]["cpu"]
            assert container["resources"]["limits"]["memory"]
        assert not {"hostPath", "hostNetwork", "hostPID"} & {key for v in pod["volumes"] for key in v} | set(pod) & {
            "hostNetwork",
            "hostPID",
            "hostIPC",
        }


def test_pods_are_spread_over_zones_and_nodes(helm: Helm) -> None:
    """Promise: one zone's or node's end is not the service's; each revision is spread for itself."""
    spread = helm.render({"scheduling": {"zoneSpread": "DoNotSchedule"}}).pod()["topologySpreadConstraints"]
    found = {s["topologyKey"]: s["whenUnsatisfiable"] for s in spread}
    assert found == {"topology.kubernetes.io/zone": "DoNotSchedule", "kubernetes.io/hostname": "ScheduleAnyway"}
    assert all(s["matchLabelKeys"] == ["pod-template-hash"] for s in spread)


def test_a_new_chart_alone_replaces_no_pod(helm: Helm) -> None:
    """Promise: pods carry no chart or application version, so a change of those is no rollout."""
    labels = helm.render({}).one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert "helm.sh/chart" not in labels
    assert "app.kubernetes.io/version" not in labels


# models


def test_networks_of_the_image_need_nothing_else(helm: Helm) -> None:
    """Promise: the default has no init container and no claim."""
    rendered = helm.render({})
    assert "initContainers" not in rendered.pod()
    assert not rendered.all("PersistentVolumeClaim")


def test_networks_are_built_into_a_claim_once(helm: Helm) -> None:
    """Promise: the first pod builds, the server only reads, and the claim outlives the release."""
    rendered = helm.render({"modelStore": {"source": "pvc", "pvc": {"size": "9Gi", "storageClass": "nfs"}}})
    claim = rendered.one("PersistentVolumeClaim", "-models")
    assert claim["spec"]["resources"]["requests"]["storage"] == "9Gi"
    assert claim["spec"]["storageClassName"] == "nfs"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (init,) = rendered.pod()["initContainers"]
    assert init["command"] == ["moderation", "models", "build"]
    (mount,) = [m for m in rendered.server()["volumeMounts"] if m["name"] == "store"]
    assert mount["readOnly"] is True
    assert {"name": "MODERATION_MODEL_STORE", "value": mount["mountPath"]} in rendered.server()["env"]


def test_a_claim_that_exists_is_used(helm: Helm) -> None:
    """Promise: `existingClaim` makes no claim, and without `build` nothing writes to it."""
    pvc = {"existingClaim": "networks", "build": False}
    rendered = helm.render({"modelStore": {"source": "pvc", "pvc": pvc}})
    assert not rendered.all("PersistentVolumeClaim")
    assert "initContainers" not in rendered.pod()
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "networks"}} in rendered.pod()["volumes"]


def test_networks_come_from_object_storage(helm: Helm) -> None:
    """Promise: rclone copies them before the server starts, with credentials from a secret of yours."""
    storage = {
        "path": "bucket/v3",
        "endpoint": "https://s3.example.com",
        "existingSecret": "s3-keys",
        "region": "eu-west-1",
    }
    values: Values = {
        "modelStore": {"source": "objectStorage", "objectStorage": storage},
        "networkPolicy": {"egress": [{"ports": [{"port": 443}]}]},
    }
    (init,) = helm.render(values).pod()["initContainers"]
    assert init["args"][:2] == ["copy", "store:bucket/v3"]
    environment = {e["name"]: e["value"] for e in init["env"]}
    assert environment["RCLONE_CONFIG_STORE_TYPE"] == "s3"
    assert environment["RCLONE_CONFIG_STORE_ENDPOINT"] == "https://s3.example.com"
    assert init["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]


def test_plans_are_built_before_the_server_and_kept_by_gpu_and_release(helm: Helm) -> None:
    """Promise: a plan never meets another GPU or another TensorRT, and one that fits is not built again."""
    product = {"product": "NVIDIA-L40S"}
    cache = {"type": "pvc", "existingClaim": "plans"}
    stores = []
    for tag in ("1.0", "1.1"):
        rendered = helm.render({"profile": "gpu", "gpu": product, "planCache": cache, "image": {"tag": tag}})
        (init,) = rendered.pod()["initContainers"]
        assert init["command"] == ["moderation", "models", "build", "--engine", "tensorrt"]
        assert init["resources"]["limits"]["nvidia.com/gpu"] == 1
        (store,) = {e["value"] for c in containers(rendered.pod()) for e in c["env"] if "STORE" in e["name"]}
        assert store.startswith("/var/cache/moderation/nvidia-l40s-")
        stores.append(store)
    assert len(set(stores)) == 2


# policy


def test_a_policy_is_a_release_of_its_own(helm: Helm) -> None:
    """Promise: files of the values become a version folder; a change is a new ConfigMap and new pods."""
    releases = []
    for threshold in ("0.5", "0.6"):
        files = {"policy.yaml": f"threshold: {threshold}", "lists/scams.txt": "free coins"}
        rendered = helm.render({"policy": {"version": 7, "files": files}})
        (volume,) = [v["configMap"] for v in rendered.pod()["volumes"] if v["name"] == "policy"]
        (config,) = [c for c in rendered.all("ConfigMap") if c["metadata"]["name"] == volume["name"]]
        paths = {item["path"]: config["data"][item["key"]] for item in volume["items"]}
        assert paths == files
        (mount,) = [m for m in rendered.server()["volumeMounts"] if m["name"] == "policy"]
        assert mount["mountPath"] == f"/opt/moderation/model_repository/{contract.DECISION_LOGIC}/7"
        annotations = rendered.one("Deployment")["spec"]["template"]["metadata"]["annotations"]
        releases.append((volume["name"], annotations["moderation/policy-digest"]))
    assert len({name for name, _ in releases}) == len({digest for _, digest in releases}) == 2


def test_a_policy_can_come_from_a_configmap_of_yours(helm: Helm) -> None:
    """Promise: existing data is used as it is."""
    policy = {"existingConfigMap": "team-policy", "existingKeys": ["policy.yaml", "lists__scams.txt"]}
    (volume,) = [v["configMap"] for v in helm.render({"policy": policy}).pod()["volumes"] if v["name"] == "policy"]
    assert volume["name"] == "team-policy"
    assert {"key": "lists__scams.txt", "path": "lists/scams.txt"} in volume["items"]


# settings of the server


def test_security_settings_are_a_file_with_its_secrets_beside_it(helm: Helm, tmp_path: Path) -> None:
    """Promise: the server's own loader takes the file; keys come from a secret; a change is a new pod."""
    config: Values = {
        "access": {
            "mode": "required",
            "issuers": [{"issuer": "https://login.example.com", "audience": "m", "jwks": "secrets/jwks.json"}],
        },
        "audit": {"mode": "best_effort"},
    }
    security: Values = {"config": config, "existingSecret": "keys", "auditClaim": "audit"}
    values: Values = {"security": security, "analysis": {"tokenSecret": "token"}}
    rendered = helm.render(values)
    file = tmp_path / "security.yaml"
    file.write_text(rendered.one("ConfigMap", "-security")["data"]["security.yaml"])
    loaded = load_security(file)
    assert loaded.access.mode == "required"
    assert loaded.audit.folder == Path("/var/lib/moderation/audit")
    (volume,) = [v["projected"]["sources"] for v in rendered.pod()["volumes"] if v["name"] == "security"]
    assert volume[1]["secret"] == {"name": "keys", "items": [{"key": "jwks.json", "path": "secrets/jwks.json"}]}
    assert loaded.access.issuers[0].jwks == tmp_path / "secrets" / "jwks.json"
    assert "--security=/etc/moderation/security/security.yaml" in rendered.server()["args"]
    assert "--allow-unauthenticated" not in rendered.server()["args"]
    (audit,) = [m for m in rendered.server()["volumeMounts"] if m["name"] == "audit"]
    assert audit["subPathExpr"] == "$(POD_NAME)"
    digests = set()
    for skew in (10, 20):
        config["access"]["clock_skew_s"] = skew
        pod = helm.render(values).one("Deployment")["spec"]["template"]
        digests.add(pod["metadata"]["annotations"]["moderation/security-digest"])
    assert len(digests) == 2


def test_without_access_control_the_server_is_told_that_this_is_meant(helm: Helm) -> None:
    """Promise: it would refuse to listen to other pods else."""
    assert "--allow-unauthenticated" in helm.render({}).server()["args"]


def test_routes_can_change_without_a_restart(helm: Helm) -> None:
    """Promise: shares of versions are a mounted file that the server reads again; the pods stay."""
    arms = [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]
    config: Values = {"routes": [{"model": contract.DECISION_LOGIC, "arms": arms}]}
    rendered = helm.render({"routes": {"config": config}})
    assert yaml.safe_load(rendered.one("ConfigMap", "-routes")["data"]["routes.yaml"]) == config
    assert {"name": "MODERATION_ROUTES", "value": "/etc/moderation/routes/routes.yaml"} in rendered.server()["env"]
    assert "subPath" not in json.dumps([m for m in rendered.server()["volumeMounts"] if m["name"] == "routes"])
    other = helm.render({"routes": {"config": {}}}).one("Deployment")["spec"]["template"]["metadata"]
    assert rendered.one("Deployment")["spec"]["template"]["metadata"] == other


def test_every_option_is_one_of_the_server(helm: Helm) -> None:
    """Promise: nothing reaches tritonserver by a typing error: `moderation serve` knows each option of the chart."""
    full = with_values(
        EXPOSED,
        {
            "gateway": {"grpc": {"enabled": False}},
            "tls": {"grpc": {"existingSecret": "tls", "mutual": True}},
            "tracing": {"enabled": True, "endpoint": "http://otel:4318/v1/traces"},
            "networkPolicy": {"egress": [{}]},
        },
    )
    known = {f"--{name.replace('_', '-')}" for name in inspect.signature(serve).parameters}
    used = {a.split("=")[0] for v in ({}, full) for a in helm.render(v).server()["args"]}
    assert used <= known


# services and routes


def test_services_lead_to_their_track_and_the_headless_one_to_all(helm: Helm) -> None:
    """Promise: the canary gets no request by the stable service; checks reach every pod."""
    rendered = helm.render(CANARY)
    stable, canary, every = (rendered.one("Service", s)["spec"] for s in ("", "-canary", "-pods"))
    assert stable["type"] == canary["type"] == "ClusterIP"
    assert stable["selector"]["moderation/track"] == "stable"
    assert canary["selector"]["moderation/track"] == "canary"
    assert every["clusterIP"] == "None"
    assert "moderation/track" not in every["selector"]
    for suffix, service in (("", stable), ("-canary", canary)):
        labels = rendered.one("Deployment", suffix)["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        assert every["selector"].items() <= labels.items()
    (job,) = rendered.all("Job")
    assert not every["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_http_route_leads_to_the_entry_model_only(helm: Helm) -> None:
    """Promise: no other model, no control interface, no metrics from outside."""
    (rule,) = helm.render(EXPOSED).one("HTTPRoute")["spec"]["rules"]
    found = {(m["method"], m["path"]["type"], m["path"]["value"]) for m in rule["matches"]}
    base = f"/v2/models/{contract.ENTRY}"
    assert found == {
        ("POST", "Exact", f"{base}/infer"),
        ("POST", "Exact", f"{base}/generate"),
        ("GET", "Exact", base),
        ("GET", "Exact", f"{base}/ready"),
    }


def test_the_grpc_route_lets_inference_and_health_through(helm: Helm) -> None:
    """Promise: no method of model control, shared memory, trace or log."""
    (rule,) = helm.render(EXPOSED).one("GRPCRoute")["spec"]["rules"]
    assert {m["method"]["service"] for m in rule["matches"]} == {"inference.GRPCInferenceService"}
    methods = {m["method"]["method"] for m in rule["matches"]}
    assert methods == {"ModelInfer", "ModelMetadata", "ModelReady", "ServerReady"}


def test_the_ingress_leads_to_the_entry_model_by_tls(helm: Helm) -> None:
    """Promise: the same paths, nothing in clear."""
    ingress = {"enabled": True, "hosts": ["m.example.com"], "tlsSecret": "m-tls", "className": "nginx"}
    spec = helm.render({"ingress": ingress, "exposure": {"trustedCallers": True}}).one("Ingress")["spec"]
    (rule,) = spec["rules"]
    paths = {p["path"] for p in rule["http"]["paths"]}
    assert {p["pathType"] for p in rule["http"]["paths"]} == {"Exact"}
    assert paths == {f"/v2/models/{contract.ENTRY}{end}" for end in ("", "/infer", "/generate", "/ready")}
    assert spec["tls"] == [{"hosts": ["m.example.com"], "secretName": "m-tls"}]


def test_a_canary_gets_its_share_of_both_routes(helm: Helm) -> None:
    """Promise: weights sum to 100, the track has its own image and pods."""
    rendered = helm.render(CANARY)
    for kind in ("HTTPRoute", "GRPCRoute"):
        (rule,) = rendered.one(kind)["spec"]["rules"]
        assert {b["name"]: b["weight"] for b in rule["backendRefs"]} == {NAME: 95, f"{NAME}-canary": 5}
    assert rendered.server("-canary")["image"].endswith(":0.2.0")
    assert rendered.server()["image"].endswith(":0.1.0")
    assert rendered.one("Deployment", "-canary")["spec"]["replicas"] == 2


def test_a_canary_can_be_a_policy(helm: Helm) -> None:
    """Promise: the tracks may differ in policy alone."""
    canary: Values = {"enabled": True, "policy": {"version": 2, "files": {"policy.yaml": "new"}}}
    rendered = helm.render(with_values(EXPOSED, {"canary": canary}))
    assert rendered.server()["image"] == rendered.server("-canary")["image"]
    assert [v["name"] for v in rendered.pod("-canary")["volumes"]].count("policy") == 1
    assert "policy" not in [v["name"] for v in rendered.pod()["volumes"]]


def test_grpc_can_have_tls_in_the_pod(helm: Helm) -> None:
    """Promise: certificates come from a secret; callers can be asked for theirs."""
    rendered = helm.render({"tls": {"grpc": {"existingSecret": "grpc-tls", "mutual": True}}})
    assert "--tls-cert=/etc/moderation/grpc-tls/tls.crt" in rendered.server()["args"]
    assert "--tls-client-ca=/etc/moderation/grpc-tls/ca.crt" in rendered.server()["args"]
    (volume,) = [v for v in rendered.pod()["volumes"] if v["name"] == "grpc-tls"]
    assert volume["secret"]["secretName"] == "grpc-tls"


# scaling


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
    assert metric["pods"]["metric"]["name"] == "moderation_queue_microseconds"
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "25000"}
    assert spec["scaleTargetRef"]["name"] == NAME


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


# network


def test_everything_that_is_not_needed_is_denied(helm: Helm) -> None:
    """Promise: default deny both ways; callers, scrapers and the chart's own checks get in, nothing gets out."""
    rendered = helm.render({})
    spec = rendered.one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    ports = [[p["port"] for p in rule["ports"]] for rule in spec["ingress"]]
    assert ports == [["http", "grpc"], ["metrics"], ["http", "metrics"]]
    check = rendered.one("NetworkPolicy", "-check")["spec"]
    (job,) = rendered.all("Job")
    assert check["podSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert check["ingress"] == []


def test_callers_and_scrapers_can_be_named(helm: Helm) -> None:
    """Promise: the gateway's and Prometheus' namespaces instead of the defaults."""
    client = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
    rules = helm.render({"networkPolicy": {"clients": [client], "scrapers": [client]}}).one("NetworkPolicy")["spec"]
    assert rules["ingress"][0]["from"] == rules["ingress"][1]["from"] == [client]


def test_tracing_opens_names_and_the_way_that_is_given(helm: Helm) -> None:
    """Promise: traces go to the collector, and only then is DNS open."""
    egress = [{"to": [{"podSelector": {"matchLabels": {"app": "otel"}}}], "ports": [{"port": 4318}]}]
    tracing = {"enabled": True, "endpoint": "http://otel:4318/v1/traces", "rate": 10}
    rendered = helm.render({"tracing": tracing, "networkPolicy": {"egress": egress}})
    dns, own = rendered.one("NetworkPolicy")["spec"]["egress"]
    assert [p["port"] for p in dns["ports"]] == [53, 53]
    assert own == egress[0]
    arguments = rendered.server()["args"]
    assert {"--trace-endpoint=http://otel:4318/v1/traces", "--trace-rate=10"} <= set(arguments)


# monitoring


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


# checks after an upgrade


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
