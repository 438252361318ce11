"""Which engine reads text: PP-OCR over the two networks of the repository, or EasyOCR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from moderation.errors import ConfigError
from moderation.ocr.easy import EasyOcr, EasyOcrConfig
from moderation.ocr.read import Detect, Line, LoadCharacters, OcrConfig, Pixels, Recognise, read

PP_OCR: Final = "pp-ocr"
EASYOCR: Final = "easyocr"
ENGINES: Final = (PP_OCR, EASYOCR)


class Engine(Protocol):
    """Reads text."""

    async def read(
        self,
        pixels: Pixels,
        detect: Detect,
        recognise: Recognise,
        characters: LoadCharacters,
        /,
        *,
        check_first: bool = False,
    ) -> list[Line]:
        """Lines of text of a picture [H, W, 3] in reading order; see `read.read`."""


@dataclass(frozen=True)
class PpOcr:
    """PP-OCR: the networks are models of their own, called for each request.

    Attributes:
        config: settings.
    """

    config: OcrConfig

    async def read(
        self,
        pixels: Pixels,
        detect: Detect,
        recognise: Recognise,
        characters: LoadCharacters,
        *,
        check_first: bool = False,
    ) -> list[Line]:
        """See `read`."""
        return await read(pixels, detect, recognise, self.config, characters(), check_first=check_first)


def build(parameters: Mapping[str, str], characters: LoadCharacters) -> Engine:
    """The engine of a model configuration.

    Args:
        parameters: of ocr-engine; `engine` chooses.
        characters: called for PP-OCR, so that characters that are missing show now and not at the first request.

    Raises:
        ConfigError: no such engine, or one of its parameters is wrong.
    """
    name = parameters.get("engine", PP_OCR)
    if name == EASYOCR:
        return EasyOcr(EasyOcrConfig.from_parameters(parameters))
    if name != PP_OCR:
        raise ConfigError(f"ocr-engine: parameter engine is `{name}`; allowed: {', '.join(ENGINES)}")
    characters()
    return PpOcr(OcrConfig.from_parameters(parameters))
