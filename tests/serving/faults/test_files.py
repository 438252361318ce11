"""Files that are damaged while the server runs: the load is refused with the cause, and the old files serve on."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from moderation import contract
from moderation.errors import LaunchError
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from serving.conftest import COMMAND, Running, free_ports, launched, wait_until
from serving.faults.report import UNDER_LOAD, note
from serving.load import load

pytestmark = UNDER_LOAD
NETWORK = contract.SAFETY


@dataclass(frozen=True)
class Copy:
    """A server with a repository and a store of its own."""

    running: Running
    repository: Path
    store: Path

    def built(self, model: str, name: str) -> Path:
        """A built file of a model."""
        folder = store.artefacts(REPOSITORY)[model, "1"]
        return self.store / folder.relative_to(store.root()) / name


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("files")
    repository = Path(shutil.copytree(REPOSITORY, folder / "repository"))
    for built in store.artefacts(REPOSITORY).values():
        shutil.copytree(built, folder / "store" / built.relative_to(store.root()))
    own = ("env", f"{store.ENVIRONMENT}={folder / 'store'}")
    with launched(folder, f"--repository={repository}", prefix=own) as running:
        yield Copy(running, repository, folder / "store")


def flip(data: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def put(path: Path, data: bytes) -> None:
    """Another file in its place, as a copy that went wrong leaves it."""
    half = path.with_name(f"{path.name}.half")
    half.write_bytes(data)
    half.replace(path)


DAMAGE: dict[str, tuple[str, Callable[[Copy], Path], Callable[[bytes], bytes], str]] = {
    "a byte of a network's weights": (NETWORK, lambda c: c.built(NETWORK, "model.bin"), flip, "model.bin in"),
    "half of a network's graph": (
        NETWORK,
        lambda c: c.built(NETWORK, "model.xml"),
        lambda d: d[: len(d) // 2],
        "model.xml in",
    ),
    "a line of the characters": (
        contract.OCR,
        lambda c: c.built(contract.TEXT_RECOGNIZER, "characters.txt"),
        lambda d: d.replace(b"\n", b"", 1),
        "characters.txt in",
    ),
    "a name in the label map": (
        contract.ENTRY,
        lambda c: c.repository / NETWORK / "1" / "model.yaml",
        lambda d: d.replace(b"name: nudity/", b"name: nudty/", 1),
        "did you mean",
    ),
    "half of a manifest": (
        contract.ENTRY,
        lambda c: c.repository / contract.CLASSIFIER / "1" / "model.yaml",
        lambda d: d[: len(d) // 2],
        "model.yaml",
    ),
    "half of the policy": (
        contract.DECISION_LOGIC,
        lambda c: c.repository / contract.DECISION_LOGIC / "1" / "policy.yaml",
        lambda d: d[: len(d) // 2],
        "policy.yaml",
    ),
    "the pipeline": (
        contract.ENTRY,
        lambda c: c.repository / contract.ENTRY / "1" / "pipeline.yaml",
        lambda d: d.replace(b"version: 1", b"version: one", 1),
        "pipeline.yaml",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_not_loaded(copy: Copy, what: str) -> None:
    """Promise: under load, the load of a damaged file is refused and names it; nobody gets another answer than before;
    with the file put right the same load is taken."""
    model, place, damage, words = DAMAGE[what]
    path = place(copy)
    whole = path.read_bytes()
    assert damage(whole) != whole
    with load(copy.running.http, copy.running.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 2), 60)
        moment = time.monotonic()
        put(path, damage(whole))
        try:
            with pytest.raises(LaunchError, match=words):
                copy.running.control.reload(model)
            refused = time.monotonic()
            wait_until(lambda: protocol.healthy(refused, 4), 60)
        finally:
            put(path, whole)
        copy.running.control.reload(model)
        again = time.monotonic()
        wait_until(lambda: protocol.healthy(again, 4), 60)
    note(f"damaged: {what}", protocol, moment)
    assert protocol.noticed(moment) == 0


def test_a_damaged_network_is_not_started(copy: Copy) -> None:
    """Promise: a built network with one changed bit is found before the start, which says how to build it again."""
    path = copy.built(NETWORK, "model.bin")
    whole = path.read_bytes()
    put(path, flip(whole))
    http, grpc, metrics = free_ports(3)
    try:
        answer = subprocess.run(
            [COMMAND, "serve", f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "COLUMNS": "300", store.ENVIRONMENT: str(copy.store)},
        )
    finally:
        put(path, whole)
    assert answer.returncode == 2
    assert f"{NETWORK} not built; run `moderation models build`" in answer.stderr
