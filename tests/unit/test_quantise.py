"""INT8: ranges as data, put into the graph at build time; what may be quantised and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import contract
from moderation.errors import ModelBuildError
from moderation.models import manifest, store
from moderation.models.build import build_all
from moderation.models.labels import Label
from moderation.models.manifest import PackageSource
from moderation.quantise import pictures, ranges
from moderation.quantise.apply import apply, greatest
from moderation.quantise.judge import Delta, judge
from moderation.quantise.ranges import Activation, Bias, Ranges, Weights, fingerprint
from moderation.quantise.relax import passes, relax
from networks import darkness

RANGES = sorted(Path(__file__).resolve().parents[2].glob("model_repository/*/*/int8.json"))


def network(tmp_path: Path) -> Any:
    """One convolution and a sigmoid, layers named as a build names them."""
    return named(ov.convert_model(darkness(tmp_path / "network.onnx")))


def named(model: Any) -> Any:
    """Layers named as a build names them."""
    for index, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{index}")
    return model


def names(model: Any, kind: str) -> list[str]:
    return [n.get_friendly_name() for n in model.get_ordered_ops() if n.get_type_name() == kind]


def measured(model: Any, high: float = 1.0) -> Ranges:
    """Ranges as calibration would find them for pixels from 0 to 1."""
    (layer,), (pixels,), (add,) = names(model, "Convolution"), names(model, "Parameter"), names(model, "Add")
    return Ranges(
        graph=fingerprint(model),
        made_with="this test",
        activations=[Activation(source=f"{pixels}:0", into=[f"{layer}:0"], low=[0.0], high=[high])],
        weights=[Weights(into=f"{layer}:1", axis=0)],
        biases=[Bias(into=f"{add}:1", values=[12.0])],
    )


def run(model: Any, pixels: Any) -> Any:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(ov.Core().compile_model(model, "CPU", settings)(pixels)[0])


def test_int8_answers_almost_as_fp32(tmp_path: Path) -> None:
    """Promise: with fitting ranges an answer moves by no more than the levels allow; with wrong ones it does, so that
    the ranges are really used."""
    pixels = np.random.default_rng(1).random((1, 3, 32, 32), np.float32)
    full, fitting, narrow = network(tmp_path), network(tmp_path), network(tmp_path)
    apply(fitting, measured(fitting))
    apply(narrow, measured(narrow, high=0.1))
    want = run(full, pixels)
    assert 0 < np.abs(run(fitting, pixels) - want).max() < 0.05
    assert np.abs(run(narrow, pixels) - want).max() > 0.5


def test_ranges_of_another_graph_are_refused(tmp_path: Path) -> None:
    """Promise: another source or surgery is never quantised with ranges that were measured elsewhere."""
    model = network(tmp_path)
    foreign = measured(model).model_copy(update={"graph": "0" * 16})
    with pytest.raises(ModelBuildError, match="of graph 0000000000000000, this network is "):
        apply(model, foreign)


def test_a_graph_is_known_by_its_layers_and_not_by_its_weights(tmp_path: Path) -> None:
    """Promise: the fingerprint changes with what reads what."""
    model, same = network(tmp_path), network(tmp_path)
    assert fingerprint(model) == fingerprint(same)
    apply(same, measured(same))
    assert fingerprint(model) != fingerprint(same)


def test_ranges_survive_their_file(tmp_path: Path) -> None:
    """Promise: what is written is read back exactly; what is no such file is refused with its name."""
    made = measured(network(tmp_path))
    path = tmp_path / ranges.FILE
    ranges.save(made, path)
    assert ranges.load(path) == made
    path.write_text('{"graph": "x"}')
    with pytest.raises(ModelBuildError, match=r"int8\.json holds no ranges"):
        ranges.load(path)
    with pytest.raises(ModelBuildError, match="cannot be read"):
        ranges.load(tmp_path / "none.json")


@pytest.mark.parametrize("path", RANGES, ids=lambda p: p.parent.parent.name)
def test_ranges_in_the_repository_are_used(path: Path) -> None:
    """Promise: no ranges lie about that no manifest names, and each range has a width."""
    found, named = ranges.load(path), manifest.load(path.with_name(manifest.FILE)).int8
    assert named == path.name
    assert all(low < high for a in found.activations for low, high in zip(a.low, a.high, strict=True))


def test_a_build_follows_its_ranges(repository_copy: Path) -> None:
    """Promise: with ranges a network is smaller and another folder of the store; changed ranges are built again."""
    home = repository_copy / contract.TEXT_DETECTOR / "1"
    path = home / manifest.FILE
    assert manifest.load(path).int8, "the text-detector is the example here"
    build_all(repository_copy, [contract.TEXT_DETECTOR], lambda *_: None)
    small = _entry(repository_copy)
    assert small.state() == "built"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("int8:")))
    assert _entry(repository_copy).state() == "missing"
    build_all(repository_copy, [contract.TEXT_DETECTOR], lambda *_: None)
    assert _entry(repository_copy).size() > 2.5 * small.size()
    path.write_text(path.read_text() + "int8: int8.json\n")
    assert _entry(repository_copy).folder == small.folder
    (home / "int8.json").write_text((home / "int8.json").read_text() + "\n")
    assert _entry(repository_copy).state() == "missing"
    (home / "int8.json").unlink()
    with pytest.raises(ModelBuildError, match=r"int8\.json cannot be read"):
        store.entries(repository_copy)


def _entry(repository: Path) -> store.Entry:
    (entry,) = [e for e in store.entries(repository) if e.model == contract.TEXT_DETECTOR]
    return entry


def test_ranges_and_a_reason_against_them_exclude_each_other(repository_copy: Path) -> None:
    """Promise: a manifest says one thing."""
    path = repository_copy / contract.CLASSIFIER / "1" / manifest.FILE
    path.write_text(path.read_text() + "int8: int8.json\nfull_precision: because\n")
    with pytest.raises(ModelBuildError, match="int8 and full_precision are both given"):
        manifest.load(path)


@given(st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4))
def test_weights_reach_to_the_greatest_of_them(values: list[float]) -> None:
    """Promise: no weight is cut off, in any slice; a slice of zeros has a range as well."""
    constants = np.array(values, np.float32).reshape(2, 2)
    for axis in (None, 0, 1):
        high = greatest(constants, axis)
        assert high.shape == ((1, 1) if axis is None else (2, 1) if axis == 0 else (1, 2))
        assert (np.abs(constants) <= high).all()
        assert (high > 0).all()


def test_pictures_are_chosen_evenly_and_the_same_each_time(tmp_path: Path) -> None:
    """Promise: calibration is repeatable, and no folder's beginning stands for all of it."""
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for index in range(10):
            (tmp_path / kind / f"{index}.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.stem for p in pictures.choose(tmp_path, 4)] == ["0", "5", "0", "5"]
    assert len(pictures.choose(tmp_path, 99)) == 20
    with pytest.raises(ModelBuildError, match="no picture in"):
        pictures.choose(tmp_path / "a" / "0.png", 4)


def _manifest(*raw: str) -> manifest.Manifest:
    source = PackageSource(kind="package", package="x", version="1", file="y", sha256="0" * 64)
    labels = [Label(raw=name, name=f"custom/{name}") for name in raw]
    return manifest.Manifest(description="x", version="1", licence="x", source=source, labels=labels)


def test_a_classifier_that_changes_its_mind_fails_the_judgement() -> None:
    """Promise: the gate measures what it says: the same answers pass, another best class or moved scores do not."""
    calm, other = np.array([[0.9, 0.1]], np.float32), np.array([[0.4, 0.6]], np.float32)
    sample = [np.zeros((1, 2, 2, 3), np.uint8)]

    def verdict(small: Any) -> list[bool]:
        found = judge(
            contract.CLASSIFIER,
            _manifest("a", "b"),
            lambda _: {"PROBABILITIES": calm},
            lambda _: {"PROBABILITIES": small},
            sample,
            [],
        )
        return [delta.passes for delta in found]

    assert verdict(calm) == [True, True]
    assert verdict(other) == [False, False]
    assert verdict(calm - [[0.1, -0.1]]) == [True, False]
    with pytest.raises(ModelBuildError, match="no pictures are left"):
        judge(contract.CLASSIFIER, _manifest("a", "b"), lambda _: {}, lambda _: {}, [], [])


def test_a_lost_label_and_lost_text_fail_the_judgement() -> None:
    """Promise: what only one side finds counts, for boxes, regions and characters; nothing to compare is an error."""
    box = np.zeros((1, 300, 6), np.float32)
    box[0, 0] = (10, 10, 90, 90, 0.8, 0)
    sample = [np.zeros((1, 2, 2, 3), np.uint8)]
    both = judge(
        contract.SAFETY,
        _manifest("a"),
        lambda _: {"CANDIDATES": box},
        lambda _: {"CANDIDATES": np.zeros_like(box)},
        sample,
        [],
    )
    assert [delta.passes for delta in both] == [False, False]
    text = np.zeros((1, 32, 32), np.uint8)
    text[0, :10] = 255
    maps = judge(
        contract.TEXT_DETECTOR,
        _manifest(),
        lambda _: {"PROBABILITY": text},
        lambda _: {"PROBABILITY": np.zeros_like(text)},
        sample,
        [],
    )
    assert [delta.passes for delta in maps] == [False, False]
    steps = {"INDICES": np.array([[1, 0, 2]], np.int32), "SCORES": np.ones((1, 3), np.float32)}
    wrong = {**steps, "INDICES": np.array([[1, 0, 1]], np.int32)}
    lines = judge(contract.TEXT_RECOGNIZER, _manifest(), lambda _: steps, lambda _: wrong, sample, ["", "a", "b"])
    assert [(delta.value, delta.passes) for delta in lines] == [(0.5, False)]
    empty = {"PROBABILITY": np.zeros_like(text)}
    with pytest.raises(ModelBuildError, match="finds no text"):
        judge(contract.TEXT_DETECTOR, _manifest(), lambda _: empty, lambda _: empty, sample, [])


def test_the_activations_that_harm_most_stay_in_fp32() -> None:
    """Promise: the worst are left out, no more of them than needed, and never more than a quarter."""
    harm = {f"layer_{i}:0": 0.05 if i == 7 else 0.01 for i in range(16)}
    rows = [Activation(source=name, into=["x:0"], low=[0.0], high=[1.0]) for name in harm]
    every = Ranges(graph="x", made_with="test", activations=rows, weights=[])

    def distances(made: Ranges, limit: float) -> list[Delta]:
        return [Delta("sum", sum(harm[a.source] for a in made.activations), limit)]

    def left_out(limit: float) -> tuple[int, bool, bool]:
        made, found = relax(every, lambda r: distances(r, limit), lambda r: distances(r, limit))
        return 16 - len(made.activations), rows[7] in made.activations, passes(found)

    assert left_out(0.21) == (0, True, True)
    assert left_out(0.15) == (2, False, True)
    assert left_out(0.125) == (4, False, True)
    assert left_out(0.05) == (4, False, False)
