"""Assembles what tritonserver is pointed at: a backend directory and a served model repository.

Triton refuses a symlinked library as escaping its folder but accepts a symlinked folder, so libraries are copied and
everything else is linked. A network's version folder joins the data of the tree with the built artefacts of the store.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from moderation.errors import LaunchError
from moderation.launcher.install import ServerInstall
from moderation.models import store

BACKENDS: Final = Path(__file__).resolve().parents[2]
"""`backends/` of a checkout, or where the wheel is installed: the thin backends lie beside the library."""

RESPONSE_CACHE: Final = "response_cache { enable: true }\n"


def stage_backends(install: ServerInstall, target: Path, backends: Path = BACKENDS) -> Path:
    """Make the backend directory: the server's `python/`, our thin backends linked beside it.

    `python/` is a link where the server keeps its stub there, as images do, so that nothing that runs lies in a folder
    that may be mounted noexec; from the wheel it is put together.

    Returns:
        `target`.

    Raises:
        LaunchError: the thin backends are not there.
    """
    ours = sorted(folder.parent for folder in backends.glob("moderation_*/model.py"))
    if not ours:
        raise LaunchError(
            f"no backends in {backends}: expected moderation_*/model.py. Run from a checkout or install the wheel"
        )
    target.mkdir(parents=True)
    python = target / "python"
    if install.stub.parent == install.python_backend:
        python.symlink_to(install.python_backend, target_is_directory=True)
    else:
        python.mkdir()
        for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
            shutil.copy2(install.python_backend / name, python)
        shutil.copy2(install.stub, python)
    for folder in ours:
        (target / folder.name).symlink_to(folder, target_is_directory=True)
    for folder in sorted(install.other_backends.iterdir()) if install.other_backends else ():
        if folder.name != "python" and folder.is_dir() and not (target / folder.name).exists():
            (target / folder.name).symlink_to(folder, target_is_directory=True)
    return target


def model_names(repository: Path) -> list[str]:
    """Names of the models of a repository.

    Raises:
        LaunchError: there is none.
    """
    names = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    if not names:
        raise LaunchError(f"no model in {repository}: expected <model>/config.pbtxt. Give --repository")
    return names


def profiles(repository: Path) -> list[str]:
    """Profile names that at least one model has; `default` is every model's config.pbtxt."""
    return sorted({"default"} | {path.stem for path in repository.glob("*/configs/*.pbtxt")})


def check_profile(repository: Path, profile: str) -> None:
    """Refuse a profile that no model has: Triton itself would fall back silently.

    Raises:
        LaunchError: naming the profiles that exist.
    """
    known = profiles(repository)
    if profile not in known:
        raise LaunchError(f"no model has the profile `{profile}`; allowed: {', '.join(known)}")


def assemble_repository(
    repository: Path, target: Path, artefacts: dict[tuple[str, str], Path], *, cached: bool = False
) -> Path:
    """Make the repository that is served.

    Args:
        repository: the tree's `model_repository`.
        target: folder to fill.
        artefacts: built files of each network version, by (model, version). A network version without an entry is
            left out, so that a model that is not built is missing rather than broken.
        cached: whether networks answer equal pixels from the server's response cache. Only networks: they are pure
            functions of their inputs, and what is decided about a picture is not in their answer.

    Returns:
        `target`.
    """
    target.mkdir(parents=True)
    networks = {model for model, _ in artefacts}
    for name in model_names(repository):
        source = repository / name
        if not list(source.glob("*/model.yaml")):
            (target / name).symlink_to(source, target_is_directory=True)  # new version folders appear at once
        elif name in networks:
            _network(source, target / name, {v: path for (m, v), path in artefacts.items() if m == name}, cached)
    return target


def _network(source: Path, target: Path, versions: dict[str, Path], cached: bool) -> None:
    (target / "configs").mkdir(parents=True)
    for file in (source / "config.pbtxt", *source.glob("configs/*.pbtxt")):
        place = target / file.relative_to(source)
        if cached:
            place.write_text(f"{file.read_text()}{RESPONSE_CACHE}")
        else:
            place.symlink_to(file)
    for version, built in versions.items():
        _version(source / version, built, target / version)


def _version(source: Path, built: Path, target: Path) -> None:
    """Join a version's data with what was built of it; the folder appears all at once."""
    scratch = target.with_name(f".{target.name}")
    scratch.mkdir(exist_ok=True)
    for file in (*source.iterdir(), *built.iterdir()):
        if not (scratch / file.name).exists():
            (scratch / file.name).symlink_to(file)
    scratch.rename(target)


def add_versions(repository: Path, served: Path, engine: store.Target) -> list[str]:
    """Serve network versions that were added to a repository and built since it was assembled; the next load sees them.

    Returns:
        `model:version` of each.
    """
    added = []
    for path in repository.glob("*/[0-9]*/model.yaml"):
        model, version = path.parent.parent.name, path.parent.name
        target = served / model / version
        if target.exists() or not target.parent.is_dir():
            continue
        entry = store.entry(path, engine)
        if entry.state() == "built":
            _version(path.parent, entry.folder, target)
            added.append(f"{model}:{version}")
    return added
