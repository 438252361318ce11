"""The list of what was built, beside it: `build.json` with the digest of every file, checked before anything is loaded.

Backends check it too: a file that was damaged after the server started is not served by the next load. Standard library
only, for the sake of their start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from moderation.errors import ModelBuildError

FILE: Final = "build.json"
_CHUNK: Final = 1 << 20


def sha256(path: Path) -> str:
    """Digest of a file, in hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def write(folder: Path, about: Mapping[str, str]) -> None:
    """List every file of a folder.

    Args:
        about: what else the record says.
    """
    files = {p.name: sha256(p) for p in sorted(folder.iterdir())}
    (folder / FILE).write_text(json.dumps({**about, "files": files}, indent=1) + "\n")


def check(folder: Path, names: Collection[str] = ()) -> None:
    """Compare files with their record; a folder without a record is not from the store and passes.

    Args:
        folder: with the files, or links to them.
        names: which; all when none is named. What the record does not list was not built and passes.

    Raises:
        ModelBuildError: one has changed since it was built, or is missing.
    """
    if (folder / FILE).exists() and (found := damaged(folder, names)):
        raise ModelBuildError(
            f"{', '.join(found)} in {folder}: not as built; run `moderation models build` and load again"
        )


def damaged(folder: Path, names: Collection[str] = ()) -> list[str]:
    """Files that are not as the record says; the record itself where it cannot be read."""
    try:
        files: dict[str, str] = json.loads((folder / FILE).read_text())["files"]
        wanted = {name: digest for name, digest in files.items() if not names or name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [FILE]
    return [name for name, digest in wanted.items() if _digest(folder / name) != digest]


def _digest(path: Path) -> str | None:
    try:
        return sha256(path)
    except OSError:
        return None
