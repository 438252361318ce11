"""Reading with the networks in this process, at the precision that is served."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from moderation import contract
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.ocr.ctc import load_characters
from moderation.ocr.read import OcrConfig, read, text_area
from moderation.ocr.resize import pad_strip
from moderation.serving.network import OpenVinoNetwork

Pixels = np.ndarray[Any, Any]


class Reader:
    """What `ocr-engine` reads, without a server."""

    def __init__(self) -> None:
        folders = store.artefacts(REPOSITORY)
        self._detector = OpenVinoNetwork(folders[contract.TEXT_DETECTOR, "1"], 2)
        self._recognizer = OpenVinoNetwork(folders[contract.TEXT_RECOGNIZER, "1"], 2)
        self._characters = load_characters(folders[contract.TEXT_RECOGNIZER, "1"] / "characters.txt")
        self._config = OcrConfig()

    async def _detect(self, pixels: Pixels) -> Pixels:
        return self._detector.infer({"PIXELS": pixels})["PROBABILITY"]

    async def _recognise(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        found = self._recognizer.infer({"PIXELS": pixels})
        return found["INDICES"], found["SCORES"]

    def looks_empty(self, frame: Pixels) -> bool:
        """Whether a cheap look finds nothing to read."""
        return asyncio.run(text_area(pad_strip(frame)[0], self._detect, self._config)) is None

    def lines(self, frame: Pixels, *, check_first: bool = False) -> list[str]:
        """Text of each line, in reading order."""
        found = asyncio.run(
            read(frame, self._detect, self._recognise, self._config, self._characters, check_first=check_first)
        )
        return [line.text for line in found]
