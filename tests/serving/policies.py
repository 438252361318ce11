"""A model repository with policies to release."""

from __future__ import annotations

import shutil
from pathlib import Path

from moderation import contract
from moderation.launcher.run import REPOSITORY


def four_policies(folder: Path, words: str) -> Path:
    """The product's repository with a policy that decides as the first (2), one that also blocks some words (3), and a
    broken one (4). Only the first is loaded at the start."""
    path = Path(shutil.copytree(REPOSITORY, folder / "repository"))
    policies = path / contract.DECISION_LOGIC
    for version in ("2", "3", "4"):
        shutil.copytree(policies / "1", policies / version)
    (policies / "3" / "lists" / "threats.txt").write_text(f"{words}\n")
    (policies / "3" / "tests.yaml").unlink()
    (policies / "4" / "policy.yaml").write_text("profilez: {}\n")
    # one version at the start: the launcher loads what the configuration's version policy says, the two newest
    for name in ("config.pbtxt", "configs/cpu.pbtxt"):
        file = policies / name
        file.write_text(file.read_text().replace("latest: { num_versions: 2 }", "specific: { versions: [1] }"))
    return path
