"""Plans: shapes from configurations, the graph in FP16, TensorRT's parser and builder, when one is built again."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from moderation import contract
from moderation.errors import LaunchError, ModelBuildError
from moderation.launcher.run import REPOSITORY, engine_of, networks_for
from moderation.models import store
from moderation.models.build import build_all, operated
from moderation.models.tensorrt import api, device, engine, parity, record
from moderation.models.tensorrt.build import PLAN_FILE, Place, here, recipe, run_graph, target
from moderation.models.tensorrt.prepare import prepare
from moderation.models.tensorrt.shapes import Profile, profile, read_config


@pytest.fixture(scope="module")
def place() -> Place:
    try:
        return here()
    except ModelBuildError as error:
        pytest.skip(error.message)


@pytest.fixture(scope="module")
def built(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[store.Entry]]:
    """Every network of the repository as a plan, in a store of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.ENVIRONMENT, str(tmp_path_factory.mktemp("plans")))
        yield build_all(REPOSITORY, [], lambda _name, _step: None, recipe=recipe(place))


def model_config(**changes: Any) -> Any:
    """A network's configuration with open sides."""
    found = model_config_pb2.ModelConfig(name="text-detector", max_batch_size=32)
    found.input.add(name="PIXELS", dims=[-1, -1, 3])
    found.dynamic_batching.preferred_batch_size.extend(changes.get("preferred", [8, 16, 32]))
    found.parameters["shapes"].string_value = changes.get("shapes", "32x32 736x992 1536x1536")
    return found


def operated_graph(model: str, scratch: Path) -> Any:
    entry = next(e for e in store.entries(REPOSITORY) if e.model == model)
    return operated(entry, scratch, lambda _name, _step: None)


# --- shapes


@given(batch=st.integers(1, 256), preferred=st.lists(st.integers(1, 256), max_size=4))
def test_the_usual_batch_lies_between_one_and_the_greatest(batch: int, preferred: list[int]) -> None:
    """Promise: whatever batches a configuration prefers, the plan holds all of them, or the setting is named."""
    config = model_config(preferred=preferred)
    config.max_batch_size = batch
    if any(size > batch for size in preferred):
        with pytest.raises(ModelBuildError, match="preferred_batch_size"):
            profile(config, (-1, -1))
        return
    found = profile(config, (-1, -1))
    for size in (1, batch, found.usual[0], *preferred):
        assert found.holds((size, *found.usual[1:]))


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ("", r"parameter shapes is ``; expected three sizes"),
        ("32x32 736x992", r"parameter shapes is `32x32 736x992`"),
        ("64x64 32x32 128x128", r"gives 64, 32, 128 for the height; expected ascending sizes"),
        ("32x64 64x32 128x128", r"gives 64, 32, 128 for the width"),
    ],
)
def test_a_wrong_range_is_named(shapes: str, says: str) -> None:
    """Promise: a range that no plan can have is refused with the parameter, its value and what is expected."""
    with pytest.raises(ModelBuildError, match=says):
        profile(model_config(shapes=shapes), (-1, -1))


def test_a_size_that_is_fixed_needs_no_range() -> None:
    """Promise: the configuration's or the manifest's size is the plan's."""
    config = model_config()
    del config.parameters["shapes"]
    found = profile(config, (224, 160))
    assert (found.smallest, found.usual, found.largest) == ((1, 224, 160, 3), (16, 224, 160, 3), (32, 224, 160, 3))


# --- the graph


def test_the_cast_moves_in_front_and_changes_nothing(tmp_path: Path) -> None:
    """Promise: TensorRT takes UINT8 only into a cast; a network that turns pixels first gives the same with it."""
    graph = operated_graph(contract.CLASSIFIER, tmp_path)
    readers = [node.op_type for node in graph.graph.node if "PIXELS" in node.input]
    assert readers != ["Cast"], "this network casts first: take another for this test"
    ready = prepare(graph, half=False)
    assert [node.op_type for node in ready.graph.node if "PIXELS" in node.input] == ["Cast"]
    pixels = parity.pictures((224, 224), 3)
    before, after = (run_graph(g.SerializeToString(), pixels) for g in (graph, ready))
    np.testing.assert_array_equal(before["PROBABILITIES"], after["PROBABILITIES"])


