"""Reading text is at least as good as RapidOCR's own pipeline with the same networks."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rapidocr import RapidOCR

from moderation import contract
from moderation.images.decode import decode as decode_image
from moderation.images.limits import Limits
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.ocr.ctc import load_characters
from moderation.ocr.read import OcrConfig, read
from moderation.serving.network import OpenVinoNetwork

Pixels = np.ndarray[Any, Any]


class Ours:
    """The reading path with the networks in this process, at the precision that is served."""

    def __init__(self) -> None:
        folders = store.artefacts(REPOSITORY)
        self._detector = OpenVinoNetwork(folders[contract.TEXT_DETECTOR, "1"], 2)
        self._recognizer = OpenVinoNetwork(folders[contract.TEXT_RECOGNIZER, "1"], 2)
        self._characters = load_characters(folders[contract.TEXT_RECOGNIZER, "1"] / "characters.txt")

    async def _detect(self, pixels: Pixels) -> Pixels:
        return self._detector.infer({"PIXELS": pixels})["PROBABILITY"]

    async def _recognise(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        found = self._recognizer.infer({"PIXELS": pixels})
        return found["INDICES"], found["SCORES"]

    def __call__(self, data: bytes) -> list[str]:
        (pixels,) = decode_image(data, Limits()).frames
        lines = asyncio.run(read(pixels, self._detect, self._recognise, OcrConfig(), self._characters))
        return [line.text for line in lines]


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


@pytest.mark.timeout(1200)
def test_character_errors_are_no_more_than_rapidocrs(shared_data: Path, record_property: Any) -> None:
    """Promise: over the labelled pictures, the character error rate is no worse than RapidOCR's own pipeline."""
    rows = [json.loads(line) for line in (shared_data / "ocr" / "labels.jsonl").read_text().splitlines()]
    readers: dict[str, Callable[[bytes], list[str]]] = {"ours": Ours(), "rapidocr": Theirs()}
    counts = {name: np.zeros(2, int) for name in readers}
    full = {name: np.zeros(2, int) for name in readers}
    for row in rows:
        data = (shared_data / "ocr" / row["file"]).read_bytes()
        for name, reader in readers.items():
            found = reader(data)
            counts[name] += errors(row["lines"], found)
            if row["complete"] and len(row["lines"]) == 1:  # one line: order cannot matter, additions count as well
                want = plain(row["lines"][0])
                full[name] += (distance(want, plain("".join(found))), len(want))
    rates = {name: wrong / total for name, (wrong, total) in counts.items()}
    single = {name: (wrong / total if total else 0.0) for name, (wrong, total) in full.items()}
    text = f"{len(rows)} pictures, {counts['ours'][1]} characters; error rate {rates}; single lines {single}"
    record_property("cer", text)
    print(text)
    assert rates["ours"] <= rates["rapidocr"], text
    assert single["ours"] <= single["rapidocr"], text
