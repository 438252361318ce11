"""A model of one's own, from the command to a decision of the real server."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from moderation import contract, schemas
from moderation.client import Client
from moderation.launcher.run import REPOSITORY
from moderation.models import store
from moderation.pipeline.release import FILE
from networks import redness
from serving.conftest import COMMAND, launched

RECIPES = REPOSITORY / contract.SAFETY_CLASSIFIER / "recipes"
RECIPE = (RECIPES / "README.md").read_text()
RULE, STAGE, VOTE = re.findall(r"^```yaml\n(.*?)^```", RECIPE, re.MULTILINE | re.DOTALL)


def picture(*colour: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (320, 240), colour).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository and of the store, so that nothing of the test stays."""
    shutil.copytree(store.root(), tmp_path / "store")
    shutil.copytree(REPOSITORY, tmp_path / "repository")
    monkeypatch.setenv(store.ENVIRONMENT, str(tmp_path / "store"))
    return tmp_path / "repository"


def test_the_recipe_with_a_network_that_calls_red_pictures_nsfw(repository: Path, tmp_path: Path) -> None:
    """Promise: added by the command, listed as the recipe says, it decides beside the detector and without it."""
    network = redness(tmp_path / "red.onnx")
    mapping = tmp_path / "labels.yaml"  # the recipe's classes in this network's order
    mapping.write_text("".join(reversed((RECIPES / "falconsai.yaml").read_text().splitlines(keepends=True)[1:])))
    options = ["--activation=softmax", "--normalise=unit", "--licence=Apache-2.0", f"--repository={repository}"]
    source = [f"--source=onnx:{network}", f"--labels={mapping}"]
    command = [str(COMMAND), "models", "add", contract.SAFETY_CLASSIFIER, *source, *options]
    added = subprocess.run(command, capture_output=True, text=True)
    assert added.returncode == 0, added.stderr

    policy = repository / contract.DECISION_LOGIC / "1" / "policy.yaml"
    start = "      - id: explicit-nudity\n"
    assert start in policy.read_text()
    policy.write_text(policy.read_text().replace(start, RULE + start, 1))
    pipeline = repository / contract.ENTRY / "1" / FILE
    shipped = pipeline.read_text()
    pipeline.write_text(shipped.replace("stages:\n", STAGE) + VOTE)

    red, green = picture(255, 0, 0), picture(0, 255, 0)
    with launched(tmp_path, f"--repository={repository}") as running, Client(running.http) as client:
        calm, alarmed = client.moderate([green, red])
        for result in (calm, alarmed):
            jsonschema.validate(result, schemas.result())
            assert contract.SAFETY_CLASSIFIER not in result["unknown"]
            assert result["versions"][contract.SAFETY_CLASSIFIER] == "1"
        assert calm["labels"] == []
        (label,) = alarmed["labels"]
        assert (label["name"], label["source"], label["box"]) == ("sexual/explicit", "safety-classifier:1", None)
        assert label["score"] > 0.99
        assert alarmed["decision"] == "allow", "`both`: the detector saw nothing, so one network does not suffice"

        pipeline.write_text(re.sub(r"  safety-detector: .*\n", "", shipped.replace("stages:\n", STAGE)))
        running.control.load(contract.ENTRY)
        running.control.unload(contract.SAFETY)
        calm, alarmed = client.moderate([green, red])
        assert (calm["decision"], alarmed["decision"]) == ("allow", "block")
        assert contract.SAFETY not in alarmed["unknown"]
        assert alarmed["categories"]["sexual"] == label["score"]
        assert alarmed["reasons"][0]["evidence"]["label"] == "sexual/explicit"
