"""The content type is right on pictures of sources that the network never saw, and sparing a stage loses no text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation import contract
from moderation.errors import InputError
from moderation.images.pipeline import PreprocessConfig, Preprocessed, preprocess
from moderation.launcher.run import REPOSITORY
from moderation.models import manifest, store
from moderation.pipeline.content import Kind
from moderation.pipeline.release import Release
from moderation.serving.network import OpenVinoNetwork
from quality.reading import Reader

MIN_MACRO_RECALL = 0.9
"""Mean over the classes on `content_types/validation`; the model card has the figure of each class."""
MIN_PEOPLE = 0.88
"""Share of photos of clothed people that are called photos."""
MAX_LOST_CHARACTERS = 0.002
"""Share of all labelled characters that may stand in pictures which a cheap look takes for empty."""


class Classifier:
    """The content type as it is served: the network at its served precision, the codes, and whether there is text."""

    def __init__(self, reader: Reader) -> None:
        release = Release.load(REPOSITORY / contract.ENTRY / "1")
        version = release.versions[contract.CLASSIFIER]
        folder = store.artefacts(REPOSITORY)[contract.CLASSIFIER, str(version)]
        path = REPOSITORY / contract.CLASSIFIER / str(version) / manifest.FILE
        self._network = OpenVinoNetwork(folder, 1, "f32")
        self._classes = manifest.load(path).mapping()
        self._gates, self._reader = release.gates, reader

    def at_first(self, seen: Preprocessed) -> Kind:
        """Before anything is read."""
        found = self._network.infer({"PIXELS": seen.classifier})["PROBABILITIES"].mean(axis=0)
        scores = self._classes.scores(found, contract.CLASSIFIER)
        return Kind(scores).with_codes(seen.info["codes"], seen.info["width"], seen.info["height"])

    def act(self, kind: Kind) -> str:
        """How it is read."""
        return self._gates.act(contract.OCR, kind.best())

    def __call__(self, seen: Preprocessed) -> dict[str, Any]:
        kind = self.at_first(seen)
        if kind.with_text([]).best()["name"] == kind.best()["name"]:  # text cannot change the name; reading takes long
            return kind.best()
        check_first = self.act(kind) == "check"
        lines = [text for frame in seen.text for text in self._reader.lines(frame, check_first=check_first)]
        return kind.with_text([{"text": text} for text in lines]).best()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="module")
def classifier(reader: Reader) -> Classifier:
    return Classifier(reader)


def look(path: Path) -> Preprocessed:
    return preprocess(path.read_bytes(), PreprocessConfig())


def test_macro_recall_on_other_sources(shared_data: Path, classifier: Classifier, record_property: Any) -> None:
    """Promise: what the model card says of pictures from other sources holds for what is served."""
    right: dict[str, list[bool]] = defaultdict(list)
    for path in sorted((shared_data / "content_types" / "validation").glob("*/*")):
        right[path.parent.name].append(classifier(look(path))["name"] == path.parent.name)
    recalls = {name: float(np.mean(hits)) for name, hits in right.items()}
    macro = float(np.mean(list(recalls.values())))
    text = f"macro {macro:.3f}; " + ", ".join(f"{name} {recall:.3f}" for name, recall in recalls.items())
    record_property("recall", text)
    print(text)
    assert macro >= MIN_MACRO_RECALL, text


def test_photos_of_people_are_photos(shared_data: Path, classifier: Classifier, record_property: Any) -> None:
    """Promise: what has no text is no meme, whatever the network says of people."""
    kinds = Counter(classifier(look(path))["name"] for path in people(shared_data))
    text = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
    record_property("people", text)
    print(text)
    assert kinds["photo"] >= MIN_PEOPLE * kinds.total(), text


def test_a_cheap_look_loses_no_text(
    shared_data: Path, classifier: Classifier, reader: Reader, record_property: Any
) -> None:
    """Promise: of all labelled text, hardly any stands in pictures that are not read; most photos are not read."""

    def spared(path: Path) -> bool:
        seen = look(path)
        return classifier.act(classifier.at_first(seen)) == "check" and all(map(reader.looks_empty, seen.text))

    lost = total = 0
    for line in (shared_data / "ocr" / "labels.jsonl").read_text().splitlines():
        row = json.loads(line)
        characters = sum(map(len, row["lines"]))
        total += characters
        lost += characters if spared(shared_data / "ocr" / row["file"]) else 0
    photos = people(shared_data)
    unread = float(np.mean([spared(path) for path in photos]))
    text = f"{lost} of {total} characters lost; {unread:.2f} of {len(photos)} photos are not read"
    record_property("routing", text)
    print(text)
    assert lost <= MAX_LOST_CHARACTERS * total, text
    assert unread >= 0.3, text


def people(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "people_photos" / "people").iterdir())


def test_odd_files_have_a_content_type_or_are_refused(shared_data: Path, classifier: Classifier) -> None:
    """Promise: whatever decodes gets a kind and a probability."""
    decided = 0
    for path in sorted((shared_data / "odd_files").rglob("*")):
        if path.is_file() and path.suffix != ".csv":
            try:
                seen = look(path)
            except InputError:
                continue
            found = classifier(seen)
            assert found["name"]
            assert 0 <= found["score"] <= 1
            decided += 1
    assert decided > 50
