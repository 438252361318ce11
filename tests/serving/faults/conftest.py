"""A server that may be damaged, and the table of what happened to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serving.conftest import Running, launched
from serving.faults import report


@pytest.fixture(scope="session", autouse=True)
def table() -> Iterator[None]:
    """The table of all faults, once the last of them is over."""
    yield
    report.write()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that the tests of a room may damage."""
    with launched(tmp_path_factory.mktemp("damaged")) as running:
        yield running
