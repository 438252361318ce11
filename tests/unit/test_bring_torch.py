"""Bring your own model from PyTorch, timm and Hugging Face: their own loading code on small local models.

These need the extra `import`: `make test-torch`. The networks are randomly initialised and know nothing.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: `make test-torch` runs these tests")
timm = pytest.importorskip("timm", reason="timm is not installed here: `make test-torch` runs these tests")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed here: `make test-torch` runs these tests"
)

from moderation import contract  # noqa: E402
from moderation.bring.add import Added, add  # noqa: E402
from moderation.bring.wishes import Wishes  # noqa: E402
from moderation.errors import ModelBuildError  # noqa: E402
from moderation.models import manifest, store  # noqa: E402
from moderation.serving.network import OpenVinoNetwork  # noqa: E402

LABELS = "- {raw: normal, name: null}\n- {raw: nsfw, name: sexual/explicit}\n"
ROLE = contract.SAFETY_CLASSIFIER
FACTORY = """
import torch

def make():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    )
"""


@pytest.fixture
def repository(repository_copy: Path) -> Path:
    return repository_copy


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.yaml"
    path.write_text(LABELS)
    return path


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a user's own package `my_nets` makes."""
    (tmp_path / "my_nets.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)
    import my_nets  # type: ignore[import-not-found]

    torch.manual_seed(0)
    return my_nets.make().eval()


def bring(repository: Path, source: str, **wishes: Any) -> Added:
    return add(repository, ROLE, source, Wishes(**{"licence": "MIT", **wishes}), None, lambda _: None)


def written(repository: Path, version: int = 1) -> manifest.Manifest:
    return manifest.load(repository / ROLE / str(version) / manifest.FILE)


# --- torch

TORCH = {"size": "32x32", "normalise": "half", "activation": "softmax"}


def test_weights_with_a_factory(repository: Path, labels: Path, network: Any, tmp_path: Path) -> None:
    """Promise: a state_dict is filled into what the user's own code makes; the export equals the original."""
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    added = bring(repository, f"torch:my_nets:make?weights={tmp_path / 'weights.pt'}", labels=labels, **TORCH)
    assert added.lines[0].startswith("the export differs from the original by ")
    assert written(repository).view == "32x32 stretch"


def test_weights_that_do_not_fit_are_named(repository: Path, labels: Path, network: Any, tmp_path: Path) -> None:
    """Promise: missing, left-over and differently shaped weights are all named; nothing is loaded by halves."""
    state = dict(network.state_dict())
    state["other.weight"] = state.pop("4.weight")
    state["4.bias"] = torch.zeros(3)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ModelBuildError) as caught:
        bring(repository, f"torch:my_nets:make?weights={tmp_path / 'weights.pt'}", labels=labels, **TORCH)
    for words in ("no 4.weight", "other.weight is left over", "4.bias is [3], wanted [2]"):
        assert words in caught.value.message


def test_torchscript(repository: Path, labels: Path, network: Any, tmp_path: Path) -> None:
    """Promise: a TorchScript file needs no code of the user."""
    torch.jit.trace(network, torch.zeros((1, 3, 32, 32))).save(tmp_path / "net.pt")
    bring(repository, f"torch:{tmp_path / 'net.pt'}", labels=labels, **TORCH)
    assert written(repository).version == "net"


