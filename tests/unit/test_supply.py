"""Licences: every part is listed, and only those in the allow-list pass without a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moderation.errors import ConfigError
from moderation.launcher.run import REPOSITORY
from moderation.supply import licences


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("MIT AND GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("(GPL-3.0 OR MIT) AND ISC", True),
        ("GPL-3.0 OR MIT AND GPL-2.0", False),
        ("unknown", False),
        ("", False),
        ("MIT ISC", False),
        ("(GPL-3.0", False),
    ],
)
def test_expressions(expression: str, expected: bool) -> None:
    """Promise: AND needs all, OR one, and what cannot be read is not allowed."""
    assert licences.permitted(expression, {"MIT", "ISC"}) == expected


def test_an_exception_is_for_one_licence_of_one_part() -> None:
    """Promise: a part that changes its licence is looked at again."""
    known = licences.rules()
    assert licences.judge("safety-detector:1", "1", "AGPL-3.0", known).verdict == "exception"
    assert licences.judge("safety-detector:1", "1", "GPL-3.0", known).verdict == "refused"
    assert licences.judge("other", "1", "AGPL-3.0", known).verdict == "refused"


def test_every_part_of_this_product_may_be_in_it(repo_root: Path) -> None:
    """Promise: each locked package that is installed and each model has a licence that is allowed, or a reason."""
    known = licences.rules()
    parts = [*licences.models(REPOSITORY, known), *licences.packages(repo_root / "requirements.txt", known)]
    assert [(p.name, p.licence, p.reason) for p in parts if p.verdict == "refused"] == []
    assert len(parts) > 60
    used = {p.name for p in parts if p.verdict == "exception"}
    assert used == set(known.exceptions), "an exception that nothing needs any more goes"


def test_every_package_is_locked_with_hashes(repo_root: Path) -> None:
    """Promise: nothing is installed that was not seen before: each version is pinned, each file has a digest."""
    text = (repo_root / "requirements.txt").read_text()
    blocks = [block for block in re.split(r"\n(?=[A-Za-z])", text) if "==" in block.splitlines()[0]]
    assert len(blocks) == len(licences.locked(repo_root / "requirements.txt")) > 60
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"^(-e|git\+|https?:)", text, re.MULTILINE)


def test_wrong_rules_are_named(tmp_path: Path) -> None:
    """Promise: a rule file that cannot be read stops the check."""
    (tmp_path / "rules.yaml").write_text("allowed: [MIT]\nexceptions: {x: {licence: GPL}}\nwords: {}\n")
    with pytest.raises(ConfigError, match="reason"):
        licences.rules(tmp_path / "rules.yaml")
