"""Reading text is at least as good as RapidOCR's own pipeline with the same networks."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rapidocr import RapidOCR

from moderation.images.decode import decode as decode_image
from moderation.images.limits import Limits
from quality.reading import Reader

Pixels = np.ndarray[Any, Any]
EASYOCR_WEIGHTS = "MODERATION_EASYOCR_WEIGHTS"


class Ours:
    """The reading path of the server."""

    def __init__(self) -> None:
        self._reader = Reader()

    def __call__(self, data: bytes) -> list[str]:
        (pixels,) = decode_image(data, Limits()).frames
        return self._reader.lines(pixels)


class Theirs:
    """RapidOCR as it comes."""

    def __init__(self) -> None:
        self._engine = RapidOCR(params={"Global.log_level": "error"})

    def __call__(self, data: bytes) -> list[str]:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return list(self._engine(image).txts or ())


def plain(text: str) -> str:
    """What is compared: some labels are upper-case, some have no spaces."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def distance(a: str, b: str) -> int:
    """Edit distance (Levenshtein), a row at a time."""
    if not a or not b:
        return len(a) + len(b)
    codes = np.array([ord(c) for c in b])
    row = np.arange(len(b) + 1)
    for i, character in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        new = np.concatenate([[i], best])
        # insertions run along the row: the smallest of (new[k] - k) so far, plus k
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row[-1])


def errors(truth: Sequence[str], found: Sequence[str]) -> tuple[int, int]:
    """Wrong characters and all characters. Reading order differs between labels and readers, so each true line is
    compared with its best match among the lines that were found, or with a piece of one."""
    pool = [plain(line) for line in found]
    wrong = total = 0
    for line in truth:
        want = plain(line)
        total += len(want)
        wrong += min([len(want), *(_piece(want, got) for got in pool)])
    return wrong, total


def _piece(want: str, got: str) -> int:
    """Distance of a line to the best piece of another (semi-global): a reader may have joined two lines."""
    if not want or not got:
        return len(want)
    codes = np.array([ord(c) for c in got])
    row = np.zeros(len(got) + 1, int)
    for i, character in enumerate(want, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        new = np.concatenate([[i], best])
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row.min())


def test_distance_is_the_edit_distance() -> None:
    """Promise: the yardstick itself is right."""
    assert distance("kitten", "sitting") == 3
    assert distance("", "abc") == 3
    assert _piece("cat", "concatenate") == 0
    assert _piece("cut", "concatenate") == 1


@dataclass
class Rates:
    """What a reader got wrong.

    Attributes:
        lines: wrong characters and all characters of the labelled lines.
        single: likewise for completely labelled pictures of one line, where additions count as well.
        cpu_s: for all pictures.
    """

    lines: Any = field(default_factory=lambda: np.zeros(2, int))
    single: Any = field(default_factory=lambda: np.zeros(2, int))
    cpu_s: float = 0.0

    def __str__(self) -> str:
        single = self.single[0] / max(1, self.single[1])
        return f"{self.rate:.4f} of {self.lines[1]} characters, single lines {single:.4f}, CPU {self.cpu_s:.1f} s"

    @property
    def rate(self) -> float:
        return float(self.lines[0] / self.lines[1])


def compare(folder: Path, readers: dict[str, Callable[[bytes], list[str]]]) -> dict[str, Rates]:
    """Every reader over the labelled pictures, in turn."""
    found = {name: Rates() for name in readers}
    for row in map(json.loads, (folder / "labels.jsonl").read_text().splitlines()):
        data = (folder / row["file"]).read_bytes()
        for name, reader in readers.items():
            rates, started = found[name], time.process_time()
            lines = reader(data)
            rates.cpu_s += time.process_time() - started
            rates.lines += errors(row["lines"], lines)
            if row["complete"] and len(row["lines"]) == 1:  # one line: order cannot matter, additions count as well
                want = plain(row["lines"][0])
                rates.single += (distance(want, plain("".join(lines))), len(want))
    return found


@pytest.mark.timeout(1200)
def test_character_errors_are_no_more_than_rapidocrs(shared_data: Path, record_property: Any) -> None:
    """Promise: over the labelled pictures, the character error rate is no worse than RapidOCR's own pipeline."""
    found = compare(shared_data / "ocr", {"ours": Ours(), "rapidocr": Theirs()})
    text = "; ".join(f"{name}: {rates}" for name, rates in found.items())
    record_property("cer", text)
    print(text)
    ours, theirs = found["ours"], found["rapidocr"]
    assert ours.rate <= theirs.rate, text
    assert ours.single[0] * theirs.single[1] <= theirs.single[0] * ours.single[1], text


@pytest.mark.timeout(3600)
def test_easyocr_with_its_own_weights(shared_data: Path, record_property: Any) -> None:
    """Promise: the engine `easyocr` reads what EasyOCR reads: most characters; both error rates are printed."""
    weights = os.environ.get(EASYOCR_WEIGHTS)
    if not weights:
        pytest.skip(f"set {EASYOCR_WEIGHTS} to a folder with EasyOCR's craft_mlt_25k.pth and english_g2.pth")
    pytest.importorskip("easyocr", reason="EasyOCR needs PyTorch: make test-torch")
    from moderation.ocr.easy import EasyOcr, EasyOcrConfig

    engine = EasyOcr(EasyOcrConfig(Path(weights), device="cpu"))

    def easy(data: bytes) -> list[str]:
        (pixels,) = decode_image(data, Limits()).frames
        return [line.text for line in asyncio.run(engine.read(pixels, _never, _never, list))]

    found = compare(shared_data / "ocr", {"ours": Ours(), "easyocr": easy})
    text = "; ".join(f"{name}: {rates}" for name, rates in found.items())
    record_property("cer", text)
    print(text)
    assert found["easyocr"].rate < 0.5, text


async def _never(_: Pixels) -> Any:
    raise AssertionError("EasyOCR has networks of its own")