def test_the_network_computes_in_fp16_and_keeps_its_interface(tmp_path: Path) -> None:
    """Promise: weights are FP16, inputs and outputs have the contract's types."""
    graph = prepare(operated_graph(contract.SAFETY, tmp_path), half=True)
    kinds = onnx.TensorProto
    weights = [w for w in graph.graph.initializer if len(w.dims) == 4]
    assert weights
    assert {w.data_type for w in weights} == {kinds.FLOAT16}
    assert graph.graph.input[0].type.tensor_type.elem_type == kinds.UINT8
    assert graph.graph.output[0].type.tensor_type.elem_type == kinds.FLOAT


# --- parity


def outputs(model: str) -> dict[str, Any]:
    random = np.random.default_rng(1)
    if model == contract.SAFETY:
        rows = np.zeros((2, contract.SAFETY_CANDIDATES, 6), np.float32)
        rows[:, :5] = [10, 20, 110, 220, 0.8, 3]
        return {"CANDIDATES": rows}
    if model == contract.TEXT_DETECTOR:
        return {"PROBABILITY": random.integers(0, 256, (2, 64, 64), np.uint8)}
    if model == contract.TEXT_RECOGNIZER:
        return {
            "INDICES": random.integers(0, 99, (2, 40), np.int32),
            "SCORES": random.random((2, 40), np.float32),
        }
    return {contract.MODELS[model].outputs[0].name: random.random((2, 7), np.float32)}


@pytest.mark.parametrize("model", contract.NETWORKS)
def test_equal_answers_agree(model: str) -> None:
    """Promise: no difference is no fault."""
    parity.check(model, outputs(model), outputs(model))


@pytest.mark.parametrize(
    ("model", "spoil", "says"),
    [
        (contract.SAFETY, lambda o: o["CANDIDATES"][..., 0].__iadd__(3), "candidate of class 3 .* is missing"),
        (contract.SAFETY, lambda o: o["CANDIDATES"][..., 4].__isub__(0.1), "candidate of class 3 .* is missing"),
        (contract.SAFETY, lambda o: o["CANDIDATES"].__setitem__(np.s_[:, 9, 4:], (0.9, 7)), "class 7 .* is new"),
        (contract.CLASSIFIER, lambda o: o["PROBABILITIES"].__iadd__(0.05), "PROBABILITIES by 0.050; tolerance 0.02"),
        (contract.SAFETY_CLASSIFIER, lambda o: o["SCORES"].fill(np.nan), "values that are no numbers"),
        (contract.TEXT_DETECTOR, lambda o: o["PROBABILITY"][:, :8].fill(0), "% of PROBABILITY by more than 8 of 255"),
        (contract.TEXT_RECOGNIZER, lambda o: o["INDICES"][:, :4].__iadd__(1), "10.00% of the steps"),
        (contract.TEXT_RECOGNIZER, lambda o: o["SCORES"].__iadd__(0.1), "SCORES by 0.100"),
    ],
)
def test_a_network_that_does_not_stand_fp16_is_refused(model: str, spoil: Any, says: str) -> None:
    """Promise: differences that could change a decision fail a build, with the output, the amount and the tolerance."""
    found = outputs(model)
    spoil(found)
    with pytest.raises(ModelBuildError, match=says):
        parity.check(model, outputs(model), found)


# --- plans


def test_every_network_becomes_a_plan(built: list[store.Entry], place: Place) -> None:
    """Promise: TensorRT's own parser and builder take every network, and its FP16 answers are those of FP32."""
    assert {entry.model for entry in built} == {m for m, _ in {(e.model, 0) for e in store.entries(REPOSITORY)}}
    for entry in built:
        assert entry.state() == "built"
        assert (entry.folder / PLAN_FILE).stat().st_size > 1_000_000 or entry.model == contract.CLASSIFIER
        found = record.read(entry.folder)
        assert found is not None
        assert found.tensorrt == place.api.name
        assert found.gpu == place.gpu_name
        assert found.profile == profile(
            read_config(REPOSITORY / entry.model / "config.pbtxt"), entry.manifest.size(entry.model)
        )
        assert found.parity == ("plan" if place.gpu else "graph")
    recogniser = next(e for e in built if e.model == contract.TEXT_RECOGNIZER)
    assert (recogniser.folder / "characters.txt").is_file()


