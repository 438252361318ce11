"""Packages that pictures come out of: fetched and unpacked once, never installed, and nothing in them is run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from moderation.errors import ConfigError

Registry = Literal["debian", "npm", "pypi"]
_NAMES: Final = {
    "debian": r"[a-z0-9][a-z0-9+.-]+",
    "npm": r"(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*",
    "pypi": r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?",
}
_DEBIAN: Final = "free by Debian's guidelines; usr/share/doc/PACKAGE/copyright in the package"


class Package(BaseModel):
    """One package of a registry; its name and version never begin with a dash, so a tool takes them for no option."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    registry: Registry = "debian"
    package: str
    version: Annotated[str | None, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+!-]*$")] = None
    licence: Annotated[str, Field(min_length=1)] = _DEBIAN

    @model_validator(mode="after")
    def _pinned(self) -> Package:
        if not re.fullmatch(_NAMES[self.registry], self.package):
            raise ValueError(f"`{self.package}` is no name of a package of {self.registry}")
        if self.registry == "debian":
            if self.version is not None:
                raise ValueError(f"{self.package}: the Debian release pins the version; leave `version` out")
        elif self.version is None or "licence" not in self.model_fields_set:
            raise ValueError(f"{self.package}: a package of {self.registry} needs an exact `version` and its `licence`")
        return self

    @property
    def slug(self) -> str:
        """Its name as part of a file name."""
        return self.package.removeprefix("@").replace("/", "-")

    @property
    def source(self) -> str:
        """What a manifest calls it."""
        return f"{self.registry}:{self.package}"


def unpack(package: Package, folder: Path) -> tuple[Path, str]:
    """Fetch and unpack a package, unless that was done before; the folder with its files, and its version.

    Raises:
        ConfigError: the registry's tool is missing, or the registry does not know the package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _UNPACKERS[package.registry](package, folder)


def _debian(package: Package, folder: Path) -> tuple[Path, str]:
    name = package.package
    if not list(folder.glob(f"{name}_*.deb")):
        hint = "collecting needs a Debian or Ubuntu machine; run `apt-get update`?"
        _run("apt-get", "download", "-q", name, folder=folder, hint=hint)
    archive = next(folder.glob(f"{name}_*.deb"))
    hint = "delete the file and collect again"
    if not (folder / name).is_dir():
        _run("dpkg-deb", "-x", archive.name, name, folder=folder, hint=hint)
    return folder / name, _run("dpkg-deb", "-f", archive.name, "Version", folder=folder, hint=hint)


def _npm(package: Package, folder: Path) -> tuple[Path, str]:
    version = _exact(package)

    def fetch(into: Path) -> None:
        what = f"{package.package}@{version}"
        hint = "collecting needs npm, which comes with Node.js, and a registry that has this version"
        _run("npm", "pack", "--silent", "--ignore-scripts", what, folder=into, hint=hint)

    return _once(package, folder, fetch, "*.tgz", _untar), version


def _pypi(package: Package, folder: Path) -> tuple[Path, str]:
    """Wheels only: to fetch an sdist, pip runs the code in it."""
    version = _exact(package)

    def fetch(into: Path) -> None:
        # a wheel is only unpacked, so which Python it would run on does not matter
        how = ("--quiet", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python")
        what = f"{package.package}=={version}"
        hint = "collecting needs pip, and a wheel of this version for this Python"
        _run(sys.executable, "-m", "pip", "download", *how, what, folder=into, hint=hint)

    return _once(package, folder, fetch, "*.whl", _unzip), version


def _once(
    package: Package, folder: Path, fetch: Callable[[Path], None], archives: str, opener: Callable[[Path, Path], None]
) -> Path:
    """The folder of a package's files; it appears when they are complete, so that what was cut off begins anew."""
    name = f"{package.registry}_{package.slug}_{package.version}"
    if not (folder / name).is_dir():
        partial = folder / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "files").mkdir(parents=True)
        fetch(partial)
        archive = next(partial.glob(archives), None)
        if archive is None:
            raise ConfigError(f"{package.source} {package.version} gave no {archives} in {partial}")
        try:
            opener(archive, partial / "files")
        except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
            raise ConfigError(f"{archive.name} of {package.source} cannot be unpacked: {error}") from None
        (partial / "files").rename(folder / name)
        shutil.rmtree(partial)
    return folder / name


def _untar(archive: Path, folder: Path) -> None:
    """Files of a tarball without the folder they all lie in; what leads out of it is refused."""

    def inside(member: tarfile.TarInfo, target: str) -> tarfile.TarInfo | None:
        _, _, name = member.name.partition("/")
        return tarfile.data_filter(member.replace(name=name, deep=False), target) if name else None

    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter=inside)  # noqa: S202 - filtered


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)  # noqa: S202 - zipfile strips roots and `..`


def _exact(package: Package) -> str:
    if package.version is None:  # for mypy: a package of these registries is not made without one
        raise ConfigError(f"{package.source} has no version")
    return package.version


def _run(*command: str, folder: Path, hint: str) -> str:
    """What a tool printed."""
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 - no shell
    except FileNotFoundError:
        raise ConfigError(f"`{command[0]}` is missing; {hint}") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or error.stdout.strip() or f"exit code {error.returncode}"
        raise ConfigError(f"`{' '.join(command)}` failed: {said}; {hint}") from None
    return done.stdout.strip()


_UNPACKERS: Final[dict[Registry, Callable[[Package, Path], tuple[Path, str]]]] = {
    "debian": _debian,
    "npm": _npm,
    "pypi": _pypi,
}
