"""What the pods of the chart are: rollout, probes, resources, rights, settings."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.chart import CANARY, CHART, EXPOSED, Helm, Values, containers, pods, seconds, with_values
from moderation import contract
from moderation.cli.serve import serve
from moderation.guard.settings import load as load_security
from moderation.launcher.install import find_server


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


def test_grpc_callers_leave_a_pod_in_time(helm: Helm) -> None:
    """Promise: a connection does not outlive the drain; 0 leaves it to the callers."""
    assert "--grpc-max-connection-age=20000" in helm.render({}).server()["args"]
    kept = helm.render({"drain": {"grpcConnectionSeconds": 0}}).server()["args"]
    assert not [a for a in kept if "connection-age" in a]


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
    """Promise: nothing reaches tritonserver by a typing error: `moderation serve` or tritonserver itself knows each
    option of the chart."""
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
    usage = subprocess.run([find_server().binary, "--help"], capture_output=True, text=True).stderr
    assert used - known <= set(re.findall(r"--[a-z-]+", usage))
