"""Two safety networks, one answer: the vote, and what RESULT and the policy see of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moderation import contract
from moderation.errors import ConfigError
from moderation.launcher.run import REPOSITORY
from moderation.pipeline.release import FILE, Release
from moderation.safety.vote import Finding, Opinion, Votes, vote

PIPELINE = (REPOSITORY / contract.ENTRY / "1" / FILE).read_text()


def finding(source: str, name: str, score: float, frame: int = 0) -> Finding:
    return {"name": name, "score": score, "box": None, "source": source, "frame": frame}


def detector(*found: tuple[str, float], frame: int = 0) -> Opinion:
    names = ["nudity/explicit/buttocks", "nudity/explicit/anus", "person/face/male"]
    return Opinion("safety-detector:1", names, [finding("safety-detector:1", *f, frame) for f in found])


def classifier(*found: tuple[str, float], frame: int = 0) -> Opinion:
    names = ["sexual/explicit"]
    return Opinion("safety-classifier:2", names, [finding("safety-classifier:2", *f, frame) for f in found])


def votes(rule: str, *names: str) -> Votes:
    found, faults = Votes.parse([{"names": list(names or ("nudity/explicit", "sexual/explicit")), "rule": rule}])
    assert not faults
    return found


def seen(result: list[Finding]) -> list[tuple[str, float]]:
    return [(f["name"], f["score"]) for f in result]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("max", [("nudity/explicit/buttocks", 0.8), ("sexual/explicit", 0.4)]),
        ("mean", [("nudity/explicit/buttocks", 0.6), ("sexual/explicit", 0.6)]),
        ("both", [("nudity/explicit/buttocks", 0.4), ("sexual/explicit", 0.4)]),
    ],
)
def test_the_rule_of_a_question_decides(rule: str, wanted: list[tuple[str, float]]) -> None:
    """Promise: max lets either suffice, mean takes the middle, both takes the smaller."""
    result = vote([detector(("nudity/explicit/buttocks", 0.8)), classifier(("sexual/explicit", 0.4))], votes(rule))
    assert seen(result) == wanted


def test_a_network_that_looked_and_found_nothing_votes_nought() -> None:
    """Promise: with `both`, one network alone never suffices."""
    assert seen(vote([detector(), classifier(("sexual/explicit", 0.9))], votes("both"))) == [("sexual/explicit", 0.0)]
    assert seen(vote([detector(), classifier(("sexual/explicit", 0.9))], votes("mean"))) == [("sexual/explicit", 0.45)]


def test_a_network_that_cannot_answer_has_no_vote() -> None:
    """Promise: other labels, and all labels while the other network is missing, keep their own score."""
    face = detector(("person/face/male", 0.9))
    assert seen(vote([face, classifier(("sexual/explicit", 0.1))], votes("both")))[0] == ("person/face/male", 0.9)
    only_detector = votes("both", "nudity/explicit")
    found = vote([detector(("nudity/explicit/anus", 0.9)), classifier(("sexual/explicit", 0.1))], only_detector)
    assert seen(found) == [("nudity/explicit/anus", 0.9), ("sexual/explicit", 0.1)]
    assert seen(vote([detector(("nudity/explicit/anus", 0.9))], votes("both"))) == [("nudity/explicit/anus", 0.9)]
    assert vote([], votes("both")) == []


def test_frames_are_asked_separately() -> None:
    """Promise: an animation's frame is not confirmed by another frame."""
    found = vote(
        [detector(("nudity/explicit/anus", 0.9)), classifier(("sexual/explicit", 0.9), frame=1)], votes("both")
    )
    assert [f["score"] for f in found] == [0.0, 0.0]


def test_the_nearest_name_chooses_the_question() -> None:
    """Promise: an exception for a label below a name is possible."""
    document = [
        {"names": ["nudity/explicit", "sexual/explicit"], "rule": "both"},
        {"names": ["nudity/explicit/anus"], "rule": "max"},
    ]
    exceptions, _ = Votes.parse(document)
    labels = detector(("nudity/explicit/buttocks", 0.9), ("nudity/explicit/anus", 0.9))
    assert [f["score"] for f in vote([labels, classifier(("sexual/explicit", 0.2))], exceptions)] == [
        0.2,
        0.9,
        0.2,
    ]


def test_evidence_names_both_networks() -> None:
    """Promise: a score that two networks made is not shown as one network's."""
    result = vote([detector(("nudity/explicit/anus", 0.8)), classifier(("sexual/explicit", 0.4))], votes("both"))
    assert result[0]["source"] == "safety-detector:1 + safety-classifier:2"
    assert result[1]["source"] == "safety-classifier:2 + safety-detector:1"


def release(tmp_path: Path, text: str) -> Release:
    (tmp_path / FILE).write_text(text)
    return Release.load(tmp_path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{names: [nudity/explict], rule: both}", "did you mean `nudity/explicit`"),
        ("{names: [nudity], rule: most}", "is `most`; allowed: max, mean, both"),
        ("{names: [nudity]}", "exactly `names`, a list, and `rule`"),
        ("{names: [nudity, nudity], rule: max}", "in two questions"),
    ],
)
def test_faults_of_a_vote_are_refused_at_load(tmp_path: Path, entry: str, words: str) -> None:
    """Promise: a release with a wrong vote never loads, and the message says what is allowed."""
    with pytest.raises(ConfigError, match=words):
        release(tmp_path, f"{PIPELINE}\nvote:\n  - {entry}\n")


def test_a_release_needs_somebody_who_looks(tmp_path: Path) -> None:
    """Promise: either safety network may be left out, not both, and nothing else may."""
    line = "  safety-detector: { version: 1 }\n"
    other = "  safety-classifier: { version: 3 }\n"
    assert line in PIPELINE
    assert release(tmp_path, PIPELINE.replace(line, other)).versions[contract.SAFETY_CLASSIFIER] == 3
    assert contract.SAFETY not in release(tmp_path, PIPELINE.replace(line, other)).versions
    assert contract.SAFETY in release(tmp_path, PIPELINE.replace(line, line + other)).versions
    with pytest.raises(ConfigError, match="none of safety-detector, safety-classifier"):
        release(tmp_path, PIPELINE.replace(line, ""))
    with pytest.raises(ConfigError, match=r"stages.ocr-engine.version is None"):
        release(tmp_path, PIPELINE.replace("  ocr-engine: { version: 1 }\n", ""))
    with pytest.raises(ConfigError, match="unknown key `votes`"):
        release(tmp_path, PIPELINE + "votes: []\n")


def test_the_example_in_the_shipped_file_is_valid() -> None:
    """Promise: what stands there as a comment can be uncommented."""
    import yaml

    commented = [line.removeprefix("# ") for line in PIPELINE.splitlines() if line.startswith(("# vote:", "#   - "))]
    document: dict[str, Any] = yaml.safe_load("\n".join(commented))
    found, faults = Votes.parse(document["vote"])
    assert faults == []
    assert found.rules
