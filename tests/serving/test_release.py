"""A version is released by `moderation rollout` while callers keep sending, and is taken back when it does harm."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moderation import contract
from moderation.rollout.state import Store
from moderation.samples import render
from serving.conftest import COMMAND, Running, launched, wait_until
from serving.policies import four_policies
from serving.traffic import Traffic

SUNSET = render()["sunset.png"]
POLICY = contract.DECISION_LOGIC
WORDS = "harmless words"
QUICK = ["--hold=0.5", "--every=0.3", "--settle=0.6", "--guard=min_items=20", "--guard=slower=1"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policies that decide alike, that block more, and that do not load."""
    return four_policies(tmp_path_factory.mktemp("release"), WORDS)


@pytest.fixture(scope="module")
def running(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with launched(tmp_path_factory.mktemp("release"), f"--repository={repository}") as found:
        yield found


def rollout(running: Running, repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`moderation rollout …` as a person types it."""
    places = [f"--url={running.http}", f"--metrics={running.metrics}/metrics", f"--repository={repository}"]
    return subprocess.run([COMMAND, "rollout", *words, *places], capture_output=True, text=True, timeout=200)


def last(repository: Path) -> Any:
    """The newest rollout, as `status --json` shows it."""
    words: list[str | Path] = [COMMAND, "rollout", "status", "--json", f"--repository={repository}"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)[-1]


def test_a_version_that_does_not_load_changes_nothing(running: Running, repository: Path) -> None:
    """Promise: the cause is shown, the old version serves on, and nobody is sent to the new one."""
    with Traffic(running.http, SUNSET, WORDS, threads=1) as traffic:
        said = rollout(running, repository, "start", POLICY, "4", *QUICK)
    assert said.returncode == 2
    assert "profilez" in said.stderr
    assert (traffic.failures, set(traffic.versions(POLICY))) == ([], {"1"})
    assert running.control.versions(POLICY) == {1}
    assert Store(repository / contract.ENTRY / "1" / "routes.yaml").all() == []


def test_a_sound_version_reaches_all_callers(running: Running, repository: Path) -> None:
    """Promise: step by step to 100 %, no request lost, the memory shown first, the old version unloaded at the end."""
    with Traffic(running.http, SUNSET, WORDS) as traffic:
        said = rollout(running, repository, "start", POLICY, "2", "--steps=25,100", "--shadow=100", *QUICK)
        moment = time.time()
        wait_until(lambda: len(traffic.versions(POLICY, moment)) > 0, 20)
    assert said.returncode == 0, said.stderr
    assert "MB of their own" in said.stderr
    assert traffic.failures == []
    assert set(traffic.versions(POLICY)) == {"1", "2"}
    assert set(traffic.versions(POLICY, moment)) == {"2"}
    assert {result["decision"] for _, _, result in traffic.results} == {"allow"}
    assert running.control.versions(POLICY) == {2}
    told = last(repository)
    assert told["phase"] == "promoted"
    assert [event["what"].partition(":")[0] for event in told["history"]] == [
        "100 % in the shadow",
        "25 %",
        "100 %",
        "promoted",
    ]


def test_a_harmful_version_is_taken_back(running: Running, repository: Path) -> None:
    """Promise: a broken guard rolls back by itself with the reason on record; also when another process goes on."""
    with Traffic(running.http, SUNSET, WORDS) as traffic:
        started = rollout(running, repository, "start", POLICY, "3", "--steps=50,100", *QUICK, "--detach")
        assert started.returncode == 0, started.stderr
        assert last(repository)["phase"] == "running"
        said = rollout(running, repository, "watch", POLICY, "--every=0.3", "--settle=0.6")
        moment = time.time()
        wait_until(lambda: len(traffic.versions(POLICY, moment)) > 0, 20)
    assert said.returncode == 1, said.stderr
    assert "rolled back: decisions: " in said.stderr
    assert traffic.failures == []
    assert set(traffic.versions(POLICY)) == {"2", "3"}
    assert set(traffic.versions(POLICY, moment)) == {"2"}
    assert running.control.versions(POLICY) == {2}
    assert "rolled back: decisions: " in last(repository)["history"][-1]["what"]


def test_a_person_can_abort(running: Running, repository: Path) -> None:
    """Promise: abort takes the share away, waits for who is on the way, and unloads; the reason is kept."""
    with Traffic(running.http, SUNSET, WORDS, threads=1) as traffic:
        assert rollout(running, repository, "start", POLICY, "3", "--steps=50,100", *QUICK, "--detach").returncode == 0
        again = rollout(running, repository, "start", POLICY, "1", *QUICK)
        said = rollout(running, repository, "abort", POLICY, "3", "--reason=complaints", "--settle=0.6")
    assert "is on its way; promote or abort it first" in again.stderr
    assert said.returncode == 0, said.stderr
    assert traffic.failures == []
    assert running.control.versions(POLICY) == {2}
    assert last(repository)["history"][-1]["what"] == "aborted by hand: complaints"
