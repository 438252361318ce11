"""The tools that check the chart, from Go modules into a cache outside the tree: `tools.py GROUP`, see `main`.

Each binary carries its version in its name and is built once. The schemas for kubeconform are made from the API
description in Kubernetes' own module and from the custom resources' modules, with unknown fields refused.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

LIST: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("tools.yaml").read_text())
CONTROL_PLANE = Path(__file__).parent / "cluster" / "control_plane"
COMPONENTS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
}
GROUPS = ("chart", "cluster", "telemetry")
KUBERNETES: str = LIST["kubernetes"]
MINOR = KUBERNETES.split(".")[1]


def folder() -> Path:
    """Where the tools are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "content-moderation" / "tools"


def binary(name: str) -> Path:
    """Path of a built tool, whether it is there or not."""
    if name == "otelcol":
        return folder() / f"otelcol-{LIST['telemetry']['builder']['version']}"
    for group in GROUPS:
        if name in LIST[group]:
            return folder() / f"{name}-{LIST[group][name]['version']}"
    return folder() / f"{name}-{KUBERNETES}"


def schemas() -> Path:
    """Folder of the JSON schemas for kubeconform; the name says what they were made from."""
    versions = [KUBERNETES, *(entry["version"] for entry in LIST["crds"])]
    return folder() / f"schemas-{'-'.join(versions)}"


def link_flags(name: str) -> str:
    """What the projects' own builds stamp into the binaries."""
    stamps: dict[str, str] = {}
    if name in ("helm", "helm4"):
        major = LIST["chart" if name == "helm" else "cluster"][name]["version"].split(".")[0]
        root = f"helm.sh/helm/{major}"
        stamps[f"{root}/internal/version.version"] = binary(name).name.removeprefix(f"{name}-")
        # without these a build takes every cluster for a very old one
        for package in ("pkg/lint/rules", "pkg/chartutil", "pkg/chart/common", "pkg/chart/v2/lint/rules"):
            stamps[f"{root}/{package}.k8sVersionMajor"] = "1"
            stamps[f"{root}/{package}.k8sVersionMinor"] = MINOR
    if name.startswith("kube-"):
        version = "k8s.io/component-base/version"
        stamps |= {f"{version}.gitVersion": KUBERNETES, f"{version}.gitMajor": "1", f"{version}.gitMinor": MINOR}
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamps.items())])


def build(name: str) -> None:
    """Build one tool unless it is there, whole or not at all."""
    target = binary(name)
    if target.is_file():
        return
    print(f"building {target.name}", flush=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        made = Path(place) / "made"
        if name in COMPONENTS:
            command = ["go", "build", "-o", str(made), COMPONENTS[name]]
            cwd = CONTROL_PLANE
        else:
            (tool,) = (LIST[group][name] for group in GROUPS if name in LIST[group])
            command = ["go", "install", f"{tool['package']}@{tool['version']}"]
            environment["GOBIN"] = place
            cwd = Path(place)
        flags = ["-trimpath", "-ldflags", link_flags(name)]
        subprocess.run([*command[:2], *flags, *command[2:]], cwd=cwd, env=environment, check=True)
        found = made if made.is_file() else next(path for path in Path(place).iterdir() if path.is_file())
        found.rename(target)


def build_collector() -> None:
    """Let the collector's builder make one of the listed parts, unless it is there."""
    target = binary("otelcol")
    if target.is_file():
        return
    print(f"building {target.name}", flush=True)
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        version = LIST["telemetry"]["builder"]["version"].removeprefix("v")
        parts = {"dist": {"name": "otelcol", "output_path": place, "version": version}, **LIST["collector"]}
        manifest = Path(place) / "builder.yaml"
        manifest.write_text(yaml.safe_dump(parts))
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
        subprocess.run([binary("builder"), f"--config={manifest}"], env=environment, check=True)
        (Path(place) / "otelcol").rename(target)


def module(path: str, version: str) -> Path:
    """A Go module's files, read-only in Go's own cache."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{path}@{version}"],
        capture_output=True,
        text=True,
        cwd=tempfile.gettempdir(),
        check=True,
        env={**os.environ, "GOFLAGS": ""},
    )
    return Path(json.loads(done.stdout)["Dir"])


def strict(schema: Any) -> Any:
    """The same schema with unknown fields refused, and Kubernetes' two loose types as they are."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    result = {key: strict(value) for key, value in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not open_ended:
        result["additionalProperties"] = False
    return result


def kubernetes_schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, schema) of every kind of Kubernetes."""
    document = module("k8s.io/kubernetes", KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
    definitions: dict[str, Any] = strict(json.loads(document.read_text())["definitions"])
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].split(".")[0]
            file = "-".join(part for part in (kind["kind"], group, kind["version"]) if part).lower()
            yield f"{file}.json", {"$ref": f"#/definitions/{name}", "definitions": reachable(name, definitions)}


def reachable(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A definition and all that it refers to."""
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found[current] = definitions[current]
            waiting += references(definitions[current])
    return found


def references(schema: Any) -> list[str]:
    """Names that a schema refers to."""
    if isinstance(schema, list):
        return [name for part in schema for name in references(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for part in schema.values() for name in references(part)]


def custom_schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file name, schema) of every version of every custom resource."""
    for path in crd_files():
        spec = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            file = f"{spec['names']['kind']}-{spec['group'].split('.')[0]}-{version['name']}".lower()
            yield f"{file}.json", strict(version["schema"]["openAPIV3Schema"])


def crd_files() -> list[Path]:
    """The manifests of the custom resources."""
    return [module(e["module"], e["version"]) / e["folder"] / name for e in LIST["crds"] for name in e["files"]]


def make_schemas() -> None:
    """Write the schemas unless they are there."""
    target = schemas()
    if target.is_dir():
        return
    print("making the schemas for kubeconform", flush=True)
    half = Path(tempfile.mkdtemp(dir=folder()))
    for file, schema in [*kubernetes_schemas(), *custom_schemas()]:
        (half / file).write_text(json.dumps(schema))
    half.rename(target)


def readme_command() -> list[str]:
    """What makes the chart's README from the comments of its values."""
    chart = Path(__file__).resolve().parents[2] / "helm" / "content-moderation"
    return [str(binary("helm-docs")), f"--chart-search-root={chart}", "--sort-values-order=file"]


def install_sdk() -> int:
    """Helm's SDK from PyPI (75 MB, once) into the environment that runs this."""
    if importlib.util.find_spec("helm_python"):
        return 0
    locked = Path(__file__).with_name("helm-sdk.txt")
    install = ["pip", "install", "--quiet", "--require-hashes", "--no-deps", f"--requirement={locked}"]
    return subprocess.run([sys.executable, "-m", "uv", *install, f"--python={sys.executable}"], check=False).returncode


def main(group: str) -> int:
    """Build what a group of tests needs; a machine without Go is told what it goes without.

    Args:
        group: `chart`, `cluster` (with the control plane), `collector` (OpenTelemetry's); `readme` writes the chart's.
    """
    if shutil.which("go") is None:
        print("no Go on this machine: Helm's SDK renders the chart; tests of other tools are skipped")
        return install_sdk()
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if group == "collector":
            build("builder")
            build_collector()
            return 0
        for name in LIST["chart"]:
            build(name)
        make_schemas()
        for name in [*LIST["cluster"], *COMPONENTS] if group == "cluster" else ():
            build(name)
    if group == "readme":
        subprocess.run(readme_command(), check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
