"""Where built networks lie: outside the tree, one folder for each set of inputs, complete or not there at all.

A folder's name ends in a digest of everything its content follows from (manifest, source, build code, converter), so
that a change of any of them is another folder and nothing is rebuilt without need. `build.json` lists the digest of
every file; a folder that does not match it is not served.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from moderation.errors import ModelBuildError
from moderation.models import record, sources
from moderation.models.manifest import Manifest, load, manifests

ENVIRONMENT: Final = "MODERATION_MODEL_STORE"
_CODE: Final = ("surgery.py", "build.py")
State = Literal["built", "missing", "damaged"]


def root() -> Path:
    """The store's folder: $MODERATION_MODEL_STORE, else below the user's cache folder."""
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "content-moderation" / "models"


@dataclass(frozen=True)
class Target:
    """What networks are built for.

    Attributes:
        engine: `openvino` or `tensorrt`.
        version: of the library that builds.
        code: files of this package that the result follows from.
        device: tag of the hardware, at the end of a folder's name; empty where the result fits any.
        settings: what else of the repository the result of one network follows from: (manifest's path, manifest).
    """

    engine: str
    version: str
    code: tuple[str, ...] = _CODE
    device: str = ""
    settings: Callable[[Path, Manifest], str] = lambda _path, _manifest: ""

    def key(self, path: Path, manifest: Manifest) -> str:
        """Digest of everything that one network's result follows from."""
        here = Path(__file__).parent
        parts = [
            path.read_bytes(),
            sources.digest(manifest.source, path.parent).encode(),
            f"{self.engine} {self.version}".encode(),
            *((here / name).read_bytes() for name in self.code),
        ]
        if settings := self.settings(path, manifest):
            parts.append(settings.encode())
        total = hashlib.sha256()
        for part in parts:
            total.update(f"{len(part)}:".encode() + part)
        return total.hexdigest()


def openvino() -> Target:
    """The CPU engine."""
    code = (*_CODE, "../quantise/apply.py")
    return Target("openvino", importlib.metadata.version("openvino"), code, settings=_ranges)


def _ranges(path: Path, manifest: Manifest) -> str:
    """Digest of the ranges for INT8."""
    if not manifest.int8:
        return ""
    file = path.parent / manifest.int8
    try:
        return record.sha256(file)
    except OSError as error:
        raise ModelBuildError(f"{file} cannot be read: {error.strerror}") from None


@dataclass(frozen=True)
class Entry:
    """One version of one network and its place in the store."""

    model: str
    version: str
    manifest_path: Path
    manifest: Manifest
    folder: Path
    engine: str

    @property
    def name(self) -> str:
        """`model:version`."""
        return f"{self.model}:{self.version}"

    def state(self) -> State:
        """Whether the folder is there and holds what was built."""
        if not self.folder.is_dir():
            return "missing"
        return "damaged" if record.damaged(self.folder) else "built"

    def size(self) -> int:
        """Bytes of the built files."""
        return sum(p.stat().st_size for p in self.folder.iterdir()) if self.folder.is_dir() else 0


def entries(repository: Path, target: Target | None = None) -> list[Entry]:
    """Every network version of a repository, as built for a target; for the CPU engine when none is given.

    Raises:
        ModelBuildError: a manifest is wrong.
    """
    target = target or openvino()
    return [entry(path, target) for path in manifests(repository).values()]


def entry(path: Path, target: Target) -> Entry:
    """The network version of a manifest, `<model>/<version>/model.yaml`, as built for a target.

    Raises:
        ModelBuildError: it is wrong.
    """
    manifest = load(path)
    model, version = path.parent.parent.name, path.parent.name
    suffix = f"-{target.device}" if target.device else ""
    folder = root() / model / f"{manifest.version}-{target.key(path, manifest)[:16]}{suffix}"
    return Entry(model, version, path, manifest, folder, target.engine)


def artefacts(repository: Path, target: Target | None = None) -> dict[tuple[str, str], Path]:
    """Folders of the networks that are built for a target and intact, by (model, version)."""
    return {(e.model, e.version): e.folder for e in entries(repository, target) if e.state() == "built"}


@contextlib.contextmanager
def locked(entry: Entry) -> Iterator[None]:
    """One build of a network at a time, also between processes."""
    entry.folder.parent.mkdir(parents=True, exist_ok=True)
    with (entry.folder.parent / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def put(entry: Entry, write: Callable[[Path], None]) -> None:
    """Fill an entry's folder all at once: `write` fills a scratch folder, which is renamed when it is complete.

    Call it inside `locked`. What an interrupted build left behind is removed.

    Raises:
        ModelBuildError: the disk refuses.
    """
    parent = entry.folder.parent
    for left in parent.glob(".building-*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
    except OSError as error:
        raise ModelBuildError(f"{parent} cannot be written: {error.strerror}; set {ENVIRONMENT}") from None
    try:
        write(scratch)
        record.write(scratch, {"model": entry.model, "version": entry.manifest.version, "engine": entry.engine})
        for path in scratch.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        scratch.chmod(0o755)
        shutil.rmtree(entry.folder, ignore_errors=True)
        scratch.rename(entry.folder)
    except OSError as error:
        raise ModelBuildError(f"{parent} cannot be written: {error.strerror}; set {ENVIRONMENT}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
