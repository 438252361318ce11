"""The release pipeline and the Argo CD application: they name what exists, and nothing is released unchecked."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import tools
from deploy.chart import CHART, ROOT, Helm

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text())
APPLICATION = yaml.safe_load((ROOT / "helm" / "argocd" / "application.yaml").read_text())


def needed(job: str) -> set[str]:
    """All jobs that end well before one begins."""
    direct = RELEASE["jobs"][job].get("needs", [])
    names = {direct} if isinstance(direct, str) else set(direct)
    return names.union(*(needed(name) for name in names))


def steps(job: str) -> list[Any]:
    found: list[Any] = RELEASE["jobs"][job]["steps"]
    return found


def position(job: str, word: str) -> int:
    """Which step of a job speaks of something."""
    return next(i for i, step in enumerate(steps(job)) if word in str(step))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_are_what_github_takes(path: Path) -> None:
    """Promise: actionlint, which knows GitHub's syntax, contexts and the inputs of actions, finds nothing."""
    actionlint = tools.binary("actionlint")
    if not actionlint.is_file():
        pytest.skip("no actionlint: run `make chart-tools` (needs Go)")
    done = subprocess.run([actionlint, "-no-color", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_files_and_targets_of_the_workflows_exist() -> None:
    """Promise: the pipeline runs what a person runs."""
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" not in line]
    text = "\n".join(lines)
    for path in re.findall(r"\b(?:docker|helm|tests|\.ci)/[\w./-]*\w(?![\w$-])", text):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"run: make ([a-z-]+)", text):
        assert f"\n{target}:" in makefile


def test_nothing_is_named_before_it_is_scanned_listed_and_signed() -> None:
    """Promise: a tag that users pull leads to an image that passed."""
    order = [position("image", word) for word in ("build-push-action", "sbom-action", "trivy-action", "cosign sign")]
    assert order == sorted(order)
    last = steps("image")[-1]["run"]
    assert last.index("cosign sign") < last.index("imagetools create")
    assert steps("image")[position("image", "trivy-action")]["with"]["exit-code"] == "1"


def test_production_comes_after_tests_staging_and_a_person() -> None:
    """Promise: the environment's reviewers stand between staging and production."""
    assert needed("production") == {"test", "image", "chart", "staging"}
    assert RELEASE["jobs"]["production"]["environment"] == "production"
    upgrade = steps("production")[-1]["run"]
    assert "--rollback-on-failure" in upgrade
    assert "helm test" in upgrade
    for stage in ("staging", "production"):
        assert (CHART / f"values-{stage}.yaml").is_file()


def test_jobs_can_do_no_more_than_they_need() -> None:
    """Promise: read by default; no token of the repository stays in a checkout."""
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert set(job.get("permissions", {"contents": "read"}).values()) <= {"read", "write"}
            assert job["timeout-minutes"]
            for step in job["steps"]:
                if str(step.get("uses", "")).startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_the_application_renders_as_argo_cd_would(helm: Helm) -> None:
    """Promise: path, value files and parameters of the Application lead to a release that stands."""
    source = APPLICATION["spec"]["source"]
    assert (ROOT / source["path"] / "Chart.yaml").is_file()
    values = {"image": {p["name"].partition(".")[2]: p["value"] for p in source["helm"]["parameters"]}}
    files = tuple(ROOT / source["path"] / name for name in source["helm"]["valueFiles"])
    assert helm.render(values, files=files).server()["image"].startswith("registry.example.com/trust/")
