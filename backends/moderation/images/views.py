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

_VIEW: Final = re.compile(r"(\d+)x(\d+) (letterbox|stretch)")


@dataclass(frozen=True)
class View:
    """A fixed input size and how a frame is fitted into it.

    `letterbox` keeps the aspect ratio: black on the right or below, then bilinear to a square, exactly as the nudenet
    library does (`_read_image` in nudenet.py), because its scores depend on it. `stretch` averages areas.
    """

    width: int
    height: int
    letterbox: bool

    @classmethod
    def parse(cls, setting: str, text: str) -> View:
        """From `320x320 letterbox` or `224x224 stretch`.

        Raises:
            ConfigError: naming the setting and the two forms; a letterbox must be square.
        """
        found = _VIEW.fullmatch(text.strip())
        if not found or (found[3] == "letterbox" and found[1] != found[2]) or "0" in (found[1], found[2]):
            raise ConfigError(
                f"parameter {setting} is `{text}`; expected <width>x<height> stretch or <side>x<side> letterbox"
            )
        return cls(int(found[1]), int(found[2]), found[3] == "letterbox")

    def apply(self, frame: Pixels) -> Pixels:
        """A frame [h, w, 3] as [height, width, 3]."""
        height, width = frame.shape[:2]
        if not self.letterbox:
            smaller = self.width < width and self.height < height
            how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            return np.asarray(cv2.resize(frame, (self.width, self.height), interpolation=how), np.uint8)
        side = max(height, width)
        square = cv2.copyMakeBorder(frame, 0, side - height, 0, side - width, cv2.BORDER_CONSTANT)
        return np.asarray(cv2.resize(square, (self.width, self.height), interpolation=cv2.INTER_LINEAR), np.uint8)
