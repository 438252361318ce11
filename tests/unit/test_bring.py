"""Bring your own model: ONNX files into every role, checked, tried, and in their place all at once or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import TensorProto
from PIL import Image
from typer.testing import CliRunner

from moderation import contract
from moderation.bring.add import CONFIGS, Added, add
from moderation.bring.spec import parse
from moderation.bring.wishes import Wishes
from moderation.cli.main import app
from moderation.errors import ModelBuildError
from moderation.models import manifest, record, sources, store
from moderation.models.build import build_all
from moderation.ocr.ctc import load_characters
from moderation.serving.network import OpenVinoNetwork
from networks import anchors, darkness, redness, steps

NSFW = "- {raw: nsfw, name: sexual/explicit}\n- {raw: normal, name: null}\n"


@pytest.fixture
def repository(repository_copy: Path) -> Path:
    return repository_copy


@pytest.fixture
def nsfw(tmp_path: Path) -> Path:
    path = tmp_path / "nsfw.yaml"
    path.write_text(NSFW)
    return path


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A red picture."""
    path = tmp_path / "red.png"
    Image.new("RGB", (90, 60), (255, 0, 0)).save(path)
    return path


def tree(repository: Path) -> dict[str, str]:
    """Digest of every file."""
    return {
        str(p.relative_to(repository)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in repository.rglob("*")
        if p.is_file()
    }


def bring(repository: Path, role: str, source: Path | str, image: Path | None = None, **wishes: Any) -> Added:
    source = f"onnx:{source}" if isinstance(source, Path) else source
    settings: dict[str, Any] = {"licence": "MIT", "normalise": "unit", **wishes}
    return add(repository, role, source, Wishes(**settings), image, lambda _: None)


def built(repository: Path, role: str, version: str = "1") -> store.Entry:
    (entry,) = [e for e in store.entries(repository) if (e.model, e.version) == (role, version)]
    return entry


def test_a_classifier_becomes_the_next_version(repository: Path, tmp_path: Path, nsfw: Path, red: Path) -> None:
    """Promise: manifest, labels, artefact and both configurations are written, the network is built and answers."""
    network = redness(tmp_path / "mine.onnx")
    added = bring(repository, contract.SAFETY_CLASSIFIER, network, red, labels=nsfw, activation="softmax")
    assert (added.model, added.version) == (contract.SAFETY_CLASSIFIER, 1)
    assert "nsfw 1.000 → sexual/explicit" in added.lines[1]
    folder = repository / contract.SAFETY_CLASSIFIER
    assert sorted(p.name for p in (folder / "1").iterdir()) == ["model.yaml", "network.onnx"]
    found = manifest.load(folder / "1" / manifest.FILE)
    assert (found.version, found.licence, found.view) == ("mine", "MIT", "48x48 stretch")
    assert found.graph.head == "softmax_scores"
    assert [label.name for label in found.labels] == ["sexual/explicit", None]
    for name in CONFIGS:
        assert 'name: "PIXELS", data_type: TYPE_UINT8, dims: [48, 48, 3]' in (folder / name).read_text()
    steps_seen: list[str] = []
    build_all(repository, [contract.SAFETY_CLASSIFIER], lambda _, step: steps_seen.append(step))
    assert steps_seen == ["done"], "what was tried is what is served: nothing is built again"
    scores = OpenVinoNetwork(built(repository, contract.SAFETY_CLASSIFIER).folder, 1, "f32").infer(
        {"PIXELS": np.full((3, 48, 48, 3), (0, 255, 0), np.uint8)}
    )["SCORES"]
    assert scores.shape == (3, 2)
    assert (scores[:, 0] < 0.01).all()


def test_versions_of_two_sizes_can_be_served_together(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: the second version leaves the first as it is; the configurations then leave the size open."""
    bring(repository, contract.SAFETY_CLASSIFIER, redness(tmp_path / "a.onnx"), labels=nsfw, activation="softmax")
    first = tree(repository / contract.SAFETY_CLASSIFIER / "1")
    network = redness(tmp_path / "b.onnx", 64)
    added = bring(repository, contract.SAFETY_CLASSIFIER, network, labels=nsfw, activation="softmax")
    assert added.version == 2
    assert tree(repository / contract.SAFETY_CLASSIFIER / "1") == first
    assert "dims: [-1, -1, 3]" in (repository / contract.SAFETY_CLASSIFIER / "config.pbtxt").read_text()


def test_a_content_classifier(repository: Path, tmp_path: Path) -> None:
    """Promise: the role takes content types; sigmoid scores are independent."""
    labels = tmp_path / "labels.yaml"
    labels.write_text("- {raw: p, name: photo}\n- {raw: d, name: document}\n- {raw: x, name: custom/map}\n")
    network = redness(tmp_path / "kinds.onnx", 224, classes=3)
    version = bring(repository, contract.CLASSIFIER, network, labels=labels, activation="sigmoid").version
    found = built(repository, contract.CLASSIFIER, str(version)).manifest
    assert found.classes == "independent"
    assert found.mapping().names() == ("photo", "document", "custom/map")


def test_a_detector(repository: Path, tmp_path: Path, nsfw: Path, red: Path) -> None:
    """Promise: a YOLOv8 head becomes candidates, and the trial shows boxes in the picture's own pixels."""
    nsfw.write_text("- {raw: a, name: custom/red}\n- {raw: b, name: weapons/blade}\n")
    added = bring(repository, contract.SAFETY, anchors(tmp_path / "boxes.onnx"), red, labels=nsfw)
    assert added.version == 2
    assert added.lines[1].startswith("  custom/red 1.000 at [22.5, 11.2, 33.8, 22.5]")


def test_a_detector_of_another_size_can_be_scaled_to(repository: Path, tmp_path: Path, nsfw: Path, red: Path) -> None:
    """Promise: without --resize the sizes are named; with it the graph scales pixels and gives boxes in the role's."""
    nsfw.write_text("- {raw: a, name: custom/red}\n- {raw: b, name: weapons/blade}\n")
    network = anchors(tmp_path / "boxes.onnx", 640)
    with pytest.raises(
        ModelBuildError, match=r"looks at 640×640 pixels; wanted for safety-detector: 320×320.*--resize"
    ):
        bring(repository, contract.SAFETY, network, red, labels=nsfw)
    added = bring(repository, contract.SAFETY, network, red, labels=nsfw, resize=True)
    # the head says (80…120, 40…80) of 640; the picture is 90 pixels wide
    assert added.lines[1].startswith("  custom/red 1.000 at [11.2, 5.6, 16.9, 11.2]")


def test_text_networks(repository: Path, tmp_path: Path) -> None:
    """Promise: PP-OCR-like detectors and CTC recognisers, with characters from a file or from the metadata."""
    added = bring(repository, contract.TEXT_DETECTOR, darkness(tmp_path / "det.onnx"))
    assert "pixels are taken for text" in added.lines[1]
    with pytest.raises(ModelBuildError, match="has no labels"):
        bring(repository, contract.TEXT_DETECTOR, darkness(tmp_path / "det.onnx"), labels=tmp_path / "any.txt")
    letters = tmp_path / "letters.txt"
    letters.write_text("a\nb\n")
    added = bring(repository, contract.TEXT_RECOGNIZER, steps(tmp_path / "rec.onnx"), labels=letters)
    assert added.version == 2
    folder = repository / contract.TEXT_RECOGNIZER / "2"
    assert load_characters(folder / "characters.txt") == ["", "a", "b", " "]
    assert "reads 'a" in added.lines[1]
    own = steps(tmp_path / "own.onnx", metadata={"character": "x\ny"})
    assert "reads 'x" in bring(repository, contract.TEXT_RECOGNIZER, own).lines[1]


@pytest.mark.parametrize(
    ("role", "wishes"),
    [
        (contract.SAFETY, {"channels": "bgr"}),
        (contract.TEXT_DETECTOR, {"channels": "bgr", "normalise": "half"}),
        (contract.TEXT_RECOGNIZER, {"channels": "bgr", "normalise": "half"}),
    ],
)
def test_the_shipped_networks_can_be_brought_in(
    repository: Path, tmp_path: Path, role: str, wishes: dict[str, Any]
) -> None:
    """Promise: real networks pass, and what is written is what the shipped manifests say about them."""
    shipped = built(repository, role)
    network = sources.fetch(shipped.manifest.source, shipped.manifest_path.parent, tmp_path)
    mapping = tmp_path / "labels.yaml"
    mapping.write_text(yaml.safe_dump([label.model_dump() for label in shipped.manifest.labels]))
    labels = mapping if shipped.manifest.labels else None
    added = bring(repository, role, network, None, labels=labels, **wishes)
    found = built(repository, role, str(added.version)).manifest
    assert found.graph == shipped.manifest.graph
    assert found.labels == shipped.manifest.labels
    if role == contract.TEXT_RECOGNIZER:
        assert "reads 'Hello 2026'" in added.lines[1]


def test_characters_must_be_as_many_as_classes(repository: Path, tmp_path: Path) -> None:
    """Promise: a recogniser with another alphabet than its file is refused with both numbers."""
    letters = tmp_path / "letters.txt"
    letters.write_text("a\nb\nc\nd\n")
    network = steps(tmp_path / "rec.onnx")
    with pytest.raises(ModelBuildError, match="4 characters and the network 4 classes"):
        bring(repository, contract.TEXT_RECOGNIZER, network, labels=letters)
    with pytest.raises(ModelBuildError, match="no `character`; give --labels"):
        bring(repository, contract.TEXT_RECOGNIZER, network)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ({"batch": 1}, "fixed batch of 1; wanted: any: export with a dynamic batch"),
        ({"classes": 3}, r"output `y` FP32 \[any, 3\] has 3 classes, the labels have 2"),
        ({"opset": 8}, "has opset 8; TensorRT and OpenVINO read 9 to 25"),
        ({"dtype": TensorProto.FLOAT16}, "input `x` FP16 .* has type FP16; wanted: FP32"),
        ({"side": "s"}, "the network takes any size; give --size"),
    ],
)
def test_what_differs_from_the_contract_is_named(
    repository: Path, tmp_path: Path, nsfw: Path, make: dict[str, Any], words: str
) -> None:
    """Promise: tensor, what it is, what is wanted, what to do; and the repository is untouched."""
    before = tree(repository)
    network = redness(tmp_path / "mine.onnx", **make)
    with pytest.raises(ModelBuildError, match=words):
        bring(repository, contract.SAFETY_CLASSIFIER, network, labels=nsfw, activation="softmax")
    assert tree(repository) == before


