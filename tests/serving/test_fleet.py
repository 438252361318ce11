"""Two servers share one file of routes: they agree on every caller, and a rollout outlives the restart of one."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from moderation import contract
from moderation.client import Client
from moderation.rollout.state import Store
from moderation.samples import render
from serving.conftest import COMMAND, Running, launched
from serving.policies import four_policies

POLICY = contract.DECISION_LOGIC
SUNSET = render()["sunset.png"]
CALLERS = [f"caller-{n}" for n in range(8)]


def versions(server: Running) -> dict[str, str]:
    """Who decides for each caller."""
    found = {}
    for caller in CALLERS:
        with Client(server.http, headers={"x-subject": caller}) as client:
            (result,) = client.moderate([SUNSET])
        found[caller] = str(result["versions"][POLICY])
    return found


def rollout(servers: tuple[Running, ...], repository: Path, *words: str) -> None:
    """`moderation rollout …` for all servers; their management tokens are found by themselves."""
    places = [f"--repository={repository}"]
    for server in servers:
        places += [f"--url={server.http}", f"--metrics={server.metrics}/metrics"]
    done = subprocess.run([COMMAND, "rollout", *words, *places], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


def test_servers_agree_and_a_rollout_outlives_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Promise: every server gives a caller the same version; one that starts anew in the middle gets both versions
    again, so that nobody changes sides; and promotion by hand reaches all servers and callers."""
    repository = four_policies(tmp_path_factory.mktemp("fleet"), "harmless words")
    with ExitStack() as stack:

        def start() -> Running:
            return stack.enter_context(launched(tmp_path_factory.mktemp("fleet"), f"--repository={repository}"))

        one, two = start(), start()
        options = ["--steps=50,100", "--hold=600", "--settle=0.6", "--detach"]
        rollout((one, two), repository, "start", POLICY, "2", *options)
        shared = versions(one)
        assert set(shared.values()) == {"1", "2"}
        assert versions(two) == shared

        two.process.terminate()
        two.process.wait(60)
        two = start()
        assert two.control.versions(POLICY) == {1}, "the configuration names version 1 alone"
        rollout((one, two), repository, "watch", POLICY, "--once", "--settle=0.6")
        assert two.control.versions(POLICY) == {1, 2}
        assert versions(two) == versions(one) == shared

        rollout((one, two), repository, "promote", POLICY, "2", "--reason=looks good", "--settle=0.6")
        assert Store(repository / contract.ENTRY / "1" / "routes.yaml").all()[-1].phase == "promoted"
        for server in (one, two):
            assert set(versions(server).values()) == {"2"}
            assert server.control.versions(POLICY) == {2}
