"""One control plane for all tests of the folder; only `make cluster-test` asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import tools
from deploy.cluster.plane import Cluster, running

SWITCH = "MODERATION_CLUSTER"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real control plane with simulated nodes."""
    if not os.environ.get(SWITCH):
        pytest.skip("needs a Kubernetes control plane built from source: run `make cluster-test`")
    needed: list[Path] = [tools.binary(n) for n in ("helm", "helm4", "kwok", *tools.COMPONENTS)]
    missing = [path.name for path in needed if not path.is_file()]
    if missing or not shutil.which("openssl"):
        pytest.skip(f"missing: {', '.join(missing) or 'openssl'}")
    with running(tmp_path_factory.mktemp("cluster")) as found:
        yield found
