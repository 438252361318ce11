"""What each network sees of a frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from moderation.errors import ConfigError

Pixels = npt.NDArray[np.uint8]

_VIEW: Final = re.compile(r"(\d+)x(\d+) (letterbox|stretch)(?: through (\d+))?")


@dataclass(frozen=True)
class View:
    """A fixed input size and how a frame is fitted into it.

    `letterbox` keeps the aspect ratio: black on the right or below, then bilinear to a square, exactly as the nudenet
    library does (`_read_image` in nudenet.py), because its scores depend on it. `stretch` averages areas; with
    `through` in two steps, with a square of that side between, as a training stores its pictures and then reduces them.
    """

    width: int
    height: int
    letterbox: bool
    through: int | None = None

    @classmethod
    def parse(cls, setting: str, text: str) -> View:
        """From `320x320 letterbox`, `224x224 stretch` or `224x224 stretch through 256`.

        Raises:
            ConfigError: naming the setting and the two forms; a letterbox must be square.
        """
        found = _VIEW.fullmatch(text.strip())
        letterbox = found is not None and found[3] == "letterbox"
        if not found or (letterbox and (found[1] != found[2] or found[4])) or "0" in found.groups():
            raise ConfigError(
                f"parameter {setting} is `{text}`; expected <width>x<height> stretch, <width>x<height> stretch through "
                "<side> or <side>x<side> letterbox"
            )
        return cls(int(found[1]), int(found[2]), letterbox, int(found[4]) if found[4] else None)

    def apply(self, frame: Pixels) -> Pixels:
        """A frame [h, w, 3] as [height, width, 3]."""
        height, width = frame.shape[:2]
        if not self.letterbox:
            if self.through:
                frame = _stretch(frame, self.through, self.through)
            return _stretch(frame, self.width, self.height)
        side = max(height, width)
        square = cv2.copyMakeBorder(frame, 0, side - height, 0, side - width, cv2.BORDER_CONSTANT)
        return np.asarray(cv2.resize(square, (self.width, self.height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _stretch(frame: Pixels, width: int, height: int) -> Pixels:
    smaller = width < frame.shape[1] and height < frame.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)
