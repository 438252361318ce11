"""EasyOCR as the engine of ocr-engine: its own detector and recogniser in PyTorch, the same answers.

Weights are never downloaded while serving: they lie in a folder that an image brings along (docker/Dockerfile.easyocr).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from moderation.errors import ConfigError, InputError
from moderation.ocr.boxes import clockwise, reading_order
from moderation.ocr.read import Detect, Line, LoadCharacters, Pixels, Recognise

DEVICES: Final = ("auto", "cpu", "cuda")
STANDARD: Final = "standard"
_WHOLE: Final = {"threads": (1, 256), "batch": (1, 256), "max_side": (64, 8192), "check_side": (64, 8192)}


@dataclass(frozen=True)
class EasyOcrConfig:
    """Settings; defaults are EasyOCR's (easyocr.py `readtext`) unless a reason is given.

    Attributes:
        weights: folder with EasyOCR's files, such as craft_mlt_25k.pth and english_g2.pth.
        languages: EasyOCR's codes; one recogniser serves them all.
        network: `standard`, or a recogniser of your own: `<network>.pth`, `.py` and `.yaml` in the weights' folder.
        device: `cuda`, `cpu`, or `auto` for the first where there is one.
        threads: of PyTorch on the CPU; instances are what runs in parallel.
        batch: strips in one call of the recogniser, on a GPU.
        max_side: the detector looks at a picture reduced to this longer side.
        text_score: 0-1; lines below it are dropped, as with the other engine.
        check_side: longer side of the small picture that `check_first` looks at.
    """

    weights: Path
    languages: tuple[str, ...] = ("en",)
    network: str = STANDARD
    device: str = "auto"
    threads: int = 1
    batch: int = 16
    max_side: int = 2560
    text_score: float = 0.5
    check_side: int = 512

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> EasyOcrConfig:
        """From a model configuration's parameters; `languages` is a list with commas.

        Raises:
            ConfigError: names the parameter, its value and what is allowed; all of them.
        """
        known: dict[str, Any] = {"weights": Path(parameters.get("weights", ""))}
        faults = []
        if not parameters.get("weights") or not known["weights"].is_dir():
            faults.append(
                f"weights is `{parameters.get('weights', '')}`; the folder with EasyOCR's weights is expected"
            )
        if "languages" in parameters:
            known["languages"] = tuple(part.strip() for part in parameters["languages"].split(",") if part.strip())
            if not known["languages"]:
                faults.append("languages is empty; codes such as `en,de` are expected")
        if "network" in parameters:
            known["network"] = parameters["network"]
        if "device" in parameters:
            known["device"] = parameters["device"]
            if known["device"] not in DEVICES:
                faults.append(f"device is `{known['device']}`; allowed: {', '.join(DEVICES)}")
        for name, low, high in (
            ("threads", 1, 256),
            ("batch", 1, 256),
            ("max_side", 64, 8192),
            ("check_side", 64, 8192),
        ):
            text = parameters.get(name, "")
            if text and not (text.isdigit() and low <= int(text) <= high):
                faults.append(f"{name} is `{text}`; {low} to {high} is expected")
            elif text:
                known[name] = int(text)
        if score := parameters.get("text_score"):
            try:
                known["text_score"] = float(score)
            except ValueError:
                known["text_score"] = -1.0
            if not 0 <= known["text_score"] <= 1:
                faults.append(f"text_score is `{score}`; 0 to 1 is expected")
        if faults:
            raise ConfigError("ocr-engine with EasyOCR: parameter " + "; ".join(faults))
        return cls(**known)


class EasyOcr:
    """EasyOCR's Reader behind the interface of `Engine`.

    Args:
        config: settings.

    Raises:
        ConfigError: EasyOCR is not installed, a language is unknown, weights are missing or not those of this release,
            or there is no GPU where one is asked for.
    """

    def __init__(self, config: EasyOcrConfig) -> None:
        try:
            import easyocr
            import torch
        except ImportError as error:
            raise ConfigError(
                f"module {error.name} is not installed; `engine: easyocr` needs pip install content-moderation[easyocr]"
            ) from None
        self._config = config
        cuda = torch.cuda.is_available()
        if config.device == "cuda" and not cuda:
            raise ConfigError("ocr-engine with EasyOCR: parameter device is `cuda` and there is no GPU; use `auto`")
        torch.set_num_threads(config.threads)
        try:
            self._reader = easyocr.Reader(
                list(config.languages),
                gpu="cuda" if cuda and config.device != "cpu" else False,
                model_storage_directory=str(config.weights),
                user_network_directory=str(config.weights),
                recog_network=config.network,
                download_enabled=False,
                verbose=False,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            said = " ".join(map(str, error.args)) or type(error).__name__
            raise ConfigError(
                f"EasyOCR {easyocr.__version__} does not start with languages {', '.join(config.languages)} and the "
                f"weights in {config.weights}: {said}"
            ) from None

    async def read(
        self,
        pixels: Pixels,
        _detect: Detect,
        _recognise: Recognise,
        _characters: LoadCharacters,
        *,
        check_first: bool = False,
    ) -> list[Line]:
        """Lines of text of a picture in reading order; the repository's own text networks are not asked.

        Args:
            pixels: [H, W, 3] RGB.
            check_first: look at a small picture first and read only when it seems to have text.

        Raises:
            InputError: not such pixels.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
            raise InputError(f"PIXELS is {list(pixels.shape)}; [height, width, 3] is expected", reason="bad_pixels")
        return await asyncio.get_running_loop().run_in_executor(None, self._read, pixels, check_first)

    def _read(self, pixels: Pixels, check_first: bool) -> list[Line]:
        if (
            check_first
            and max(pixels.shape[:2]) > self._config.check_side
            and not self._boxes(pixels, self._config.check_side)
        ):
            return []
        horizontal, free = self._boxes(pixels, self._config.max_side) or ([], [])
        if not horizontal and not free:
            return []
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        found = self._reader.recognize(grey, horizontal, free, batch_size=self._config.batch, reformat=False)
        limit = [pixels.shape[1] - 1, pixels.shape[0] - 1]
        lines = [
            Line(text, float(score), clockwise(np.clip(np.asarray(corners, np.float32), 0, limit)))
            for corners, text, score in found
            if text.strip() and score >= self._config.text_score
        ]
        order = reading_order(np.array([line.quad for line in lines], np.float32).reshape(-1, 4, 2))
        return [lines[index] for index in order]

    def _boxes(self, pixels: Pixels, side: int) -> tuple[list[Any], list[Any]] | None:
        """Upright and slanted boxes; None without any."""
        horizontal, free = self._reader.detect(pixels, canvas_size=side, reformat=False)
        return (horizontal[0], free[0]) if horizontal[0] or free[0] else None