@pytest.mark.parametrize(
    ("role", "make", "words"),
    [
        (contract.SAFETY, redness, "no such head; wanted: FP32 [any, 4 + classes, anchors]"),
        (contract.TEXT_DETECTOR, redness, "no map; wanted: FP32 [any, 1, height, width]"),
        (contract.TEXT_RECOGNIZER, redness, "no classes for each step"),
        (contract.SAFETY_CLASSIFIER, darkness, "no list of scores; wanted: FP32 [any, classes]"),
    ],
)
def test_a_network_of_another_role_is_refused(
    repository: Path, tmp_path: Path, nsfw: Path, role: str, make: Any, words: str
) -> None:
    """Promise: a network in the wrong role is refused before anything is built."""
    network = make(tmp_path / "mine.onnx")
    with pytest.raises(ModelBuildError) as caught:
        bring(repository, role, network, labels=nsfw, activation="softmax")
    assert words in caught.value.message
    assert not (Path(os.environ[store.ENVIRONMENT])).exists()


def test_all_differences_come_at_once(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: one run names the fixed batch, the number of classes and the wrong label."""
    nsfw.write_text("- {raw: a, name: sexual/explict}\n")
    network = redness(tmp_path / "mine.onnx", batch=1)
    with pytest.raises(ModelBuildError) as caught:
        bring(repository, contract.SAFETY_CLASSIFIER, network, labels=nsfw)
    for words in ("fixed batch", "did you mean `sexual/explicit`"):
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": None}, "--labels FILE is missing"),
        ({"licence": None}, "give --licence"),
        ({"normalise": None}, "give --normalise unit | half | imagenet | raw"),
        ({"normalise": "0,0/1"}, "--normalise is `0,0/1`; allowed: unit"),
        ({"activation": None}, "give --activation softmax"),
        ({"independent": True}, "--independent goes with --activation none"),
        ({"activation": "none"}, "these look like logits"),
        ({"size": "48"}, "WIDTHxHEIGHT"),
        ({"size": "64x64"}, "the network takes 48x48; leave --size out"),
    ],
)
def test_nothing_is_guessed(repository: Path, tmp_path: Path, nsfw: Path, change: dict[str, Any], words: str) -> None:
    """Promise: what nobody says is asked for, what contradicts the network is refused; the repository is untouched."""
    before = tree(repository)
    with pytest.raises(ModelBuildError) as caught:
        bring(
            repository,
            contract.SAFETY_CLASSIFIER,
            redness(tmp_path / "mine.onnx"),
            **{"labels": nsfw, "activation": "softmax", **change},
        )
    assert words in caught.value.message
    assert tree(repository) == before


def test_probabilities_are_taken_as_they_are(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: --activation none keeps a network's own softmax; independent scores have to be declared."""
    own = redness(tmp_path / "own.onnx", activation="Softmax")
    bring(repository, contract.SAFETY_CLASSIFIER, own, labels=nsfw, activation="none")
    assert built(repository, contract.SAFETY_CLASSIFIER).manifest.classes == "exclusive"
    apart = redness(tmp_path / "apart.onnx", activation="Sigmoid")
    with pytest.raises(ModelBuildError, match="exclusive classes sum to 1"):
        bring(repository, contract.SAFETY_CLASSIFIER, apart, labels=nsfw, activation="none")
    bring(repository, contract.SAFETY_CLASSIFIER, apart, labels=nsfw, activation="none", independent=True)
    assert built(repository, contract.SAFETY_CLASSIFIER, "2").manifest.classes == "independent"


def test_a_configuration_that_cannot_be_written_undoes_everything(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: when the second of two configurations cannot be written, the repository is as it was."""
    (repository / contract.SAFETY_CLASSIFIER / "configs" / ".cpu.pbtxt.new").mkdir()  # in the way of the new file
    before = tree(repository)
    with pytest.raises(ModelBuildError, match="cannot be written: Is a directory; nothing was changed"):
        bring(repository, contract.SAFETY_CLASSIFIER, redness(tmp_path / "a.onnx"), labels=nsfw, activation="softmax")
    assert tree(repository) == before


def test_what_a_killed_run_left_is_cleared(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: leftovers of a run that was killed do not pile up and are no model."""
    killed = repository / ".adding-killed"
    (killed / "scratch").mkdir(parents=True)
    os.utime(killed, (0, 0))
    bring(repository, contract.SAFETY_CLASSIFIER, redness(tmp_path / "a.onnx"), labels=nsfw, activation="softmax")
    assert {p.name for p in repository.iterdir()} == set(contract.MODELS)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ftp:x", "has none of the forms: onnx:FILE, torch:FILE"),
        ("onnx:", "has none of the forms"),
        ("timm:resnet18?weight=a", "no option weight for timm; allowed: weights, classes, pretrained"),
        ("onnx:no/such/file.onnx", "is not a file"),
        ("url:https://example.org/a.onnx", "must be url:https://…#sha256="),
    ],
)
def test_sources_have_a_form(repository: Path, source: str, words: str) -> None:
    """Promise: a typing error in the source is answered with what is allowed."""
    with pytest.raises(ModelBuildError) as caught:
        bring(repository, contract.SAFETY_CLASSIFIER, source)
    assert words in caught.value.message


