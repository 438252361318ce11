"""Label names: three levels, declared, and every network's classes are mapped to them by data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from moderation import contract
from moderation.cli.main import app
from moderation.errors import ConfigError, ModelBuildError, StageError
from moderation.launcher.run import REPOSITORY
from moderation.models import manifest
from moderation.models.labels import Classes, Label
from moderation.pipeline.labels import load_labels
from moderation.pipeline.release import Release
from moderation.taxonomy import Taxonomy, parents
from moderation.taxonomy.scores import categories

TAXONOMY = Taxonomy.load()
DETECTOR = REPOSITORY / contract.SAFETY / "1" / manifest.FILE


def test_every_name_is_described_and_has_its_parents() -> None:
    """Promise: a tree of at most three levels in which a person can look up each name."""
    for name, about in TAXONOMY.labels.items():
        assert about.endswith("."), name
        assert name.count("/") <= 2
        assert set(parents(name)) <= TAXONOMY.labels.keys()
    assert TAXONOMY.version.count(".") == 2


def test_names_that_are_declared_or_custom_are_known() -> None:
    """Promise: leaves, parents and content types may be used; a model of one's own brings names below custom/."""
    for name in ("nudity", "nudity/explicit", "nudity/explicit/buttocks", "photo", "code_2d", "custom/logo/acme"):
        assert TAXONOMY.knows(name), name
    for name in ("nudity/explicit/", "Nudity", "naked", "custom/a/b/c", "custom/A", "custom/", ""):
        assert not TAXONOMY.knows(name), name
    assert TAXONOMY.suggest("nudity/explict/butocks") == "nudity/explicit/buttocks"
    assert TAXONOMY.suggest("zzzzzz") is None


def test_the_tree_can_be_walked() -> None:
    """Promise: topics, what is below a name, and the names with nothing below."""
    assert {"nudity", "violence", "hate", "self-harm"} <= set(TAXONOMY.children(""))
    assert TAXONOMY.children("nudity") == ("nudity/explicit", "nudity/suggestive")
    assert TAXONOMY.children("nudity/explicit/anus") == ()
    assert "nudity/explicit/anus" in TAXONOMY.leaves()
    assert "nudity/explicit" not in TAXONOMY.leaves()
    assert parents("a/b/c") == ("a", "a/b")


def test_faults_of_a_taxonomy_file_are_all_named(tmp_path: Path) -> None:
    """Promise: a name without its parent, of another form, or without a description is refused."""
    path = tmp_path / "taxonomy.yaml"
    path.write_text("version: 1.0.0\nlabels: {a/b: x, C: y, d: ''}\ncontent_types: {d: z}\n")
    with pytest.raises(ConfigError) as caught:
        Taxonomy.read(path)
    for words in ("`a/b` needs a line for `a`", "`C` must be", "`d` needs a description", "`d` is a label and"):
        assert words in caught.value.message


def test_a_parent_has_the_greatest_score_below_it() -> None:
    """Promise: a policy may put a limit on any level."""
    found = categories([("a/b/c", 0.3), ("a/b/d", 0.7), ("a/e", 0.5), ("a/b/c", 0.1)])
    assert found == {"a": 0.7, "a/b": 0.7, "a/b/c": 0.3, "a/b/d": 0.7, "a/e": 0.5}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nudity/explicit/anus", "nudity/explicit/anuss", r"labels\[6\] \(ANUS_EXPOSED\).*mean `nudity/explicit/anus`"),
        ("nudity/explicit/anus", "photo", "cannot be used for safety-detector"),
        ("raw: ANUS_EXPOSED", "raw: FEET_EXPOSED", "raw name `FEET_EXPOSED` is there 2 times"),
        ("{raw: ANUS_EXPOSED, name: nudity/explicit/anus}", "{raw: ANUS_EXPOSED}", r"labels\.6\.name"),
        ("name: nudity/explicit/anus}", "name: nudity/explicit/anus, weight: 2.0}", r"labels\.6\.weight"),
    ],
)
def test_a_label_that_is_not_known_is_refused_at_load(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Promise: a wrong mapping is found when a network is built and when the entry model loads, never by a request."""
    path = tmp_path / contract.SAFETY / "1" / manifest.FILE
    path.parent.mkdir(parents=True)
    text = DETECTOR.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelBuildError, match=words) as caught:
        manifest.load(path)
    assert str(path) in caught.value.message
    with pytest.raises(ModelBuildError, match=words):
        load_labels(tmp_path, Release.load(REPOSITORY / contract.ENTRY / "1"))


def test_a_content_classifier_gives_content_types(tmp_path: Path) -> None:
    """Promise: its names are content types, or custom ones; every class needs one."""
    path = tmp_path / contract.CLASSIFIER / "1" / manifest.FILE
    path.parent.mkdir(parents=True)
    head = "description: d\nversion: v\nlicence: l\nsource: {kind: file, path: a.onnx}\nlabels: "
    path.write_text(head + "[{raw: a, name: photo}, {raw: b, name: custom/map}]")
    assert manifest.load(path).mapping().names() == ("photo", "custom/map")
    path.write_text(head + "[{raw: a, name: nudity}, {raw: b, name: null}]")
    with pytest.raises(ModelBuildError) as caught:
        manifest.load(path)
    assert "`nudity` cannot be used for content-classifier; allowed: photo, document" in caught.value.message
    assert "labels[1] (b): every class of a content-classifier needs a name" in caught.value.message


def test_scores_of_classes_become_scores_of_names() -> None:
    """Promise: classes that exclude each other add up, independent ones do not; weights count; null means nothing."""
    labels = (
        Label(raw="porn", name="sexual/explicit"),
        Label(raw="hentai", name="sexual/explicit"),
        Label(raw="sexy", name="sexual/suggestive", weight=0.5),
        Label(raw="neutral", name=None),
    )
    values = np.array([0.5, 0.3, 0.1, 0.1], np.float32)
    scores = Classes(labels, exclusive=True).scores(values, "m")
    assert scores == pytest.approx({"sexual/explicit": 0.8, "sexual/suggestive": 0.05})
    scores = Classes(labels, exclusive=False).scores(values, "m")
    assert scores == pytest.approx({"sexual/explicit": 0.5, "sexual/suggestive": 0.05})


@pytest.mark.parametrize("values", [[0.5], [0.5, float("nan")], [1.5, 0.0], [-0.5, 0.5], [float("inf"), 0.0]])
def test_values_that_are_no_probabilities_are_a_failed_stage(values: list[float]) -> None:
    """Promise: NaN, logits and another number of classes never mean "nothing found"."""
    classes = Classes((Label(raw="a", name="nudity"), Label(raw="b", name=None)))
    with pytest.raises(StageError, match="no probabilities"):
        classes.scores(np.array(values, np.float32), "m")


def test_the_names_are_shown_with_the_networks_that_give_them() -> None:
    """Promise: `models labels` tells a policy's author what can be asked for and who answers."""
    answer = CliRunner().invoke(app, ["models", "labels"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    assert f"taxonomy {TAXONOMY.version}" in answer.output
    (line,) = [x for x in answer.output.splitlines() if "Uncovered buttocks." in x]
    assert line.endswith("[safety-detector:1]")
