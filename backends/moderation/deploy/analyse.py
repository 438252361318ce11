"""The analysis after an upgrade: golden images to every pod, then the metrics of what real callers got.

Any finding fails the upgrade, so that Helm rolls it back. All findings are reported, not only the first.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

import yaml

from moderation.client import Client
from moderation.contract import DECISIONS
from moderation.deploy.scrape import Page, fetch
from moderation.errors import ConfigError, ModerationError
from moderation.rollout import guards
from moderation.samples import EXPECTED, render

EXPECTED_FILE: Final = "expected.yaml"
ENOUGH: Final = 20
"""Requests below which a share or a percentile says nothing."""


@dataclass(frozen=True)
class Limits:
    """What real traffic may look like: shares 0-1, the 95th percentile in milliseconds."""

    errors: float = 0.01
    unknown: float = 0.05
    p95_ms: float = 1000.0


@dataclass(frozen=True)
class Golden:
    """One image and the decision it must get; None takes any decision."""

    name: str
    data: bytes
    expected: str | None


@dataclass(frozen=True)
class Traffic:
    """What real callers got meanwhile; the 95th percentile in milliseconds is NaN without requests."""

    requests: int
    errors: int
    unknown: int
    p95_ms: float


@dataclass
class Analysis:
    """What was looked at and what speaks against the release; no finding is a pass."""

    pods: list[str] = field(default_factory=list)
    images: int = 0
    policies: set[str] = field(default_factory=set)
    traffic: Traffic | None = None
    findings: list[str] = field(default_factory=list)


def golden_images(folder: Path | None, *, any_decision: bool = False) -> list[Golden]:
    """Golden images: those of a folder with `expected.yaml` (file → decision), or the drawn samples.

    Raises:
        ConfigError: with every fault of the folder.
    """
    if folder is None:
        return [Golden(name, data, None if any_decision else EXPECTED[name]) for name, data in render().items()]
    table = folder / EXPECTED_FILE
    try:
        expected = yaml.safe_load(table.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{table} cannot be read: {error}") from None
    if not isinstance(expected, dict) or not expected:
        raise ConfigError(f"{table} is not a table of file names and decisions")
    faults = [
        f"{name}: `{decision}` is no decision; allowed: {', '.join(DECISIONS)}"
        for name, decision in expected.items()
        if decision not in DECISIONS
    ]
    faults += [f"{name}: no such file" for name in expected if not (folder / str(name)).is_file()]
    if faults:
        raise ConfigError("\n  ".join([f"{table} has {len(faults)} fault(s):", *faults]))
    return [Golden(n, (folder / n).read_bytes(), None if any_decision else d) for n, d in expected.items()]


def addresses(host: str, port: int) -> list[str]:
    """The addresses of all pods behind a headless service, sorted.

    Raises:
        ConfigError: the name leads nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host} leads to no pod: {error.strerror or error}. Is any pod ready?") from None
    return sorted({str(entry[4][0]) for entry in found})


def ask(url: str, golden: Sequence[Golden], headers: Mapping[str, str], timeout_s: float = 30.0) -> Analysis:
    """Send golden images to one pod."""
    analysis = Analysis(pods=[url])
    with Client(url, timeout_s=timeout_s, headers=dict(headers)) as client:
        for image in golden:
            try:
                (result,) = client.moderate([image.data])
            except ModerationError as error:
                analysis.findings.append(f"{url} {image.name}: no decision, {error.message}")
                continue
            analysis.images += 1
            analysis.policies.add(str(result["versions"]["policy"]))
            analysis.findings += [f"{url} {image.name}: {fault}" for fault in faults_of(result, image.expected)]
    return analysis


def faults_of(result: Mapping[str, Any], expected: str | None) -> list[str]:
    """What speaks against one RESULT of a golden image."""
    faults = []
    if expected is not None and result["decision"] != expected:
        rules = ", ".join(sorted({reason["rule"] for reason in result["reasons"]})) or "no rule"
        faults.append(f"decided {result['decision']} where {expected} is expected ({rules})")
    if result["unknown"]:
        faults.append(f"no signal from {', '.join(result['unknown'])}")
    return faults


def traffic(gained: Page) -> Traffic:
    """Sum up what the pods' counters gained."""
    decisions = gained.total("moderation_decisions_total")
    errors = gained.total("moderation_errors_total")
    return Traffic(
        int(decisions + errors),
        int(errors),
        int(gained.total("moderation_stage_failures_total")),
        gained.quantile("moderation_stage_seconds", 0.95, stage="total") * 1e3,
    )


def judge(seen: Traffic, limits: Limits) -> list[str]:
    """What speaks against the release in real traffic; nothing does below `ENOUGH` requests."""
    if seen.requests < ENOUGH:
        return []
    findings = []
    errors, unknown = seen.errors / seen.requests, seen.unknown / seen.requests
    if errors > limits.errors:
        findings.append(f"{errors:.2%} of {seen.requests} requests failed; the limit is {limits.errors:.2%}")
    if unknown > limits.unknown:
        findings.append(f"{unknown:.2%} stages without a signal for each request; the limit is {limits.unknown:.2%}")
    if not math.isnan(seen.p95_ms) and seen.p95_ms > limits.p95_ms:
        findings.append(f"95 % of decisions took up to {seen.p95_ms:.0f} ms; the limit is {limits.p95_ms:.0f} ms")
    return findings


def analyse(
    servers: Mapping[str, str],
    golden: Sequence[Golden],
    limits: Limits,
    *,
    watch_s: float = 0.0,
    headers: Mapping[str, str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Analysis:
    """Look at a release.

    Args:
        servers: URL of each pod → URL of its metrics.
        golden: images with known decisions.
        limits: for real traffic.
        watch_s: how long real traffic is watched; 0 does not.
        headers: sent with each golden image.
        sleep: waits some seconds.
    """
    parts = [ask(url, golden, headers or {}) for url in servers]
    whole = Analysis(
        [pod for part in parts for pod in part.pods],
        sum(part.images for part in parts),
        set().union(*(part.policies for part in parts)),
        None,
        [finding for part in parts for finding in part.findings],
    )
    if watch_s > 0:
        try:
            before = [fetch(url) for url in servers.values()]
            sleep(watch_s)
            after = [fetch(url) for url in servers.values()]
        except ModerationError as error:
            whole.findings.append(f"a pod went away while it was watched: {error.message}")
        else:
            gained = [new.since(old) for new, old in zip(after, before, strict=True)]
            total = reduce(add, gained, Page({}))
            whole.traffic = traffic(total)
            whole.findings += [*judge(whole.traffic, limits), *guards.all_broken(total, guards.Limits())]
    return whole
