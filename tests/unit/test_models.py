"""Building networks: sources, digests, surgery, an atomic store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from moderation import contract
from moderation.errors import ModelBuildError
from moderation.launcher.run import REPOSITORY
from moderation.models import manifest, record, sources, store
from moderation.models.build import build_all

DETECTOR = REPOSITORY / contract.SAFETY / "1" / "model.yaml"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the safety-detector alone and an empty store."""
    monkeypatch.setenv(store.ENVIRONMENT, str(tmp_path / "store"))
    folder = tmp_path / "repository" / contract.SAFETY / "1"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(DETECTOR.read_text())
    return tmp_path / "repository"


def steps_of(repository: Path) -> list[str]:
    steps: list[str] = []
    build_all(repository, [], lambda _name, step: steps.append(step))
    return steps


def test_a_build_is_done_once_and_again_only_when_an_input_changed(repository: Path) -> None:
    """Promise: cached; a changed manifest or a damaged file is built again, anything else is not."""
    assert steps_of(repository) == ["fetch", "operate", "convert", "check", "store", "done"]
    assert steps_of(repository) == ["done"]
    path = repository / contract.SAFETY / "1" / "model.yaml"
    path.write_text(path.read_text() + "# changed\n")
    assert steps_of(repository)[0] == "fetch"
    (folder,) = store.artefacts(repository).values()
    with (folder / "model.bin").open("r+b") as file:
        file.write(b"damaged")
    (entry,) = store.entries(repository)
    assert entry.state() == "damaged"
    assert store.artefacts(repository) == {}, "a damaged network must not be served"
    assert steps_of(repository)[-1] == "done"
    assert entry.state() == "built"


def test_an_interrupted_build_leaves_nothing_that_looks_built(repository: Path) -> None:
    """Promise: a network is complete or not there; what an interruption left is cleared by the next build."""
    (entry,) = store.entries(repository)

    def interrupted(folder: Path) -> None:
        (folder / "model.xml").write_text("half")
        raise KeyboardInterrupt

    with store.locked(entry), pytest.raises(KeyboardInterrupt):
        store.put(entry, interrupted)
    assert entry.state() == "missing"
    (entry.folder.parent / ".building-killed").mkdir()  # as after kill -9
    steps_of(repository)
    assert entry.state() == "built"
    assert not list(entry.folder.parent.glob(".building-*"))


def test_a_build_is_deterministic(repository: Path) -> None:
    """Promise: the same inputs give the same bytes."""
    steps_of(repository)
    (entry,) = store.entries(repository)
    first = json.loads((entry.folder / record.FILE).read_text())["files"]
    build_all(repository, [], lambda *_: None, force=True)
    assert json.loads((entry.folder / record.FILE).read_text())["files"] == first


def test_surgery_keeps_the_best_anchors(repository: Path) -> None:
    """Promise: UINT8 in; out come the 300 best of 2,100 anchors with the scores of the original network."""
    import onnxruntime

    steps_of(repository)
    (entry,) = store.entries(repository)
    source = sources.fetch(entry.manifest.source, entry.manifest_path.parent, repository)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 320, 320, 3), np.uint8)
    built = ov.Core().compile_model(entry.folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    candidates = built({"PIXELS": pixels})["CANDIDATES"]
    blob = pixels[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    raw = onnxruntime.InferenceSession(source).run(None, {"images": blob})[0]
    want = -np.sort(-raw[:, 4:].max(axis=1), axis=1)[:, : contract.SAFETY_CANDIDATES]
    assert candidates.shape == (2, contract.SAFETY_CANDIDATES, 6)
    np.testing.assert_allclose(candidates[..., 4], want, atol=1e-4)
    assert (candidates[..., 2:4] >= candidates[..., :2]).all()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("3.4.2\n  file", "9.9.9\n  file", "nudenet is 3.4.2, the manifest expects 9.9.9"),
        ("package: nudenet", "package: no_such_package", "no_such_package is not installed"),
        ("320n.onnx", "999.onnx", "has no 999.onnx"),
        ("sha256: c1", "sha256: 00", "SHA-256 is c1"),
        ("head: yolo_top_k", "head: yolo", "graph.head"),
        ("head: yolo_top_k", "head: ctc_best", "does not fit safety-detector; allowed: yolo_top_k, none"),
        ("licence: AGPL-3.0\n", "", "licence"),
        ("kind: package", "kind: url\n  url: http://x/y", "url"),
    ],
)
def test_faults_of_a_manifest_are_named(repository: Path, old: str, new: str, words: str) -> None:
    """Promise: each fault is a sentence with the value and what is expected; nothing is built."""
    path = repository / contract.SAFETY / "1" / "model.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelBuildError, match=words.replace(".", r"\.")):
        steps_of(repository)
    assert store.root().exists() is False or not list(store.root().rglob("model.xml"))