def test_a_url_stays_a_reference(repository: Path, tmp_path: Path, nsfw: Path, https: str) -> None:
    """Promise: the manifest keeps address and digest instead of a copy; another digest is refused."""
    digest = record.sha256(redness(tmp_path / "www" / "mine.onnx"))
    source = f"url:{https}/mine.onnx#sha256={digest}"
    bring(repository, contract.SAFETY_CLASSIFIER, source, labels=nsfw, activation="softmax")
    assert [p.name for p in (repository / contract.SAFETY_CLASSIFIER / "1").iterdir()] == ["model.yaml"]
    assert built(repository, contract.SAFETY_CLASSIFIER).manifest.version == "mine"
    redness(tmp_path / "www" / "mine.onnx", 64)
    with pytest.raises(ModelBuildError, match=f"the manifest expects {digest}"):
        bring(repository, contract.SAFETY_CLASSIFIER, source, labels=nsfw, activation="softmax")


def test_a_source_is_taken_apart() -> None:
    """Promise: kind, target and options; a colon in the target stays."""
    found = parse("torch:my.nets:make?weights=/a/b.pt")
    assert (found.kind, found.target, found.options) == ("torch", "my.nets:make", {"weights": "/a/b.pt"})
    assert parse("url:https://x/a.onnx?b=1#sha256=00").target == "https://x/a.onnx?b=1#sha256=00"


def test_a_person_sees_what_comes_next(repository: Path, tmp_path: Path, nsfw: Path) -> None:
    """Promise: the command prints steps, the trial, and the next commands; a fault is exit code 2 and a sentence."""
    source = f"onnx:{redness(tmp_path / 'mine.onnx')}"
    command = ["models", "add", contract.SAFETY_CLASSIFIER, "--source", source, "--labels", str(nsfw)]
    options = ["--activation", "softmax", "--normalise", "unit", "--repository", str(repository)]
    answer = CliRunner().invoke(app, [*command, *options])
    assert answer.exit_code == 2
    assert "give --licence" in answer.output
    answer = CliRunner().invoke(app, [*command, *options, "--channels", "gbr"])
    assert answer.exit_code == 2, "an order of channels that is none must not mean rgb"
    answer = CliRunner().invoke(app, [*command, *options, "--licence", "MIT"])
    assert answer.exit_code == 0, answer.output
    assert "tried on the drawn sample" in answer.output
    assert "the policy has no limit for sexual/explicit" in answer.output
    assert "safety-classifier: { version: 1 }" in answer.output
    assert f"moderation models build safety-classifier --repository {repository}" in answer.output
