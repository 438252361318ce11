"""Where an original network comes from: an installed package, a local file, an https address."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from moderation.errors import ModelBuildError
from moderation.models.manifest import FileSource, PackageSource, Source, UrlSource
from moderation.models.record import sha256

MAX_BYTES: Final = 4 << 30
_CHUNK: Final = 1 << 20


def digest(source: Source, folder: Path) -> str:
    """The digest that identifies the source: pinned, or that of the local file as it is now."""
    return source.sha256 or sha256(_local(source, folder))


def describe(source: Source) -> str:
    """Source in a few words."""
    if isinstance(source, PackageSource):
        return f"package {source.package} {source.version}"
    return f"file {source.path}" if isinstance(source, FileSource) else source.url


def fetch(source: Source, folder: Path, scratch: Path) -> Path:
    """The original file, verified.

    Args:
        source: from the manifest.
        folder: where the manifest lies; relative paths start there.
        scratch: folder for a download.

    Raises:
        ModelBuildError: not there, another version, or another digest.
    """
    path = _download(source, scratch) if isinstance(source, UrlSource) else _local(source, folder)
    seen = sha256(path)
    if source.sha256 and seen != source.sha256:
        raise ModelBuildError(
            f"{describe(source)}: SHA-256 is {seen}, the manifest expects {source.sha256}; nothing was built"
        )
    return path


def _local(source: Source, folder: Path) -> Path:
    if isinstance(source, PackageSource):
        return _in_package(source)
    if isinstance(source, UrlSource):
        raise TypeError("a URL has no local path")
    path = folder / source.path
    if not path.is_file():
        raise ModelBuildError(f"{path} is not a file; correct source.path (relative paths start at {folder})")
    return path


def _in_package(source: PackageSource) -> Path:
    try:
        installed = importlib.metadata.version(source.package)
        spec = importlib.util.find_spec(source.package)
    except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError):
        installed, spec = "", None
    if spec is None or not spec.submodule_search_locations:
        raise ModelBuildError(
            f"package {source.package} is not installed; install it with "
            f"`pip install {source.package}=={source.version}` or `pip install content-moderation[build]`"
        )
    if installed != source.version:
        raise ModelBuildError(
            f"package {source.package} is {installed}, the manifest expects {source.version}; "
            f"`pip install {source.package}=={source.version}`"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / source.file
    if not path.is_file():
        raise ModelBuildError(f"package {source.package} {installed} has no {source.file}")
    return path


def _download(source: UrlSource, scratch: Path) -> Path:
    path = scratch / "download"
    try:
        with urllib.request.urlopen(source.url, timeout=60) as answer, path.open("wb") as file:  # noqa: S310 - https only
            length = int(answer.headers.get("Content-Length") or 0)
            if length > MAX_BYTES:
                raise ModelBuildError(f"{source.url} has {length} bytes; at most {MAX_BYTES} are downloaded")
            shutil.copyfileobj(answer, file, _CHUNK)
    except (urllib.error.URLError, OSError) as error:
        raise ModelBuildError(f"{source.url} cannot be downloaded: {getattr(error, 'reason', error)}") from None
    return path