@pytest.mark.parametrize("model", sorted({e.model for e in store.entries(REPOSITORY)}))
def test_a_parsed_network_has_the_tensors_of_its_configuration(model: str, place: Place, tmp_path: Path) -> None:
    """Promise: names, types and open sides that TensorRT sees are those that Triton's configuration declares."""
    trt = place.api.module
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(prepare(operated_graph(model, tmp_path), half=True).SerializeToString())
    config = read_config(REPOSITORY / model / "config.pbtxt")
    types = {"TYPE_UINT8": trt.uint8, "TYPE_FP32": trt.float32, "TYPE_INT32": trt.int32}
    names = model_config_pb2.DataType.Name
    (pixels,) = config.input
    assert network.get_input(0).name == pixels.name
    seen = tuple(network.get_input(0).shape)
    assert seen == (-1, *pixels.dims), "batch and sides"
    found = {network.get_output(i).name: network.get_output(i) for i in range(network.num_outputs)}
    assert set(found) == {output.name for output in config.output}
    for output in config.output:
        assert found[output.name].dtype == types[names(output.data_type)]
        assert len(found[output.name].shape) == len(output.dims) + 1


def test_a_plan_is_built_once_and_again_when_its_shapes_change(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise: nothing is built twice; what no longer fits is, and the reason is said."""
    monkeypatch.setenv(store.ENVIRONMENT, str(tmp_path / "store"))
    repository = tmp_path / "models"
    shutil.copytree(REPOSITORY / contract.CLASSIFIER, repository / contract.CLASSIFIER)
    steps: list[str] = []
    said: list[str] = []

    def build() -> list[str]:
        steps.clear()
        build_all(repository, [], lambda _name, step: steps.append(step), recipe=recipe(place, say=said.append))
        return [step for step in steps if step == "precision"]

    assert build() == ["precision"]
    assert build() == []
    assert said == []
    path = repository / contract.CLASSIFIER / "config.pbtxt"
    path.write_text(path.read_text().replace("max_batch_size: 32", "max_batch_size: 64"))
    assert build() == ["precision"]
    assert said == [
        "content-classifier:1: the plan that is there does not fit: shapes was 1x224x224x3 16x224x224x3 32x224x224x3, "
        "is 1x224x224x3 16x224x224x3 64x224x224x3"
    ]


def test_a_plan_of_another_gpu_is_never_taken(built: list[store.Entry], place: Place) -> None:
    """Promise: each kind of GPU and each TensorRT has plans of its own; for another the old ones do not exist."""
    other = Place(place.api, device.Gpu("NVIDIA A10", "8.6", 24 << 30))
    assert store.artefacts(REPOSITORY, target(other)) == {}
    assert len(store.artefacts(REPOSITORY, target(place))) == len(built)
    entry = next(e for e in store.entries(REPOSITORY, target(other)) if e.model == contract.CLASSIFIER)
    shapes = profile(read_config(REPOSITORY / entry.model / "config.pbtxt"), entry.manifest.size(entry.model))
    says = record.why_not(entry, place.api.name, other.gpu_name, shapes)
    assert says == f"{entry.name}: the plan that is there does not fit: GPU was {place.gpu_name}, is NVIDIA A10"


def test_a_damaged_plan_is_built_again(built: list[store.Entry], place: Place) -> None:
    """Promise: a plan that is not byte for byte what was built is not served."""
    entry = next(e for e in built if e.model == contract.CLASSIFIER)
    plan = entry.folder / PLAN_FILE
    plan.write_bytes(plan.read_bytes()[:-1])
    assert entry.state() == "damaged"
    build_all(REPOSITORY, [contract.CLASSIFIER], lambda _name, _step: None, recipe=recipe(place))
    assert entry.state() == "built"


def test_too_little_memory_names_the_settings(place: Place, tmp_path: Path) -> None:
    """Promise: a plan that does not fit says what to change."""
    graph = prepare(operated_graph(contract.TEXT_DETECTOR, tmp_path), half=True).SerializeToString()
    shapes = Profile((1, 32, 32, 3), (8, 736, 992, 3), (32, 1536, 1536, 3))
    with pytest.raises(ModelBuildError, match=r"no plan with 64 MiB .*--memory-mib.*max_batch_size.*shapes"):
        engine.build(place.api, graph, shapes, None, 64 << 20, lambda _done: None)


def test_what_the_parser_refuses_is_named(place: Place) -> None:
    """Promise: an operator that TensorRT does not have is named, before anything is built."""
    helper, kinds = onnx.helper, onnx.TensorProto
    node = helper.make_node("StringNormalizer", ["PIXELS"], ["OUT"], name="odd")
    graph = helper.make_graph(
        [node],
        "odd",
        [helper.make_tensor_value_info("PIXELS", kinds.UINT8, ["batch", 8, 8, 3])],
        [helper.make_tensor_value_info("OUT", kinds.UINT8, ["batch", 8, 8, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(ModelBuildError, match=r"does not parse the network: .*"):
        engine.build(
            place.api,
            model.SerializeToString(),
            Profile((1, 8, 8, 3), (1, 8, 8, 3), (1, 8, 8, 3)),
            None,
            1 << 30,
            lambda _done: None,
        )


def test_progress_is_shown_while_a_plan_is_built(place: Place, tmp_path: Path) -> None:
    """Promise: a build that takes minutes on a GPU says how far it is."""
    done: list[float] = []
    graph = prepare(operated_graph(contract.CLASSIFIER, tmp_path), half=True).SerializeToString()
    shape = (1, 224, 224, 3)
    engine.build(place.api, graph, Profile(shape, shape, shape), None, 1 << 30, done.append)
    assert done[-1] == 1.0
    assert all(0 <= fraction <= 1 for fraction in done)


def test_a_plan_runs_on_the_gpu_as_the_graph_does(place: Place, built: list[store.Entry]) -> None:
    """Promise: plans that Triton will load answer at batch 1, 8 and 32 as the FP32 graph does."""
    if place.gpu is None:
        pytest.skip("no GPU here: plans were built and their FP16 graphs compared, but no plan was run")
    for entry in built:
        found = record.read(entry.folder)
        assert found is not None
        runner = device.PlanRunner(place.api, (entry.folder / PLAN_FILE).read_bytes())
        exact = operated(entry, entry.folder.parent, lambda _name, _step: None).SerializeToString()
        for batch in (1, 8, 32):
            pixels = parity.pictures((found.profile.usual[1], found.profile.usual[2]), batch)
            parity.check(entry.model, run_graph(exact, pixels), runner.run(pixels))


def test_without_a_gpu_the_gpu_profile_says_what_it_needs() -> None:
    """Promise: no half-loaded server: the sentence names the profile, what is there, and the way out."""
    assert engine_of(REPOSITORY, "default") == "tensorrt"
    assert engine_of(REPOSITORY, "cpu") == "openvino"
    if device.find() is not None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(LaunchError, match=r"profile `default` serves TensorRT plans.*--profile cpu"):
        networks_for("tensorrt", "default")


def test_without_tensorrt_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: which package, for serving and for checking."""
    for name in ("tensorrt", "tensorrt_rtx_libs", "tensorrt_rtx_bindings"):
        monkeypatch.setitem(sys.modules, name, None)  # what an import finds where a package is absent
    with pytest.raises(ModelBuildError, match=r"TensorRT is not installed.*content-moderation\[tensorrt-rtx\]"):
        api.find()


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Promise: a folder with a strange plan.json is one without a plan."""
    assert record.read(tmp_path) is None
    (tmp_path / record.FILE).write_text(json.dumps({"gpu": 1}))
    assert record.read(tmp_path) is None
