"""A policy on a running server: a sound release is taken without a restart, a broken one never."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation import contract
from moderation.client import Client
from moderation.errors import ModerationError
from moderation.launcher.run import REPOSITORY
from moderation.samples import render
from serving.conftest import Running, launched

SUNSET = render()["sunset.png"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository whose policy these tests may change."""
    return Path(shutil.copytree(REPOSITORY, tmp_path_factory.mktemp("served") / "repository", symlinks=True))


@pytest.fixture(scope="module")
def running(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with launched(tmp_path_factory.mktemp("policy"), f"--repository={repository}") as found:
        yield found


@pytest.fixture
def folder(repository: Path) -> Iterator[Path]:
    """The served policy; as it was after each test."""
    path = repository / contract.DECISION_LOGIC / "1"
    yield path
    shutil.rmtree(path)
    shutil.copytree(REPOSITORY / contract.DECISION_LOGIC / "1", path)


def decision(running: Running, caption: str, **headers: str) -> tuple[str, str]:
    """Decision and `version@profile` for a harmless picture with a caption."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with Client(running.http, headers=named) as client:
        (result,) = client.moderate([SUNSET], [caption])
    return result["decision"], result["versions"]["policy"]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("policy.yaml", "thresholds:", "thresholdz:", "did you mean `thresholds`?"),
        ("policy.yaml", "nudity/explicit:", "nudity/explict:", "did you mean `nudity/explicit`?"),
        ("policy.yaml", "codes.exists", "code.exists", "`code` is not a signal"),
        ("policy.yaml", 'codes.exists(c, c.text != "")', "size(codes) < 0", "can never be true"),
        ("policy.yaml", "lists: [threats]", "lists: [threat]", "did you mean `threats`?"),
        ("policy.yaml", "remove: [scam-with-code]", "remove: [scam-with-codes]", "did you mean `scam-with-code`?"),
        ("lists/threats.txt", "kys", "!!", "no letter and no digit"),
        ("tests.yaml", "decision: block", "decision: allow", "test `clear nudity is blocked everywhere"),
    ],
)
def test_a_broken_policy_is_refused_and_the_old_one_serves_on(
    running: Running, folder: Path, file: str, old: str, new: str, words: str
) -> None:
    """Promise: each kind of fault refuses the load in words, and decisions go on as before."""
    before = decision(running, "go kill yourself")
    assert before == ("block", "1@default")
    replace(folder / file, old, new)
    with pytest.raises(ModerationError) as refused:
        running.control.load(contract.DECISION_LOGIC)
    assert words in str(refused.value)
    assert decision(running, "go kill yourself") == before


def test_a_sound_policy_is_taken_without_a_restart(running: Running, folder: Path) -> None:
    """Promise: a load changes decisions, and callers get the profile that `select` gives them."""
    assert decision(running, "see https://example.com", x_tenant="kids") == ("allow", "1@default")
    (folder / "lists" / "threats.txt").write_text("harmless words\n")
    (folder / "tests.yaml").unlink()
    select = "select:\n  - {when: {x-tenant: {equals: kids}}, profile: children}\n\nprofiles:"
    replace(folder / "policy.yaml", "profiles:", select)
    running.control.load(contract.DECISION_LOGIC)
    assert decision(running, "harmless words") == ("block", "1@default")
    assert decision(running, "see https://example.com", x_tenant="kids") == ("review", "1@children")
    assert decision(running, "see https://example.com", x_tenant="others") == ("allow", "1@default")
