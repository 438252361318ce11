"""`moderation tune` against the real server, with the real perf_analyzer and the real Model Analyzer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from moderation import contract
from moderation.launcher.run import REPOSITORY
from moderation.tune import settings
from moderation.tune.run import CONFIGS, ROOT
from serving.conftest import COMMAND

COUNT = ("instance_group", "count")
QUICK = {"concurrency": 2, "seconds": 1, "rounds": 2, "finalists": 1, "margin": 0.0, "p95_ms": 60000}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """A copy of the models that may be changed, and places for sweeps and their state."""
    shutil.copytree(REPOSITORY, tmp_path / "models")
    (tmp_path / "sweeps" / "cpu").mkdir(parents=True)
    return {"repository": tmp_path / "models", "configs": tmp_path / "sweeps", "work": tmp_path / "work"}


def tune(folders: dict[str, Path], model: str, *options: str) -> subprocess.CompletedProcess[str]:
    places = [f"--{name}={path}" for name, path in folders.items()]
    return subprocess.run([COMMAND, "tune", model, *places, *options], capture_output=True, text=True, timeout=280)


def test_a_sweep_in_turn_is_interrupted_goes_on_and_changes_the_file(folders: dict[str, Path]) -> None:
    """Promise: exit 75 and on again; the file says what the report says, and nothing else of it has changed."""
    model = contract.CLASSIFIER
    sweep = {
        "profile_models": {
            model: {"model_config_parameters": {"instance_group": [{"kind": "KIND_CPU", "count": [1, 2]}]}},
        },
        "judge": {**QUICK, "search": "in-turn"},
    }
    (folders["configs"] / "cpu" / f"{model}.yaml").write_text(yaml.safe_dump(sweep))
    config = folders["repository"] / model / "configs" / "cpu.pbtxt"
    before = config.read_text()

    stopped = tune(folders, model, "--minutes", "0")
    assert stopped.returncode == 75, stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert config.read_text() == before

    done = tune(folders, model, "--write")
    assert done.returncode == 0, done.stderr
    state = json.loads((folders["work"] / "cpu" / model / "state.json").read_text())
    (turn,) = state["turns"]
    assert [len(row["rates"]) for row in turn["rounds"]] == [2, 2]
    assert all(rate > 0 for row in turn["rounds"] for rate in row["rates"])
    report = (folders["configs"] / "reports" / "cpu" / model / "README.md").read_text()
    found = re.search(r"Result: \*\*(.+)\*\*", report)
    assert found is not None
    if turn["verdict"]["winner"]:
        assert found[1] == f"{model} instances 2"
        assert config.read_text() == settings.edit(before, COUNT, 2)
        assert "+instance_group" in done.stdout
    else:
        assert found[1] == "as it is"
        assert config.read_text() == before


def test_model_analyzer_searches_the_running_server(folders: dict[str, Path]) -> None:
    """Promise: the real Model Analyzer measures variants here, without a GPU, and the judge has its say."""
    if not (ROOT / ".venv-tune" / "bin" / "python").is_file():
        pytest.skip("no Model Analyzer: `make tune-env` makes its environment")
    model = contract.CLASSIFIER
    sweep = yaml.safe_load((CONFIGS / "cpu" / f"{model}.yaml").read_text())
    sweep |= {"optuna_min_trials": 2, "optuna_max_trials": 2, "judge": QUICK}
    varied = sweep["profile_models"][model]
    varied["model_config_parameters"] = {"instance_group": [{"kind": "KIND_CPU", "count": [1, 2]}]}
    varied["constraints"] = {"perf_latency_p95": {"max": 60000}}
    (folders["configs"] / "cpu" / f"{model}.yaml").write_text(yaml.safe_dump(sweep))
    done = tune(folders, model)
    assert done.returncode == 0, done.stderr
    report = folders["configs"] / "reports" / "cpu" / model
    assert (report / "metrics-model-inference.csv").read_text().count(model) >= 2
    assert "Model Analyzer searched among 2 combinations" in (report / "README.md").read_text()


def test_a_model_without_a_sweep_is_named(folders: dict[str, Path]) -> None:
    """Promise: the message lists what can be tuned."""
    done = tune(folders, "moderation-decision-logic")
    assert done.returncode == 2
    assert "no sweep for moderation-decision-logic" in done.stderr
