"""A real Kubernetes control plane on 127.0.0.1: etcd, API server, controllers, scheduler; nodes simulated by KWOK.

Everything but the kubelet is real: admission, pod-security, deployments, jobs, scheduling, garbage collection. A
simulated node makes pods ready without running them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy import tools
from serving.conftest import free_ports

STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
)
"""KWOK's own behaviours that are used, below kustomize/stage."""


class ApiError(Exception):
    """The API server refused something."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Cluster:
    """A control plane that runs, and the way to talk to it as its administrator."""

    url: str
    token: str
    kubeconfig: Path

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One call of the API; the JSON of the answer.

        Raises:
            ApiError: with the server's own sentence.
        """
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", kind)
        context = ssl._create_unverified_context()  # a certificate of its own, on this machine
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            with contextlib.suppress(ValueError):
                raise ApiError(error.code, json.loads(text)["message"]) from None
            raise ApiError(error.code, text.decode(errors="replace")) from None
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def get(self, path: str) -> Any:
        """An object or a list."""
        return self.call("GET", path)

    def create(self, path: str, body: Any) -> Any:
        """Create an object; unknown fields are refused."""
        return self.call("POST", f"{path}{'&' if '?' in path else '?'}fieldValidation=Strict", body)

    def patch(self, path: str, body: Any) -> Any:
        """Merge into an object."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def path_of(self, body: Any) -> str:
        """Where objects of this one's kind are created."""
        version = body["apiVersion"]
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        (resource,) = [
            r
            for r in self.get(root)["resources"]
            if r["kind"] == body["kind"] and "/" not in r["name"] and "create" in r["verbs"]
        ]
        space = f"/namespaces/{body['metadata']['namespace']}" if resource["namespaced"] else ""
        return f"{root}{space}/{resource['name']}"

    def helm(self, kind: str, *arguments: str, values: Any = None) -> subprocess.CompletedProcess[str]:
        """Run Helm 3 (`helm`) or 4 (`helm4`) against the cluster."""
        command = [str(tools.binary(kind)), *arguments, f"--kubeconfig={self.kubeconfig}"]
        if values is not None:
            command.append("--values=-")
        home = self.kubeconfig.parent / "helm"
        environment = {**os.environ, "HELM_CACHE_HOME": str(home), "HELM_CONFIG_HOME": str(home)}
        return subprocess.run(
            command, input=yaml.safe_dump(values or {}), capture_output=True, text=True, timeout=700, env=environment
        )

    def namespace(self, name: str) -> None:
        """A namespace that enforces pod-security *restricted*."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        self.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def node(self, name: str, zone: str, **extra: Any) -> None:
        """A simulated node."""
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "100", **extra.get("capacity", {})}
        labels = {
            "topology.kubernetes.io/zone": zone,
            "kubernetes.io/hostname": name,
            **extra.get("labels", {}),
        }
        spec = {"taints": extra["taints"]} if "taints" in extra else {}
        self.create(
            "/api/v1/nodes",
            {
                "metadata": {"name": name, "labels": labels},
                "spec": spec,
                "status": {"capacity": capacity, "allocatable": capacity},
            },
        )


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """The first true answer of a condition."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ApiError, OSError):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def write_kubeconfig(path: Path, url: str, token: str) -> Path:
    """A kubeconfig for the administrator."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "admin"}}],
                "current-context": "c",
            }
        )
    )
    return path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A control plane with three zones of nodes, one of them with a GPU each, for the time of the block."""
    etcd, peer, api, controllers, scheduler = free_ports(5)
    key = folder / "account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    token = secrets.token_urlsafe(24)
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    cluster = Cluster(
        f"https://127.0.0.1:{api}", token, write_kubeconfig(folder / "kubeconfig", f"https://127.0.0.1:{api}", token)
    )
    stages = folder / "stages.yaml"
    kwok = tools.module("sigs.k8s.io/kwok", tools.LIST["cluster"]["kwok"]["version"]) / "kustomize" / "stage"
    stages.write_text(
        "\n---\n".join([*((kwok / p).read_text() for p in STAGES), Path(__file__).with_name("stages.yaml").read_text()])
    )
    client = f"--kubeconfig={cluster.kubeconfig}"
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> None:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [tools.binary(name), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "HOME": str(folder)},
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

        start(
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={api}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
        )
        wait_for(lambda: cluster.get("/readyz") == "ok", "API server", 420)
        start(
            "kube-controller-manager",
            client,
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={folder / 'certificates' / 'apiserver.crt'}",
            "--leader-elect=false",
            # a simulated node is late on a busy machine, and never dead
            "--node-monitor-grace-period=1h",
            "--bind-address=127.0.0.1",
            f"--secure-port={controllers}",
        )
        start(
            "kube-scheduler", client, "--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={scheduler}"
        )
        start("kwok", client, "--manage-all-nodes", f"--config={stages}", "--node-ip=127.0.0.1")
        for path in tools.crd_files():
            definition = yaml.load(path.read_text(), yaml.CSafeLoader)
            cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        for number in range(3):
            cluster.node(f"node-{number}", f"zone-{number}")
            cluster.node(
                f"gpu-{number}",
                f"zone-{number}",
                capacity={"nvidia.com/gpu": "4"},
                labels={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
                taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
            )
        wait_for(lambda: nodes_ready(cluster) == 6, "nodes")
        wait_for(lambda: cluster.get("/api/v1/namespaces/default/serviceaccounts/default"), "controllers")
        yield cluster


def nodes_ready(cluster: Cluster) -> int:
    """Nodes that are ready."""
    conditions = [c for n in cluster.get("/api/v1/nodes")["items"] for c in n["status"].get("conditions", [])]
    return sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
