"""Where in a picture there may be text: a look at a small version of it, before the reading."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from moderation.ocr.resize import Pixels


class Area(NamedTuple):
    """Part of a picture, in whole pixels; `right` and `bottom` are behind the last."""

    left: int
    top: int
    right: int
    bottom: int

    def cut(self, pixels: Pixels) -> Pixels:
        """The pixels inside."""
        return pixels[self.top : self.bottom, self.left : self.right]


def whole(pixels: Pixels) -> Area:
    """All of a picture."""
    return Area(0, 0, pixels.shape[1], pixels.shape[0])


def find_area(
    probability: npt.NDArray[np.uint8],
    width: int,
    height: int,
    *,
    threshold: float,
    faint: float,
    margin: float,
    most: float,
) -> Area | None:
    """The smallest area with everything that looks like text, and some room around it.

    Args:
        probability: [h, w] of the small picture, 255 = certainly text.
        width: of the picture that the area is of, in pixels.
        height: likewise.
        threshold: 0-1; without a pixel this probable there is nothing to read.
        faint: 0-1; pixels from this on lie in the area.
        margin: room on each side, as a share of the picture's shorter side; letters reach beyond what is marked.
        most: 0-1; an area with a greater share of the picture is not worth cutting out: all of it then.

    Returns:
        None when there is nothing to read.
    """
    if not probability.size or probability.max() < threshold * 255:
        return None
    marked = probability >= min(faint, threshold) * 255
    room = margin * min(width, height)
    left, right = _ends(marked.any(axis=0), width, room)
    top, bottom = _ends(marked.any(axis=1), height, room)
    if (right - left) * (bottom - top) > most * width * height:
        return Area(0, 0, width, height)
    return Area(left, top, right, bottom)


def _ends(marked: npt.NDArray[np.bool_], size: int, room: float) -> tuple[int, int]:
    """First and last marked place, in pixels of a side of `size`, and room around."""
    places = np.flatnonzero(marked)
    scale = size / len(marked)
    first, last = places[0] * scale - room, (places[-1] + 1) * scale + room
    return max(0, int(np.floor(first))), min(size, int(np.ceil(last)))
