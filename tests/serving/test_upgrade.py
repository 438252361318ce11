"""An upgrade as the chart makes it, with real servers: the analysis says whether it may stay; no request is lost."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from deploy.chart import Values
from moderation import contract
from moderation.launcher.run import REPOSITORY
from moderation.samples import EXPECTED, render
from serving.conftest import Running, wait_until
from serving.pods import Pod, analysis, delete, mounted, pod
from serving.proxy import proxy
from serving.traffic import Traffic

SAMPLES = render()
SUNSET = SAMPLES["sunset.png"]
WORDS = "harmless words"
QUICK: Values = {"analysis": {"watchSeconds": 0}}
SHORT: Values = {"drain": {"grpcConnectionSeconds": 4}}
"""So that the test need not wait for callers of the Service."""
MEANWHILE = 15
"""Requests each way that must be answered before the next step."""


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod of a release whose policy takes harmless words for threats, and threats for harmless."""
    folder = tmp_path_factory.mktemp("harmful")
    repository = shutil.copytree(REPOSITORY, folder / "repository")
    policy = repository / contract.DECISION_LOGIC / "1"
    (policy / "lists" / "threats.txt").write_text(f"{WORDS}\n")
    (policy / "tests.yaml").unlink()
    with pod(folder, SHORT, f"--repository={repository}") as found:
        yield found


def test_a_good_release_may_stay(server: Running) -> None:
    """Promise: the Job's own command passes on a server that decides the samples as documented."""
    done = analysis({"analysis": {"watchSeconds": 1}}, server)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"1 pod(s), {len(SAMPLES)} golden images decided" in done.stdout
    assert "the release may stay" in done.stdout


def test_a_harmful_policy_is_taken_back(harmful: Pod) -> None:
    """Promise: the Job fails, and its log names the picture and what should have been decided."""
    done = analysis(QUICK, harmful.running)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"threat\.jpg: decided (allow|review) where block is expected", done.stdout)
    assert "take the release back" in done.stdout


def test_golden_images_of_yours_decide(server: Running, tmp_path: Path) -> None:
    """Promise: the ConfigMap's pictures are sent from where the Job mounts them; a wrong answer fails by name."""
    values: Values = {"analysis": {"watchSeconds": 0, "goldenConfigMap": "golden"}}
    names = ("sunset.png", "threat.jpg")
    pictures = {name: SAMPLES[name] for name in names}
    right = {name: EXPECTED[name] for name in names}
    for folder, expected, code in (("right", right, 0), ("wrong", {**right, "sunset.png": "block"}, 1)):
        files = {**pictures, "expected.yaml": yaml.safe_dump(expected).encode()}
        done = analysis(values, server, {"golden": mounted(tmp_path / folder, files)})
        assert done.returncode == code, done.stdout + done.stderr
    assert "sunset.png: decided allow where block is expected (no rule)" in done.stdout
    assert "threat.jpg" not in done.stdout


def test_real_traffic_decides_too(server: Running) -> None:
    """Promise: golden images may be right and callers still wait too long: the Job reads the pods' own metrics."""
    with Traffic(server.http, SUNSET, WORDS):
        done = analysis({"analysis": {"watchSeconds": 8, "maxP95Milliseconds": 1}}, server)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"95 % of decisions took up to \d+ ms; the limit is 1 ms", done.stdout)
    assert "golden images decided" in done.stdout
    assert "is expected" not in done.stdout


def test_a_pod_is_replaced_without_a_lost_request(harmful: Pod, server: Running, tmp_path: Path) -> None:
    """Promise: behind a proxy that learns late of it, a pod drains and ends by the chart's hook and within its grace;
    callers of both protocols, and of the Service itself, get every answer, the last ones from the pod in its place."""
    with proxy(tmp_path) as between, ExitStack() as stack:
        between.add(harmful.running)
        ways = (between.http, between.grpc, between.service)
        callers = [stack.enter_context(Traffic(way, SUNSET, WORDS, threads=1, callers=8, pause_s=0.05)) for way in ways]

        def all_told(decision: str, since: float) -> bool:
            """Whether every caller has got enough answers of one release since then."""
            assert not [failure for caller in callers for failure in caller.failures]
            told = [[r["decision"] for sent, _, r in caller.results if sent >= since] for caller in callers]
            return all(decisions.count(decision) >= MEANWHILE for decisions in told)

        wait_until(lambda: all_told("block", 0.0), 120)
        assert Pod(harmful.spec, server).ready(), "the other pod is ready before this one goes"
        between.add(server)
        stopped, gone = delete(harmful, between), time.time()
        wait_until(lambda: all_told("allow", gone), 120)
        stack.close()
        assert [failure for caller in callers for failure in caller.failures] == []
        assert {r["decision"] for caller in callers for sent, _, r in caller.results if sent >= gone} == {"allow"}
    assert stopped.code == 0
    assert "drained in" in stopped.said, "it became quiet before its patience ended"
