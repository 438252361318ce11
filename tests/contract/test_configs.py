"""The model repository, the contract in code and the house rules agree."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from moderation import contract, schemas
from moderation.bring import labels_file
from moderation.bring.inspect import SIDES
from moderation.contract import Tensor
from moderation.images.views import View
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.pipeline.release import MODELS, Release

PROFILES = ("default", "cpu")


def config(model: str, profile: str) -> Any:
    """A configuration as Triton reads it."""
    folder = REPOSITORY / model
    path = folder / "config.pbtxt" if profile == "default" else folder / "configs" / f"{profile}.pbtxt"
    return text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())


def tensors(found: Any) -> list[Tensor]:
    names = model_config_pb2.DataType.Name
    return [
        Tensor(t.name, names(t.data_type).removeprefix("TYPE_"), tuple(t.dims), bool(getattr(t, "optional", False)))
        for t in found
    ]


def test_the_repository_has_exactly_the_models_of_the_contract() -> None:
    """Promise: the public names are the folders."""
    assert {p.name for p in REPOSITORY.iterdir()} == set(contract.MODELS)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", contract.MODELS.values(), ids=lambda m: m.name)
def test_configurations_declare_the_contract(model: contract.Model, profile: str) -> None:
    """Promise: every profile has the names, types and shapes of the one declaration in code."""
    found = config(model.name, profile)
    assert found.name == model.name
    assert len(found.input) == len(model.inputs)
    for tensor, wanted in zip(tensors(found.input), model.inputs, strict=True):
        # a size that the contract leaves open may be fixed here: a safety-classifier has that of its versions
        dims = tuple(w if model.network and w == -1 else d for d, w in zip(tensor.dims, wanted.dims, strict=True))
        assert replace(tensor, dims=dims) == wanted
    assert tensors(found.output) == list(model.outputs)
    assert (found.max_batch_size > 0) == model.batched
    if model.network and profile == "default":
        assert found.platform == "tensorrt_plan"
    else:
        assert found.backend == model.backend


@pytest.mark.parametrize("model", contract.MODELS)
def test_profiles_differ_only_in_how_a_model_runs(model: str) -> None:
    """Promise: a variant file replaces the whole configuration, so nothing but execution may differ."""
    how = (
        "platform",
        "backend",
        "default_model_filename",
        "instance_group",
        "dynamic_batching",
        "optimization",
        "model_warmup",
    )
    variants = []
    for profile in PROFILES:
        found = config(model, profile)
        for field in (*how, "parameters"):
            found.ClearField(field)
        variants.append(found)
    assert variants[0] == variants[1]


def test_backends_of_the_configurations_exist(repo_root: Path) -> None:
    """Promise: each Python backend that a configuration names is a folder with a model.py, and each is used."""
    named = {config(m, p).backend for m in contract.MODELS for p in PROFILES} - {""}
    assert named == {p.parent.name for p in (repo_root / "backends").glob("*/model.py")}


def test_the_repository_is_data(repo_root: Path) -> None:
    """Promise: no code in the model repository; adapters stay thin."""
    assert not [p for suffix in ("py", "so", "sh") for p in REPOSITORY.rglob(f"*.{suffix}")]
    for path in (repo_root / "backends").glob("*/model.py"):
        assert len(path.read_text().splitlines()) <= 150, path


def test_only_the_adapters_know_triton(repo_root: Path) -> None:
    """Promise: the library runs without a server: only model.py files and one module import Triton's."""
    for path in (repo_root / "backends").rglob("*.py"):
        if path.name in ("model.py", "adapter.py"):
            continue
        names = [
            name.name if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in node.names
        ]
        assert "triton_python_backend_utils" not in names, path


def test_the_entry_model_calls_versions_that_exist() -> None:
    """Promise: pipeline.yaml names a version of each model, and all of them are in the repository."""
    release = Release.load(REPOSITORY / contract.ENTRY / "1")
    assert set(release.versions) == set(MODELS) - {contract.SAFETY_CLASSIFIER}
    missing = [m for m, v in release.versions.items() if not (REPOSITORY / m / str(v)).is_dir()]
    assert missing == []


def test_every_label_of_the_policy_is_one_that_a_safety_network_has() -> None:
    """Promise: no threshold waits for a label that never comes."""
    from moderation.policy.load import load
    from moderation.policy.rules import LabelRule

    networks = [e for e in store.entries(REPOSITORY) if e.model in (contract.SAFETY, contract.SAFETY_CLASSIFIER)]
    names = [name for e in networks for name in e.manifest.mapping().names()]
    policy = load(REPOSITORY / contract.DECISION_LOGIC / "1")
    for profile in policy.profiles.values():
        for rule in profile.rules:
            for label in rule.limits if isinstance(rule, LabelRule) else ():
                assert any(f"{name}/".startswith(f"{label}/") for name in names), label


def test_the_networks_of_a_role_fit_its_configurations() -> None:
    """Promise: a size that a configuration fixes is that of every version in the repository."""
    for entry in store.entries(REPOSITORY):
        for profile in PROFILES:
            (pixels,) = config(entry.model, profile).input
            sizes = zip(pixels.dims, (*entry.manifest.size(entry.model), 3), strict=True)
            assert all(fixed in (-1, own) for fixed, own in sizes), (entry.name, profile)


def test_the_views_are_the_sizes_that_networks_are_brought_in_with() -> None:
    """Promise: the preprocessor makes what `models add` checks a network's size against."""
    for profile in PROFILES:
        parameters = config(contract.PREPROCESSOR, profile).parameters
        for key, model in (("classifier_view", contract.CLASSIFIER), ("safety_view", contract.SAFETY)):
            view = View.parse(key, parameters[key].string_value)
            assert (view.height, view.width) == SIDES[model] == contract.MODELS[model].inputs[0].dims[:2]


def test_the_recipes_map_to_labels_of_the_taxonomy() -> None:
    """Promise: every mapping that is shipped as data can be used as it stands."""
    recipes = sorted((REPOSITORY / contract.SAFETY_CLASSIFIER / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        assert [x.name for x in labels_file.read(path, contract.SAFETY_CLASSIFIER, None) if x.name], path


def test_the_result_schema_is_a_schema() -> None:
    """Promise: the published schema is valid JSON Schema."""
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(schemas.result())


def test_the_wheel_has_every_backend(repo_root: Path) -> None:
    """Promise: an installed wheel serves as a checkout does: the thin backends lie beside the library."""
    text = (repo_root / "pyproject.toml").read_text()
    listed = ast.literal_eval(text.split("[tool.hatch.build.targets.wheel]\npackages = ", 1)[1].split("]", 1)[0] + "]")
    assert {Path(name).name for name in listed} == {p.name for p in (repo_root / "backends").iterdir() if p.is_dir()}
