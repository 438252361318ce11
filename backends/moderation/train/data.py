"""Pictures of a training run: real ones by source, synthetic ones by seed, all squeezed through the same spoiling.

Everything is re-encoded, resized and cropped in the same ways, so that neither format nor size nor sharpness tells the
class (in the sources at hand PNG, for example, occurs in three classes only).
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageOps

from moderation.train import drawing

CLASSES: Final = ("photo", "document", "screenshot", "chart", "illustration", "meme", "code_2d")
"""Order of the network's outputs."""
SIDE: Final = 256
"""Side of the stored pictures; training crops 224 out of them."""
_GROUNDS: Final = 250
"""Photos and illustrations that synthetic pictures are made of; of each process."""
_GROUND_SIDE: Final = 640

SYNTHETIC: Final = "synthetic"
"""Source of pictures that were drawn."""

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


@dataclass(frozen=True)
class Item:
    """One real picture: its file, class index and the collection it comes from."""

    path: Path
    label: int
    source: str


def items(folder: Path, manifest: Path | None = None) -> list[Item]:
    """Pictures below `folder/<class>/`, with their source from a manifest with the columns `file` and `source_repo`.

    Files that the manifest does not name are a source of their own for each class.
    """
    sources: dict[str, str] = {}
    if manifest is not None and manifest.is_file():
        with manifest.open(newline="") as file:
            sources = {Path(row["file"]).name: row["source_repo"] for row in csv.DictReader(file)}
    return [
        Item(path, label, sources.get(path.name, name))
        for label, name in enumerate(CLASSES)
        for path in sorted((folder / name).glob("*"))
        if path.is_file()
    ]


def spoil(picture: Image.Image, rng: random.Random) -> Pixels:
    """A picture as it might arrive: cropped, shrunk, compressed; then stretched to [256, 256, 3]."""
    picture = picture.convert("RGB")
    if rng.random() < 0.6:
        keep = rng.uniform(0.65, 1.0), rng.uniform(0.65, 1.0)
        width, height = max(8, int(picture.width * keep[0])), max(8, int(picture.height * keep[1]))
        x, y = rng.randint(0, max(0, picture.width - width)), rng.randint(0, max(0, picture.height - height))
        picture = picture.crop((x, y, x + width, y + height))
    longer = max(picture.size)
    target = int(2 ** rng.uniform(7.3, 10.3))  # 160 to 1260 pixels
    if longer > target:
        scale = target / longer
        how = rng.choice((Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.BOX))
        picture = picture.resize((max(8, round(picture.width * scale)), max(8, round(picture.height * scale))), how)
    if rng.random() < 0.7:
        target_file = io.BytesIO()
        picture.save(target_file, rng.choice(("JPEG", "JPEG", "WEBP")), quality=rng.randint(30, 95))
        picture = Image.open(target_file).convert("RGB")
    return squeeze(picture)


def squeeze(picture: Image.Image, side: int = SIDE) -> Pixels:
    """Stretched to a square, averaging areas, as the preprocessor's classifier view does."""
    import cv2

    pixels = np.asarray(picture.convert("RGB"))
    smaller = pixels.shape[0] > side and pixels.shape[1] > side
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=how), np.uint8)


def open_rgb(path: Path, ground: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """A file as RGB with a colour behind transparency, reduced to what training can use."""
    with Image.open(path) as opened:
        opened.draft("RGB", (1300, 1300))
        picture = opened.convert("RGBA") if opened.has_transparency_data else opened.convert("RGB")
    if picture.mode == "RGBA":
        behind = Image.new("RGB", picture.size, ground)
        behind.paste(picture, mask=picture.getchannel("A"))
        picture = behind
    picture.thumbnail((1300, 1300))
    return picture


_state: dict[str, Any] = {}


def _prepare(photos: Sequence[Path], figures: Sequence[Path], fonts: Sequence[Path]) -> None:
    """Grounds for synthetic pictures and fonts, once in each process."""
    drawing.use_fonts(fonts)
    side = (_GROUND_SIDE, _GROUND_SIDE)
    _state["grounds"] = drawing.Grounds(
        [ImageOps.contain(open_rgb(path), side) for path in photos[:_GROUNDS]],
        [_without_ground(path, side) for path in figures[:_GROUNDS]],
    )


def _without_ground(path: Path, side: tuple[int, int]) -> Image.Image:
    """An illustration in RGBA; a white ground becomes transparent."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    picture.thumbnail(side)
    if np.asarray(picture.getchannel("A")).min() < 255:
        return picture
    light = picture.convert("RGB").split()
    darkest = ImageChops.darker(ImageChops.darker(light[0], light[1]), light[2])
    outside = darkest.point(lambda value: 255 if value > 245 else 0)
    seen = outside.copy()
    for corner in ((0, 0), (seen.width - 1, 0), (0, seen.height - 1), (seen.width - 1, seen.height - 1)):
        if seen.getpixel(corner) == 255:
            ImageDraw.floodfill(seen, corner, 128)
    picture.putalpha(seen.point(lambda value: 0 if value == 128 else 255))
    return picture


def _real(task: tuple[Path, int]) -> Pixels:
    path, seed = task
    rng = random.Random(f"{path.name}-{seed}")  # noqa: S311 - pictures, not secrets
    if seed < 0:
        return squeeze(open_rgb(path))
    # transparency is seen on white most often, but a white ground must not tell the class
    ground = (255, 255, 255) if rng.random() < 0.5 else drawing.colour(rng)
    return spoil(open_rgb(path, ground), rng)


def _synthetic(task: tuple[str, int]) -> Pixels:
    from moderation.train.pictures import GENERATORS

    name, seed = task
    rng = random.Random(f"{name}-{seed}")  # noqa: S311
    return spoil(GENERATORS[name](rng, _state["grounds"]), rng)


def real(found: Sequence[Item], variants: int, workers: int) -> Iterator[tuple[Pixels, int, str]]:
    """Each item in so many spoiled variants, or once as it is when `variants` is 0: pixels, class index, source."""
    seeds = range(variants) if variants else (-1,)
    tasks = [(item, seed) for item in found for seed in seeds]
    with ProcessPoolExecutor(workers) as pool:
        pixels = pool.map(_real, [(item.path, seed) for item, seed in tasks], chunksize=16)
        for (item, _), picture in zip(tasks, pixels, strict=True):
            yield picture, item.label, item.source


def synthetic(
    count: int, photos: Sequence[Path], figures: Sequence[Path], fonts: Sequence[Path], workers: int
) -> Iterator[tuple[Pixels, int, str]]:
    """So many pictures of each class, made with given photos, illustrations and folders of fonts."""
    tasks = [(name, seed) for seed in range(count) for name in CLASSES]
    with ProcessPoolExecutor(workers, initializer=_prepare, initargs=(photos, figures, fonts)) as pool:
        for (name, _), picture in zip(tasks, pool.map(_synthetic, tasks, chunksize=12), strict=True):
            yield picture, CLASSES.index(name), SYNTHETIC
