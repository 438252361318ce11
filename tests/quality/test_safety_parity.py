"""The safety-detector says what the `nudenet` library says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nudenet import NudeDetector

from moderation import contract
from moderation.images.decode import decode as decode_image
from moderation.images.limits import Limits
from moderation.images.views import View
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.models.labels import Label
from moderation.safety.decode import decode
from moderation.serving.network import OpenVinoNetwork

BOX_PX = 2.0
SCORE = 0.02
VIEW = View(320, 320, letterbox=True)


def labels_by_theirs() -> dict[str, Label]:
    """The library's class names to ours: the manifest has them in the same order."""
    import nudenet.nudenet

    (entry,) = [e for e in store.entries(REPOSITORY) if e.name == f"{contract.SAFETY}:1"]
    assert [label.raw for label in entry.manifest.labels] == vars(nudenet.nudenet)["__labels"]
    return {label.raw: label for label in entry.manifest.labels}


def ours(network: OpenVinoNetwork, pixels: np.ndarray[Any, Any], labels: list[Label]) -> list[dict[str, Any]]:
    height, width = pixels.shape[:2]
    candidates = network.infer({"PIXELS": VIEW.apply(pixels)[np.newaxis]})["CANDIDATES"][0]
    return decode(candidates, labels, width, height)


@pytest.mark.parametrize("folder", ["people", "hard_negatives"])
def test_boxes_and_scores_equal_the_library(shared_data: Path, folder: str, record_property: Any) -> None:
    """Promise: on the same decoded pictures, the same labels, boxes within 2 pixels, scores within 0.02."""
    names = labels_by_theirs()
    network = OpenVinoNetwork(store.artefacts(REPOSITORY)[contract.SAFETY, "1"], 2, "f32")
    library = NudeDetector()
    worst_box = worst_score = 0.0
    pictures = found = 0
    for path in sorted((shared_data / "people_photos" / folder).iterdir()):
        pixels = decode_image(path.read_bytes(), Limits()).frames[0]
        theirs = library.detect(np.ascontiguousarray(pixels[..., ::-1]))
        mine = ours(network, pixels, list(names.values()))
        assert len(mine) == len(theirs), path.name
        pictures += 1
        for want in theirs:
            x, y, w, h = want["box"]
            near = [m for m in mine if m["name"] == names[want["class"]].name]
            distances = [max(abs(a - b) for a, b in zip(m["box"], (x, y, x + w, y + h), strict=True)) for m in near]
            assert distances, (path.name, want["class"])
            best = near[int(np.argmin(distances))]
            worst_box = max(worst_box, min(distances))
            worst_score = max(worst_score, abs(best["score"] - want["score"]))
            found += 1
    text = f"{folder}: {pictures} pictures, {found} boxes, worst box {worst_box:.2f} px, worst score {worst_score:.4f}"
    record_property("parity", text)
    print(text)
    assert found, "nothing was found in any picture: the comparison is empty"
    assert worst_box <= BOX_PX, text
    assert worst_score <= SCORE, text
