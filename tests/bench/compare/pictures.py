"""What the contenders are asked: lists of real pictures, the same for everyone.

A server may remember answers, so no lap of a mix repeats a picture of an earlier lap: from the second lap on each
picture loses a pixel more at its edges and is encoded anew. Only the mix `repeats` repeats, nine times of ten.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from moderation.images.decode import decode
from moderation.images.limits import Limits

MIXES: Final = ("photos", "texts", "mixed", "repeats")
REPEATED: Final = 10
"""One in so many requests of `repeats` is a picture that was not there before."""


@dataclass(frozen=True)
class Picture:
    """One request.

    Attributes:
        name: of the file, and of the lap where it is a variant.
        data: encoded file.
    """

    name: str
    data: bytes


@dataclass(frozen=True)
class Pictures:
    """Files of each kind, so many of each.

    Args:
        data: folder of the real images (`people_photos`, `ocr`).
        count: pictures in a lap of each mix.
    """

    data: Path
    count: int

    def missing(self) -> str | None:
        """Why there is nothing to ask, or None."""
        for folder in (self.photo_folder, self.text_folder):
            if not folder.is_dir():
                return f"no folder {folder}: the real images may not be redistributed; give --data"
        return None

    @property
    def photo_folder(self) -> Path:
        return self.data / "people_photos" / "people"

    @property
    def text_folder(self) -> Path:
        return self.data / "ocr"

    def files(self, mix: str) -> list[Path]:
        """Files of one lap. `mixed` and `repeats` take turns between photos and pictures full of text."""
        photos, texts = self._photos(), self._texts()
        if mix == "photos":
            return photos
        if mix == "texts":
            return texts
        both = list(chain.from_iterable(zip(photos, texts, strict=True)))
        # not half of each list: every second pair, so that both kinds are as varied as in their own mix
        return [path for index, path in enumerate(both) if index // 2 % 2 == 0][: self.count]

    def laps(self, mix: str, first: int, laps: int) -> list[Picture]:
        """Requests of some laps.

        Args:
            mix: one of `MIXES`.
            first: number of laps that were asked before.
            laps: how many laps.
        """
        files = self.files(mix)
        if mix != "repeats":
            return [variant(path, lap) for lap in range(first, first + laps) for path in files]
        asked = []
        for number in range(first * len(files), (first + laps) * len(files)):
            path = files[number % len(files)]
            asked.append(variant(path, 1 + number // REPEATED if number % REPEATED == 0 else 0))
        return asked

    def _photos(self) -> list[Path]:
        return _spread(sorted(self.photo_folder.iterdir()), self.count)

    def _texts(self) -> list[Path]:
        """From the labelled pictures with the most lines: the upper third, evenly."""
        rows = [json.loads(line) for line in (self.text_folder / "labels.jsonl").read_text().splitlines()]
        rows.sort(key=lambda row: (-len(row["lines"]), row["file"]))
        return _spread([self.text_folder / row["file"] for row in rows[: len(rows) // 3]], self.count)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """So many of a list, evenly over its length."""
    if len(paths) < count:
        raise ValueError(f"{count} pictures are wanted and there are {len(paths)}")
    return [paths[index * len(paths) // count] for index in range(count)]


@lru_cache(maxsize=4096)
def variant(path: Path, lap: int) -> Picture:
    """A picture as it is (lap 0), or without some rows and columns at its edges, other ones each lap."""
    data = path.read_bytes()
    if lap == 0:
        return Picture(path.name, data)
    frame = decode(data, Limits()).frames[0][lap % 16 :, lap // 16 :]
    bgr = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR)
    photo = data[:2] == b"\xff\xd8"
    _, out = cv2.imencode(".jpg" if photo else ".png", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92] if photo else [])
    return Picture(f"{path.name}#{lap}", out.tobytes())