def test_an_exported_program(repository: Path, labels: Path, network: Any, tmp_path: Path) -> None:
    """Promise: a torch.export program with a dynamic batch is taken; with a fixed one it is refused in words."""
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(network, (torch.zeros((2, 3, 32, 32)),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    bring(repository, f"torch:{tmp_path / 'net.pt2'}", labels=labels, **TORCH)
    torch.export.save(torch.export.export(network, (torch.zeros((1, 3, 32, 32)),)), tmp_path / "fixed.pt2")
    with pytest.raises(ModelBuildError, match="export programs with a dynamic batch"):
        bring(repository, f"torch:{tmp_path / 'fixed.pt2'}", labels=labels, **TORCH)


MODULE: Any = torch.nn.Module


class Swap(MODULE):
    """[batch, classes, steps] to [batch, steps, classes]."""

    def forward(self, x: Any) -> Any:
        return x.transpose(1, 2)


def test_text_networks(repository: Path, tmp_path: Path) -> None:
    """Promise: a map of any height and width, and a recogniser of any width, come out with their sides open."""
    torch.manual_seed(0)
    pool = [torch.nn.AvgPool2d((48, 8)), torch.nn.Conv2d(3, 5, 1), torch.nn.Flatten(2)]
    nets = {
        contract.TEXT_DETECTOR: torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3, padding=1), torch.nn.Sigmoid()),
        contract.TEXT_RECOGNIZER: torch.nn.Sequential(*pool, Swap(), torch.nn.Softmax(2)),
    }
    letters = tmp_path / "letters.txt"
    letters.write_text("a\nb\nc\nd\n")
    for role, net in nets.items():
        sides = {0: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
        if role == contract.TEXT_DETECTOR:
            sides[2] = torch.export.Dim.DYNAMIC
        program = torch.export.export(net, (torch.rand(2, 3, 48, 96),), dynamic_shapes=(sides,))
        torch.export.save(program, tmp_path / "net.pt2")
        torch.jit.trace(net, torch.rand(2, 3, 48, 96)).save(tmp_path / "net.pt")
        labels = letters if role == contract.TEXT_RECOGNIZER else None
        wishes = Wishes(labels, licence="MIT", normalise="half", size="96x48")
        for version, name in ((2, "net.pt2"), (3, "net.pt")):
            assert add(repository, role, f"torch:{tmp_path / name}", wishes, None, lambda _: None).version == version


class Harmful:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_no_code_in_a_file_is_run(repository: Path, labels: Path, network: Any, tmp_path: Path) -> None:
    """Promise: pickles that hold more than tensors are refused unread, wherever they hide, and the message says why."""
    trap = tmp_path / "trap"
    torch.save(network, tmp_path / "module.pt")
    torch.save({"a": Harmful(trap)}, tmp_path / "weights.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Harmful(trap)))
    for source in ("module.pt", "weights.pt", "plain.pkl"):
        with pytest.raises(ModelBuildError, match="runs code from the file"):
            bring(repository, f"torch:{tmp_path / source}", labels=labels, **TORCH)
        with pytest.raises(ModelBuildError, match="could run code from the file"):
            bring(repository, f"torch:my_nets:make?weights={tmp_path / source}", labels=labels, **TORCH)
    assert not trap.exists()


def test_a_program_with_a_harmful_pickle_is_refused(
    repository: Path, labels: Path, network: Any, tmp_path: Path
) -> None:
    """Promise: torch.export.load would fall back to a full unpickle; here it does not."""
    trap = tmp_path / "trap"
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(network, (torch.zeros((2, 3, 32, 32)),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "good.pt2")
    torch.save(((Harmful(trap),), {}), tmp_path / "inputs.pt")
    replaced = []
    with zipfile.ZipFile(tmp_path / "good.pt2") as good, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad:
        for name in good.namelist():
            harmful = "sample_inputs" in name
            replaced += [name] if harmful else []
            bad.writestr(name, (tmp_path / "inputs.pt").read_bytes() if harmful else good.read(name))
    assert replaced, "the format has changed: nothing harmful was put in"
    with pytest.raises(ModelBuildError, match="cannot be loaded without running code"):
        bring(repository, f"torch:{tmp_path / 'bad.pt2'}", labels=labels, **TORCH)
    assert not trap.exists()


# --- timm


def test_timm_with_weights_from_a_file(repository: Path, labels: Path, tmp_path: Path) -> None:
    """Promise: the architecture by name, weights from a file, size and normalisation from timm's own data config."""
    model = timm.create_model("test_vit", pretrained=False, num_classes=2)
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    bring(repository, f"timm:test_vit?weights={tmp_path / 'vit.pth'}&classes=2", labels=labels)
    found, config = written(repository), timm.data.resolve_model_data_config(model)
    assert found.graph.input is not None
    assert found.graph.input.mean == list(config["mean"])
    assert found.graph.input.std == list(config["std"])
    assert found.view == f"{config['input_size'][2]}x{config['input_size'][1]} stretch"
    assert (found.graph.head, found.classes) == ("softmax_scores", "exclusive")


def test_timm_needs_weights(repository: Path, labels: Path) -> None:
    """Promise: random weights are never taken for a model; an unknown architecture is named."""
    with pytest.raises(ModelBuildError, match=r"either \?pretrained or \?weights"):
        bring(repository, "timm:test_vit", labels=labels)
    with pytest.raises(ModelBuildError, match="timm cannot make `no_such_net`"):
        bring(repository, "timm:no_such_net?weights=x&classes=2", labels=labels)


# --- Hugging Face


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """A folder as the hub has it: a tiny ViT of transformers with its preprocessor and model card."""
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )
    torch.manual_seed(0)
    folder = tmp_path / "vit"
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    processor = {
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.25, 0.2],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A card\n")
    return folder


def test_a_transformers_classifier(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: labels, licence, size and normalisation come from the repository's own files."""
    bring(repository, f"hf:{vit}", labels=labels, licence=None)
    found = written(repository)
    assert (found.licence, found.view) == ("apache-2.0", "32x32 stretch")
    assert found.graph.input is not None
    assert found.graph.input.mean == [0.5, 0.4, 0.3]
    assert found.graph.input.std == [0.5, 0.25, 0.2]
    assert [label.raw for label in found.labels] == ["normal", "nsfw"]


def test_the_mapping_follows_the_network_s_own_order(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: where the network names its classes, the file's order does not matter; every wrong name is listed."""
    labels.write_text("- {raw: nsfw, name: sexual/explicit}\n- {raw: normal, name: null}\n")
    bring(repository, f"hf:{vit}", labels=labels)
    assert [label.name for label in written(repository).labels] == [None, "sexual/explicit"]
    labels.write_text("- {raw: NSFW, name: sexual/explicit}\n- {raw: sfw, name: null}\n")
    with pytest.raises(ModelBuildError) as caught:
        bring(repository, f"hf:{vit}", labels=labels)
    for words in ("class `normal` has no line", "class `nsfw` has no line", "no class `NSFW`", "no class `sfw`"):
        assert words in caught.value.message


def test_what_is_served_sees_what_the_original_sees(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: bytes through the built network give the scores of the library's own processor and model."""
    bring(repository, f"hf:{vit}", labels=labels)
    (entry,) = [e for e in store.entries(repository) if e.model == ROLE]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    served = OpenVinoNetwork(entry.folder, 1, "f32").infer({"PIXELS": pixels})["SCORES"]
    processor = transformers.ViTImageProcessor.from_pretrained(vit)
    model = transformers.ViTForImageClassification.from_pretrained(vit).eval()
    with torch.no_grad():
        wanted = model(**processor(list(pixels), return_tensors="pt")).logits.softmax(-1).numpy()
    np.testing.assert_allclose(served, wanted, atol=1e-4)


def test_other_rescaling_is_folded_in(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: a preprocessor that scales to -1…1 by its factor is written as the manifest's mean and deviation."""
    path = vit / "preprocessor_config.json"
    path.write_text(
        json.dumps({"size": 32, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3})
    )
    bring(repository, f"hf:{vit}", labels=labels)
    graph = written(repository).graph
    assert graph.input is not None
    assert graph.input.mean == [0.5] * 3
    assert graph.input.std == [0.5] * 3


def test_several_labels_at_once_are_independent(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: a multi-label network gets a sigmoid because its configuration says so."""
    config = json.loads((vit / "config.json").read_text())
    (vit / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    bring(repository, f"hf:{vit}", labels=labels)
    assert written(repository).graph.head == "sigmoid_scores"
    assert written(repository).classes == "independent"


def test_pickled_weights_of_a_repository_are_not_loaded(repository: Path, labels: Path, vit: Path) -> None:
    """Promise: only safetensors are read."""
    (vit / "model.safetensors").rename(vit / "pytorch_model.bin")
    with pytest.raises(ModelBuildError, match="pickled weights are not loaded"):
        bring(repository, f"hf:{vit}", labels=labels)


def test_a_repository_of_the_hub(repository: Path, labels: Path, vit: Path, tmp_path: Path) -> None:
    """Promise: hf:REPO@REVISION goes through the hub's own client; here its cache has what it would download."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--acme--nsfw"
    shutil.copytree(vit, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "v1").write_text(commit)
    command = [sys.executable, "-c", "from moderation.cli.main import app; app()", "models", "add", ROLE]
    options = [f"--labels={labels}", f"--repository={repository}"]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "COLUMNS": "300"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)

    def run(source: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, f"--source={source}", *options], capture_output=True, text=True, env=environment, timeout=200
        )

    answer = run("hf:acme/nsfw@v1")
    assert answer.returncode == 0, answer.stderr
    assert "revision v1" in answer.stdout
    assert written(repository).licence == "apache-2.0"
    answer = run("hf:acme/other")
    assert answer.returncode == 2
    assert "acme/other is no folder and cannot be downloaded" in answer.stderr


def test_a_timm_model_of_the_hub(repository: Path, labels: Path, tmp_path: Path) -> None:
    """Promise: a repository with timm's configuration is loaded by timm, with its label names and normalisation."""
    from timm.models import save_for_hf

    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=2)
    folder = tmp_path / "hub"
    extra = {"label_names": ["normal", "nsfw"]}
    save_for_hf(model, folder, model_config=extra, safe_serialization=True)
    bring(repository, f"hf:{folder}", labels=labels)
    found, config = written(repository), timm.data.resolve_model_data_config(model)
    assert [label.raw for label in found.labels] == ["normal", "nsfw"]
    assert found.graph.input is not None
    assert found.graph.input.std == list(config["std"])
