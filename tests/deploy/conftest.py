"""Helm for the chart's tests; without one they say why they are skipped."""

from __future__ import annotations

import pytest

from deploy.chart import Helm, some_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """A Helm that renders."""
    return some_helm()
