"""Best class of each time step to text: greedy CTC decoding (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from moderation.errors import ConfigError, StageError
from moderation.models import record

BLANK = 0
NEWEST: Final = -1
"""As Triton names the newest version."""


def load_characters(path: Path) -> list[str]:
    """Characters by class, one a line; the first line is the blank and empty.

    Raises:
        ConfigError: the file is not there, or has changed since it was built.
    """
    record.check(path.parent, [path.name])
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError:
        raise ConfigError(f"{path} cannot be read; build it with `moderation models build text-recognizer`") from None


class Characters:
    """What the classes of each version of a text-recognizer mean.

    Args:
        model: its folder in the served repository.
    """

    def __init__(self, model: Path) -> None:
        self._model = model
        self._known: dict[int, list[str]] = {}

    def of(self, version: int) -> list[str]:
        """Characters by class; `NEWEST` is looked up at its first use and stays.

        Raises:
            ConfigError: there is no such version.
        """
        if version not in self._known:
            newest = max((int(p.name) for p in self._model.glob("*") if p.name.isdigit()), default=1)
            folder = self._model / str(newest if version == NEWEST else version)
            self._known[version] = load_characters(folder / "characters.txt")
        return self._known[version]


def decode(
    indices: npt.NDArray[np.int32], scores: npt.NDArray[np.float32], characters: Sequence[str]
) -> tuple[str, float]:
    """Text and mean probability of its characters, 0-1 (0 without any).

    Args:
        indices: [steps], best class.
        scores: [steps], its probability.
        characters: by class.

    Raises:
        StageError: a class without a character, or a score that is no number.
    """
    kept = indices != BLANK
    kept[1:] &= indices[1:] != indices[:-1]
    chosen, confidences = indices[kept], scores[kept]
    if not np.isfinite(confidences).all() or (chosen.size and not 0 <= chosen.min() <= chosen.max() < len(characters)):
        raise StageError("text-recognizer gave classes without a character or scores that are no numbers")
    return "".join(characters[i] for i in chosen), float(confidences.mean()) if chosen.size else 0.0