def test_a_local_file_is_a_source(repository: Path) -> None:
    """Promise: bring your own network: a file beside the manifest, rebuilt when it changes."""
    path = repository / contract.SAFETY / "1" / "model.yaml"
    original = manifest.load(path)
    onnx = sources.fetch(original.source, path.parent, repository)
    (path.parent / "mine.onnx").write_bytes(onnx.read_bytes())
    head, tail = path.read_text().split("source:\n")[0], path.read_text().split("graph:\n")[1]
    path.write_text(f"{head}source:\n  kind: file\n  path: mine.onnx\ngraph:\n{tail}")
    assert steps_of(repository)[0] == "fetch"
    assert steps_of(repository) == ["done"]


def test_a_network_of_another_shape_is_refused(repository: Path) -> None:
    """Promise: a network whose tensors are not those of the contract never reaches the store."""
    path = repository / contract.SAFETY / "1" / "model.yaml"
    path.write_text(path.read_text().replace("head: yolo_top_k", "head: none"))
    with pytest.raises(
        ModelBuildError, match="does not keep the contract of safety-detector: outputs are output0; want"
    ):
        steps_of(repository)
    assert store.artefacts(repository) == {}


def test_a_url_is_a_source(repository: Path, https: str, tmp_path: Path) -> None:
    """Promise: a network is downloaded over https, checked against its digest, and nothing else is built."""
    path = repository / contract.SAFETY / "1" / "model.yaml"
    original = manifest.load(path)
    onnx = sources.fetch(original.source, path.parent, repository)
    (tmp_path / "www" / "model.onnx").write_bytes(onnx.read_bytes())
    head, tail = path.read_text().split("source:\n")[0], path.read_text().split("graph:\n")[1]
    source = f"source:\n  kind: url\n  url: {https}/model.onnx\n  sha256: {record.sha256(onnx)}\n"
    path.write_text(f"{head}{source}graph:\n{tail}")
    assert steps_of(repository)[-1] == "done"
    (entry,) = store.entries(repository)
    assert sorted(p.name for p in entry.folder.iterdir()) == ["build.json", "model.bin", "model.xml"]
    path.write_text(f"{head}{source.replace('model.onnx', 'none.onnx')}graph:\n{tail}")
    with pytest.raises(ModelBuildError, match="cannot be downloaded"):
        steps_of(repository)


def test_a_record_tells_what_changed(tmp_path: Path) -> None:
    """Promise: a file that is not as built is named; what was never built, and folders without a record, pass."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    (tmp_path / "characters.txt").write_text("a\nb\n")
    record.write(tmp_path, {"model": "x"})
    (tmp_path / "notes.txt").write_text("not built")
    record.check(tmp_path)
    record.check(tmp_path, ["notes.txt"])
    (tmp_path / "model.bin").write_bytes(b"weightz")
    record.check(tmp_path, ["characters.txt"])
    with pytest.raises(ModelBuildError, match=r"^model\.bin in .*not as built; run `moderation models build`"):
        record.check(tmp_path)
    (tmp_path / record.FILE).write_text("{")
    with pytest.raises(ModelBuildError, match=r"^build\.json in"):
        record.check(tmp_path)
    (tmp_path / record.FILE).unlink()
    record.check(tmp_path)
