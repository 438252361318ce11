"""The content type is right on pictures of sources that the network never saw, and sparing a stage loses no text."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation import contract
from moderation.errors import InputError
from moderation.images.pipeline import PreprocessConfig, Preprocessed, preprocess
from moderation.launcher.run import REPOSITORY
from moderation.models import manifest, store
from moderation.ocr.read import OcrConfig, text_area
from moderation.ocr.resize import pad_strip
from moderation.pipeline.content import content_type
from moderation.pipeline.release import Release
from moderation.serving.network import OpenVinoNetwork

MIN_MACRO_RECALL = 0.86
"""Mean over the classes on `content_types/validation`; the model card has the figure of each class."""
MAX_LOST_CHARACTERS = 0.002
"""Share of all labelled characters that may stand in pictures which a cheap look takes for empty."""


class Classifier:
    """The content type as it is served: the network at its served precision, and the codes."""

    def __init__(self) -> None:
        version = Release.load(REPOSITORY / contract.ENTRY / "1").versions[contract.CLASSIFIER]
        folder = store.artefacts(REPOSITORY)[contract.CLASSIFIER, str(version)]
        path = REPOSITORY / contract.CLASSIFIER / str(version) / manifest.FILE
        self._network = OpenVinoNetwork(folder, 1, "f32")
        self._classes = manifest.load(path).mapping()

    def __call__(self, seen: Preprocessed) -> tuple[str, float]:
        found = self._network.infer({"PIXELS": seen.classifier})["PROBABILITIES"].mean(axis=0)
        scores = self._classes.scores(found, contract.CLASSIFIER)
        return content_type(scores, seen.info["codes"], seen.info["width"], seen.info["height"])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def look(path: Path) -> Preprocessed:
    return preprocess(path.read_bytes(), PreprocessConfig())


def test_macro_recall_on_other_sources(shared_data: Path, classifier: Classifier, record_property: Any) -> None:
    """Promise: what the model card says of pictures from other sources holds for what is served."""
    right: dict[str, list[bool]] = defaultdict(list)
    for path in sorted((shared_data / "content_types" / "validation").glob("*/*")):
        right[path.parent.name].append(classifier(look(path))[0] == path.parent.name)
    recalls = {name: float(np.mean(hits)) for name, hits in right.items()}
    macro = float(np.mean(list(recalls.values())))
    text = f"macro {macro:.3f}; " + ", ".join(f"{name} {recall:.3f}" for name, recall in recalls.items())
    record_property("recall", text)
    print(text)
    assert macro >= MIN_MACRO_RECALL, text


def test_a_cheap_look_loses_no_text(shared_data: Path, classifier: Classifier, record_property: Any) -> None:
    """Promise: of all labelled text, hardly any stands in pictures that are not read; most photos are not read."""
    gates = Release.load(REPOSITORY / contract.ENTRY / "1").gates
    detector = OpenVinoNetwork(store.artefacts(REPOSITORY)[contract.TEXT_DETECTOR, "1"], 1)

    async def detect(pixels: Any) -> Any:
        return detector.infer({"PIXELS": pixels})["PROBABILITY"]

    def spared(path: Path) -> bool:
        seen = look(path)
        name, score = classifier(seen)
        if gates.act(contract.OCR, {"name": name, "score": score}) != "check":
            return False
        return all(asyncio.run(text_area(pad_strip(frame)[0], detect, OcrConfig())) is None for frame in seen.text)

    lost = total = 0
    for line in (shared_data / "ocr" / "labels.jsonl").read_text().splitlines():
        row = json.loads(line)
        characters = sum(map(len, row["lines"]))
        total += characters
        lost += characters if spared(shared_data / "ocr" / row["file"]) else 0
    photos = sorted((shared_data / "people_photos" / "people").iterdir())
    unread = float(np.mean([spared(path) for path in photos]))
    text = f"{lost} of {total} characters lost; {unread:.2f} of {len(photos)} photos are not read"
    record_property("routing", text)
    print(text)
    assert lost <= MAX_LOST_CHARACTERS * total, text
    assert unread >= 0.3, text


def test_odd_files_have_a_content_type_or_are_refused(shared_data: Path, classifier: Classifier) -> None:
    """Promise: whatever decodes gets a kind and a probability."""
    decided = 0
    for path in sorted((shared_data / "odd_files").rglob("*")):
        if path.is_file() and path.suffix != ".csv":
            try:
                seen = look(path)
            except InputError:
                continue
            name, score = classifier(seen)
            assert name
            assert 0 <= score <= 1
            decided += 1
    assert decided > 50
