"""Networks in INT8 answer as they do in FP32, on pictures that their ranges were not measured on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation import contract
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.models.build import CHARACTERS_FILE, full_precision
from moderation.quantise import pictures
from moderation.quantise.judge import characters_of, judge
from moderation.quantise.relax import passes
from moderation.quantise.run import compiled
from moderation.serving.network import OpenVinoNetwork

ENTRIES = [e for e in store.entries(REPOSITORY) if e.manifest.int8]
FOLDERS = {
    contract.SAFETY: "people_photos",
    contract.SAFETY_CLASSIFIER: "people_photos",
    contract.CLASSIFIER: "content_types/validation",
}
PICTURES = {contract.TEXT_DETECTOR: 40, contract.TEXT_RECOGNIZER: 30}
MOST_STRIPS = 250


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_answers_are_those_of_fp32(
    entry: store.Entry, shared_data: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Promise: scores, text regions, characters and classes move by no more than the limits in `quantise.judge`; on
    these pictures of real text by a fraction of them (measured: 0.03 of the regions, 0.007 of the characters)."""
    folder = shared_data / FOLDERS.get(entry.model, "ocr")
    files = pictures.choose(folder, PICTURES.get(entry.model, 200))
    full = compiled(full_precision(entry, tmp_path, lambda *_: None))
    served = OpenVinoNetwork(entry.folder, 2)
    detector = OpenVinoNetwork(store.artefacts(REPOSITORY)[contract.TEXT_DETECTOR, "1"], 2)

    def detect(pixels: Any) -> Any:
        return detector.infer({"PIXELS": pixels})["PROBABILITY"][0]

    seen = pictures.samples(files, entry.model, entry.manifest, detect)
    samples = [np.asarray(sample) for sample in itertools.islice(seen, MOST_STRIPS)]
    characters = characters_of(tmp_path, CHARACTERS_FILE)
    found = judge(
        entry.model, entry.manifest, full, lambda pixels: served.infer({"PIXELS": pixels}), samples, characters
    )
    text = f"{entry.name}, {len(samples)} samples: " + "; ".join(delta.text() for delta in found)
    record_property("int8", text)
    print(text)
    assert passes(found), text
    if entry.model in PICTURES:
        assert found[0].value <= found[0].limit / 3, text
