"""More pictures to learn from, out of free-licensed Debian packages: variety of sources is what training lacks most."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from moderation.errors import ConfigError

RECIPE: Final = Path(__file__).with_name("sources.yaml")
SIDE: Final = 1300
"""Longer side of stored pictures; training shrinks them further."""
MIN_SIDE: Final = 110
"""Shorter side from which a picture is one, and not an icon."""
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_PAGES: Final = 2
Progress = Callable[[str, int, int], None]


class Entry(BaseModel):
    """Files of one package that show one class."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    package: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
    label: Literal["photo", "document", "screenshot", "chart", "illustration", "meme", "code_2d"] = Field(alias="class")
    limit: Annotated[int, Field(gt=0)]
    files: Annotated[list[str], Field(min_length=1)]
    without: list[str] = []


class Recipe(BaseModel):
    """What to fetch: pictures, and packages whose fonts widen what is drawn."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    pictures: Annotated[list[Entry], Field(min_length=1)]
    fonts: list[str] = []


def recipe(path: Path = RECIPE) -> Recipe:
    """The packages and files to take."""
    return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def collect(what: Recipe, folder: Path, progress: Progress) -> int:
    """Fetch packages and write `folder/train/<class>/*.png` with a `folder/manifest.csv`, and `folder/fonts/*`.

    Returns:
        How many pictures were written.

    Raises:
        ConfigError: apt-get or dpkg-deb is missing, or does not know a package.
    """
    unpacked = folder / "packages"
    rows: list[dict[str, Any]] = []
    total = len(what.pictures) + len(what.fonts)
    for number, entry in enumerate(what.pictures):
        progress("packages", number, total)
        version = _unpack(entry.package, unpacked)
        target = folder / "train" / entry.label
        target.mkdir(parents=True, exist_ok=True)
        for source, picture in _chosen(entry, unpacked / entry.package):
            path = target / f"{entry.package}_{len(rows):05d}.png"
            picture.save(path)
            rows.append(
                {
                    "file": path.relative_to(folder).as_posix(),
                    "class": entry.label,
                    "source_repo": f"debian:{entry.package}",
                    "source_version": version,
                    "source_path": source,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
            )
    fonts = folder / "fonts"
    fonts.mkdir(exist_ok=True)
    for number, package in enumerate(what.fonts):
        progress("packages", len(what.pictures) + number, total)
        _unpack(package, unpacked)
        for path in sorted((unpacked / package).rglob("*.?t[fc]")):
            shutil.copy(path, fonts)
    progress("packages", total, total)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _run(*command: str, folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 - no shell
    except FileNotFoundError:
        raise ConfigError(f"`{command[0]}` is missing; collecting needs a Debian or Ubuntu machine") from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"`{' '.join(command)}` failed: {error.stderr.strip()}; run `apt-get update`?") from None
    return done.stdout.strip()


def _unpack(package: str, folder: Path) -> str:
    """Fetch and unpack a package once; its version."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(f"{package}_*.deb")):
        _run("apt-get", "download", "-q", package, folder=folder)
    archive = next(folder.glob(f"{package}_*.deb"))
    if not (folder / package).is_dir():
        _run("dpkg-deb", "-x", archive.name, package, folder=folder)
    return _run("dpkg-deb", "-f", archive.name, "Version", folder=folder)


def _chosen(entry: Entry, root: Path) -> Iterator[tuple[str, Image.Image]]:
    """Pictures of an entry with their path in the package."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found = [
        name
        for name in names
        if any(fnmatch.fnmatch(name, glob) for glob in entry.files)
        and not any(fnmatch.fnmatch(name, glob) for glob in entry.without)
    ]
    rng = random.Random(entry.package)  # noqa: S311 - an order, not a secret
    rng.shuffle(found)
    taken = 0
    seen: set[str] = set()
    for name in found:
        for picture in _open(root / name, rng):
            digest = hashlib.sha256(picture.tobytes()).hexdigest()
            if taken == entry.limit or min(picture.size) < MIN_SIDE or digest in seen:
                continue
            seen.add(digest)
            taken += 1
            yield name, picture


def _open(path: Path, rng: random.Random) -> Iterator[Image.Image]:
    """A picture, or some pages of a PDF; nothing for files that are neither or broken."""
    if path.suffix.lower() == ".pdf":
        yield from _pages(path, rng)
    elif path.suffix.lower() in _PICTURES:
        try:
            with Image.open(path) as opened:
                picture = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
        except (OSError, Image.DecompressionBombError):
            return
        picture.thumbnail((SIDE, SIDE))
        yield picture


def _pages(path: Path, rng: random.Random) -> Iterator[Image.Image]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        return
    for index in sorted(rng.sample(range(len(document)), min(_PAGES, len(document)))):
        page = document[index]
        yield page.render(scale=SIDE / max(page.get_size())).to_pil().convert("RGB")
