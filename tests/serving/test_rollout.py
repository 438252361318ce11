"""Versions side by side on a running server: shares, overrides, a version that fails, routes that change."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tritonclient.grpc as triton
import yaml

from moderation import contract, schemas
from moderation.client import Client
from moderation.launcher.run import REPOSITORY
from moderation.rollout import routes
from moderation.rollout.watch import POLL_S
from moderation.samples import render
from serving.conftest import Running, launched, wait_until

SUNSET = render()["sunset.png"]
POLICY = contract.DECISION_LOGIC
READER = contract.TEXT_RECOGNIZER
WORDS = "harmless words"
PAGE = render()["notice.jpg"]
"""Has text to read."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with a second policy, which blocks some words that the first one allows."""
    path = Path(shutil.copytree(REPOSITORY, tmp_path_factory.mktemp("rollout") / "repository"))
    second = Path(shutil.copytree(path / POLICY / "1", path / POLICY / "2"))
    (second / "lists" / "threats.txt").write_text(f"{WORDS}\n")
    (second / "tests.yaml").unlink()
    shutil.copytree(path / READER / "1", path / READER / "2")
    return path


@pytest.fixture(scope="module")
def running(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with launched(tmp_path_factory.mktemp("rollout"), f"--repository={repository}") as found:
        yield found


def route(repository: Path, weights: dict[int, float], model: str = POLICY, **more: Any) -> None:
    """Put the routes of one model in force."""
    arms = [{"version": version, "weight": weight} for version, weight in weights.items()]
    path = repository / contract.ENTRY / "1" / routes.FILE
    scratch = path.with_name("scratch")
    scratch.write_text(yaml.safe_dump({"routes": [{"model": model, "arms": arms, **more}]}))
    scratch.replace(path)
    time.sleep(3 * POLL_S)  # instances that get no request see it too


def ask(running: Running, subject: str | None = None) -> dict[str, Any]:
    """RESULT of a picture with words that only the second policy blocks."""
    with Client(running.http, headers={"x-subject": subject} if subject else {}) as client:
        (result,) = client.moderate([SUNSET], [WORDS])
    jsonschema.validate(result, schemas.result())
    return result


def version(result: dict[str, Any]) -> int:
    """Who decided; checks that the decision is that version's."""
    found = int(result["versions"][POLICY])
    assert result["decision"] == {1: "allow", 2: "block"}[found]
    return found


def test_without_a_route_the_release_decides(running: Running) -> None:
    """Promise: a version that is loaded gets no request before a route says so."""
    result = ask(running)
    assert (version(result), "routes" in result) == (1, False)


def test_shares_are_sticky_and_grow(running: Running, repository: Path) -> None:
    """Promise: callers keep their version, a greater share takes no one back, and RESULT says who and why."""
    callers = [f"caller-{n}" for n in range(16)]
    seen: list[dict[str, int]] = []
    for share in (30, 30, 60):
        route(repository, {1: 100 - share, 2: share})
        results = {caller: ask(running, caller) for caller in callers}
        seen.append({caller: version(result) for caller, result in results.items()})
        assert all(r["routes"] == {POLICY: {"version": version(r), "by": "subject"}} for r in results.values())
    assert seen[0] == seen[1]
    assert all(seen[2][caller] == 2 for caller, found in seen[1].items() if found == 2)
    assert 1 <= Counter(seen[0].values())[2] < Counter(seen[2].values())[2] < 16


def test_callers_without_a_name_are_shared_by_picture(running: Running, repository: Path) -> None:
    """Promise: without a subject the same picture sees the same version."""
    route(repository, {1: 50, 2: 50})
    first = ask(running)
    assert first["routes"][POLICY]["by"] == "image"
    assert {version(ask(running)) for _ in range(5)} == {version(first)}


def test_a_tester_reaches_a_version_without_a_share(running: Running, repository: Path) -> None:
    """Promise: the request parameter `versions` chooses among the listed versions, and refuses others in words."""
    route(repository, {1: 100, 2: 0})
    inputs = []
    for name, value in (("IMAGE", SUNSET), ("TEXT", WORDS.encode())):
        inputs.append(triton.InferInput(name, [1, 1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([[value]], object))
    client = triton.InferenceServerClient(running.grpc.removeprefix("grpc://"))
    answer = client.infer(contract.ENTRY, inputs, parameters={"versions": f"{POLICY}:2"})
    assert answer.as_numpy("DECISION")[0, 0] == b"block"
    with pytest.raises(triton.InferenceServerException, match=f"allowed: {POLICY}:1, {POLICY}:2"):
        client.infer(contract.ENTRY, inputs, parameters={"versions": f"{POLICY}:7"})
    client.close()


def test_a_version_that_fails_costs_nobody_an_answer(running: Running, repository: Path) -> None:
    """Promise: where the version on trial does not answer, the stable one does, and RESULT says so."""
    route(repository, {1: 60, 9: 40})  # no such version is loaded
    results = [ask(running, f"caller-{n}") for n in range(10)]
    assert {version(result) for result in results} == {1}
    assert all(result["unknown"] == [] for result in results)
    assert {result["routes"][POLICY]["by"] for result in results} == {"subject", "fallback"}


def test_the_networks_of_ocr_engine_have_routes_too(running: Running, repository: Path) -> None:
    """Promise: text is read by the version that the route chose and by no other, and one that fails costs no text."""

    def served() -> dict[str, float]:
        return {v: metric(running, "nv_inference_count", model=READER, version=v) for v in ("1", "2")}

    def read(subject: str = "ann") -> dict[str, Any]:
        with Client(running.http, headers={"x-subject": subject}) as client:
            (result,) = client.moderate([PAGE])
        assert result["text"]
        assert result["unknown"] == []
        return result

    before = served()
    route(repository, {1: 100}, READER)
    first = read()
    assert served()["1"] > before["1"]
    assert served()["2"] == before["2"], "the newest version, which has no share, was asked"
    route(repository, {2: 100}, READER)
    second = read()
    assert served()["2"] > before["2"]
    assert [result["versions"][READER] for result in (first, second)] == ["1", "2"]
    assert first["text"] == second["text"]
    route(repository, {1: 60, 9: 40}, READER)  # no such version is loaded
    results = [read(f"caller-{n}") for n in range(8)]
    assert {(result["versions"][READER], len(result["text"])) for result in results} == {("1", len(first["text"]))}
    assert {result["routes"][READER]["by"] for result in results} == {"subject", "fallback"}


def test_faulty_routes_change_nothing(running: Running, repository: Path) -> None:
    """Promise: a broken file leaves the routes before it in force."""
    route(repository, {2: 100})
    assert version(ask(running)) == 2
    route(repository, {2: 50})
    assert version(ask(running)) == 2
    route(repository, {1: 100})
    assert version(ask(running)) == 1


def metric(running: Running, name: str, **labels: str) -> float:
    """Sum of the series of a metric with these labels."""
    with urllib.request.urlopen(f"{running.metrics}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = [line for line in lines if line.startswith(f"{name}{{") and all(label in line for label in wanted)]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_a_shadow_is_counted_and_never_heard(running: Running, repository: Path) -> None:
    """Promise: a version in the shadow changes no answer; what it would have said is counted, and where it differs the
    log has the request."""
    route(repository, {1: 100}, shadow=[{"version": 2, "sample": 100}])
    shadow = {"model": POLICY, "version": "2"}
    results = [ask(running, f"caller-{n}") for n in range(4)]
    assert {version(result) for result in results} == {1}
    wait_until(
        lambda: metric(running, "moderation_shadow_decisions_total", **shadow, live="allow", shadow="block") == 4, 20
    )
    log = running.output.parent / "triton.log"
    ids = {result["request_id"] for result in results}
    wait_until(lambda: all(f"live=allow shadow=block request_id={found}" in log.read_text() for found in ids), 10)
    assert WORDS not in log.read_text()


def test_shadows_go_first_under_load(running: Running, repository: Path) -> None:
    """Promise: while other items are in work a shadow waits, and what waits too long is dropped and counted."""
    route(repository, {1: 100}, shadow=[{"version": 2, "sample": 100}])
    seen = partial(metric, running, "moderation_shadow_decisions_total", model=POLICY)
    dropped = partial(metric, running, "moderation_shadow_dropped_total", model=POLICY)
    lost, before = dropped(), seen() + dropped()
    done = threading.Event()

    def keep_asking(number: int) -> list[int]:
        answers = []
        while not done.is_set():
            answers.append(version(ask(running, f"caller-{number}")))
        return answers

    with ThreadPoolExecutor(6) as pool:
        callers = [pool.submit(keep_asking, number) for number in range(6)]
        try:
            wait_until(lambda: dropped() > lost, 60)
        finally:
            done.set()
    answers = [answer for caller in callers for answer in caller.result()]
    assert set(answers) == {1}
    wait_until(lambda: seen() + dropped() == before + len(answers), 20)


def test_versions_are_compared_in_metrics(running: Running, repository: Path) -> None:
    """Promise: decisions, errors and times are counted by version."""
    route(repository, {1: 50, 2: 50})
    names = [f"caller-{n}" for n in range(10)]
    before = {v: metric(running, "moderation_arm_decisions_total", model=POLICY, version=str(v)) for v in (1, 2)}
    got = Counter(version(ask(running, name)) for name in names)

    def counted(arm: int) -> float:
        return metric(running, "moderation_arm_decisions_total", model=POLICY, version=str(arm)) - before[arm]

    wait_until(lambda: {arm: counted(arm) for arm in (1, 2)} == {arm: got[arm] for arm in (1, 2)}, 5)
    assert metric(running, "moderation_arm_errors_total", model=POLICY, version="9") > 0
    assert metric(running, "moderation_arm_seconds_count", model=POLICY, version="2", of="stage") >= got[2]
