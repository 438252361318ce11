"""Releases while callers keep sending: what is lost, who answered without a share, and what a shadow costs.

    python tests/bench/rollout.py       # 5 minutes on 2 cores

A policy release, a classifier release (added while the server runs), a canary that a person aborts, and a harmful
policy that its guard takes back; two callers send all the while. Then the pipeline with and without a shadow, in turn.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation import contract  # noqa: E402
from moderation.rollout.state import Rollout, Store, replace  # noqa: E402
from moderation.samples import render  # noqa: E402
from serving.conftest import COMMAND, Running, launched  # noqa: E402
from serving.policies import four_policies  # noqa: E402
from serving.traffic import Traffic  # noqa: E402

POLICY, CLASSIFIER = contract.DECISION_LOGIC, contract.CLASSIFIER
WORDS: Final = "harmless words"
SUNSET: Final = render()["sunset.png"]
GRACE_S: Final = 0.05
"""Between the moment in the state file and the routes that follow from it."""
QUICK: Final = ("--hold=3", "--every=1", "--guard=min_items=20")
RELEASES: Final[dict[str, list[tuple[str, ...]]]] = {
    "policy release": [("start", POLICY, "2", "--steps=25,50,100", *QUICK)],
    "harmful policy": [("start", POLICY, "3", "--steps=50,100", *QUICK)],
    "canary, aborted": [
        ("start", POLICY, "3", "--steps=25,100", *QUICK, "--detach"),
        ("abort", POLICY, "3", "--reason=complaints"),
    ],
    "classifier release": [("start", CLASSIFIER, "2", "--steps=25,50,100", *QUICK)],
}
ROUNDS: Final = 2
WINDOW_S: Final = 6.0
REPORT: Final = """# Rollouts under load

{machine}

Rerun: `python tests/bench/rollout.py`.

## Releases

Two callers send one picture with a caption all the while. `without a share`: answers of a version that had no caller
between the request and its answer. Times in ms, p50 / p95, before the release and from then on.

| release | answers (by version) | failed | without a share | before | from then on | end | s |
|---|---|---|---|---|---|---|---|
{releases}

## What a shadow costs

Times of answers in ms, p50 / p95, with a share of the requests in the shadow.

| shadow of | callers | 0 % | 10 % | 100 % |
|---|---|---|---|---|
{shadows}
"""


def command(server: Running, repository: Path, *words: str) -> int:
    """Exit code of `moderation rollout …`."""
    places = [f"--url={server.http}", f"--metrics={server.metrics}/metrics", f"--repository={repository}"]
    return subprocess.run([COMMAND, "rollout", *words, *places], capture_output=True, timeout=400).returncode


def without_share(rollout: Rollout, answers: list[tuple[float, float, dict[str, Any]]]) -> int:
    """Answers of a version that had no caller between the request and its answer."""
    shares = [event.at for event in rollout.history if event.what[0].isdigit() and "shadow" not in event.what]
    begin, end = shares[0], rollout.history[-1].at + GRACE_S
    wrong = 0
    for sent, answered, result in answers:
        version = int(result["versions"][rollout.model])
        if version == rollout.trial:
            wrong += answered < begin or (sent > end and rollout.phase != "promoted")
        else:
            wrong += version != rollout.stable or (sent > end and rollout.phase == "promoted")
    return wrong


def percentiles(seconds: list[float]) -> str:
    """p50 / p95 in milliseconds."""
    return f"{median(seconds) * 1e3:.0f} / {quantiles(seconds, n=20)[-1] * 1e3:.0f}"


def release(server: Running, repository: Path, name: str, *orders: tuple[str, ...]) -> str:
    """One row: a release under load."""
    began = time.monotonic()
    with Traffic(server.http, SUNSET, WORDS) as traffic:
        time.sleep(6)
        quiet = list(traffic.seconds)
        for words in orders:
            command(server, repository, *words)
        time.sleep(3)
    rollout = Store(repository / contract.ENTRY / "1" / "routes.yaml").all()[-1]
    told = rollout.history[-1].what.partition(";")[0]
    versions = ", ".join(f"{v}: {n}" for v, n in sorted(traffic.versions(rollout.model).items()))
    row = (
        f"| {name} | {len(traffic.results)} ({versions}) | **{len(traffic.failures)}** | "
        f"**{without_share(rollout, traffic.results)}** | {percentiles(quiet)} | "
        f"{percentiles(traffic.seconds[len(quiet) :])} | {told} | {time.monotonic() - began:.0f} |"
    )
    print(row, *traffic.failures[:3], flush=True)
    return row


def shadow(server: Running, repository: Path) -> list[str]:
    """Rows: times with a shadow of each kind and without, in turn."""
    path = repository / contract.ENTRY / "1" / "routes.yaml"
    rows = []
    for model, live, look in ((POLICY, 2, 3), (CLASSIFIER, 2, 1)):
        server.control.serve_versions(model, {live, look})
        for threads in (1, 4):
            found: dict[float, list[list[float]]] = {0: [], 10: [], 100: []}
            for _ in range(ROUNDS):
                for sample, times in found.items():
                    route: dict[str, Any] = {"model": model, "arms": [{"version": live, "weight": 100}]}
                    if sample:
                        route["shadow"] = [{"version": look, "sample": sample}]
                    replace(path, yaml.safe_dump({"routes": [route]}))
                    time.sleep(1)
                    with Traffic(server.http, SUNSET, WORDS, threads=threads) as traffic:
                        time.sleep(WINDOW_S / ROUNDS)
                    times.append(traffic.seconds)
            cells = [percentiles([s for run in times for s in run]) for times in found.values()]
            rows.append(f"| {model} | {threads} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write the report."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        repository = four_policies(folder, WORDS)
        with launched(folder, f"--repository={repository}") as server:
            with Traffic(server.http, SUNSET, WORDS):
                time.sleep(5)  # compiles what is compiled once
            shutil.copytree(repository / CLASSIFIER / "1", repository / CLASSIFIER / "2")
            rows: list[str] = []
            for name, orders in RELEASES.items():
                rows.append(release(server, repository, name, *orders))
                write(rows, [])  # what was measured so far stays if the rest is cut off
            write(rows, shadow(server, repository))


def write(releases: list[str], shadows: list[str]) -> None:
    """The report."""
    text = REPORT.format(machine=describe(), releases="\n".join(releases), shadows="\n".join(shadows))
    (Path(__file__).parent / "results" / "rollout.md").write_text(text)


if __name__ == "__main__":
    main()
