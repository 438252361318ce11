"""Shared fixtures; every test is marked by the folder it lives in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("unit", "backends", "contract", "serving", "deploy", "quality", "bench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, so that `pytest -m unit` needs no decoration."""
    for item in items:
        folder = Path(item.path).relative_to(ROOT / "tests").parts[0]
        if folder in FOLDERS:
            item.add_marker(getattr(pytest.mark, folder))


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images beside the checkout; they cannot be redistributed, so a machine without them skips."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real image set not found at {folder.name}: its pictures may not be redistributed")
    return folder
