"""One item through the stages, with the stages' own code in this process where they need no network."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from moderation import contract, schemas
from moderation.errors import DeadlineError, InputError, StageError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.images.views import View
from moderation.launcher.run import REPOSITORY
from moderation.models.labels import Classes, Label
from moderation.pipeline.gates import Gates
from moderation.pipeline.items import Item
from moderation.pipeline.moderate import moderate
from moderation.pipeline.release import Release
from moderation.pipeline.run import Labels, Run
from moderation.policy.evaluate import evaluate
from moderation.policy.load import load
from moderation.safety.vote import Votes
from moderation.samples import render

POLICY = load(REPOSITORY / contract.DECISION_LOGIC / "1")
RELEASE = Release.load(REPOSITORY / contract.ENTRY / "1")


def classes(*names: str) -> Classes:
    return Classes(tuple(Label(raw=name.upper(), name=name) for name in names))


LABELS = Labels(
    classes("nudity/explicit/buttocks"),
    classes("photo", "document"),
    Classes((Label(raw="nsfw", name="sexual/explicit"), Label(raw="normal", name=None))),
    View(64, 48, letterbox=False),
)
NO_TEXT = {"TEXT": np.array([], object), "SCORE": np.zeros(0), "QUAD": np.zeros((0, 4, 2))}
Answers = dict[str, dict[str, Any] | Exception]


def healthy() -> Answers:
    """Answers of networks that see nothing."""
    return {
        contract.CLASSIFIER: {"PROBABILITIES": np.array([[0.9, 0.1]])},
        contract.SAFETY: {"CANDIDATES": np.zeros((1, 300, 6), np.float32)},
        contract.OCR: NO_TEXT,
    }


def run(
    answers: Answers,
    image: bytes | None = None,
    deadline: float = 10.0,
    cancelled: bool = False,
    release: Release = RELEASE,
) -> dict[str, Any]:
    async def call(
        model: str, version: int, inputs: Mapping[str, Any], outputs: Sequence[str], parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        if model in answers:
            answer = answers[model]
            if isinstance(answer, Exception):
                raise answer
            return answer
        value = next(iter(inputs.values())).reshape(-1)[0]
        if model == contract.PREPROCESSOR:
            try:
                found = preprocess(value, PreprocessConfig())
            except InputError as error:
                return {"INFO": np.array([json.dumps({"fault": error.as_fault()}).encode()], object)}
            pixels = {"SAFETY_PIXELS": found.safety, "CLASSIFIER_PIXELS": found.classifier, "TEXT_PIXELS": found.text}
            return {**pixels, "INFO": np.array([json.dumps(found.info).encode()], object)}
        return {"VERDICT": np.array([json.dumps(evaluate(POLICY, json.loads(value))).encode()], object)}

    item = Item(image if image is not None else render()["sunset.png"], None, None)
    return asyncio.run(moderate(item, Run(call, release, LABELS, time.monotonic() + deadline, lambda: cancelled)))


def test_nothing_found_is_allowed() -> None:
    """Promise: with every signal there and nothing in it, the picture is allowed, and every stage is named."""
    result = run(healthy())
    assert (result["decision"], result["unknown"]) == ("allow", [])
    assert result["content_type"]["name"] == "photo"
    assert set(result["versions"]) == {*RELEASE.versions, "policy", "taxonomy"}
    assert set(result["timings_ms"]) == {"preprocess", "classifier", "safety", "ocr", "policy", "total"}


@pytest.mark.parametrize("model", [contract.SAFETY, contract.OCR])
def test_a_stage_that_fails_is_unknown(model: str) -> None:
    """Promise: a person looks at what a stage could not, and the stage is named."""
    result = run({**healthy(), model: StageError("gone")})
    assert result["decision"] == "review"
    assert result["unknown"] == [model]
    assert model not in result["versions"]
    assert result["reasons"][0]["evidence"]["stage"] == model


def test_numbers_that_are_none_never_mean_allow() -> None:
    """Promise: NaN from a network is a failed stage."""
    candidates = np.zeros((1, 300, 6), np.float32)
    candidates[0, 0, 4] = np.nan
    assert run({**healthy(), contract.SAFETY: {"CANDIDATES": candidates}})["decision"] == "review"
    broken = run({**healthy(), contract.CLASSIFIER: {"PROBABILITIES": np.array([[np.nan, 1.0]])}})
    assert broken["unknown"] == [contract.CLASSIFIER]
    assert broken["content_type"] is None


def test_a_finding_decides() -> None:
    """Promise: a label above its threshold blocks, with its score, box and source as evidence."""
    candidates = np.zeros((1, 300, 6), np.float32)
    candidates[0, 0] = (10, 10, 100, 100, 0.95, 0)
    result = run({**healthy(), contract.SAFETY: {"CANDIDATES": candidates}})
    assert (result["decision"], result["severity"]) == ("block", 6)
    evidence = result["reasons"][0]["evidence"]
    assert (evidence["label"], evidence["source"]) == ("nudity/explicit/buttocks", "safety-detector:1")
    assert result["categories"] == {"nudity": 0.95, "nudity/explicit": 0.95, "nudity/explicit/buttocks": 0.95}


BOTH_RULE, _ = Votes.parse([{"names": ["nudity/explicit", "sexual/explicit"], "rule": "both"}])
WITH_JUDGE = replace(RELEASE, versions={**RELEASE.versions, contract.SAFETY_CLASSIFIER: 2})
CONFIRMED = replace(WITH_JUDGE, votes=BOTH_RULE)
JUDGE_ONLY = replace(WITH_JUDGE, versions={m: v for m, v in WITH_JUDGE.versions.items() if m != contract.SAFETY})


def judged(detected: float, nsfw: float) -> Answers:
    candidates = np.zeros((1, 300, 6), np.float32)
    candidates[0, 0] = (10, 10, 100, 100, detected, 0)
    scores = {"SCORES": np.array([[nsfw, 1 - nsfw]], np.float32)}
    return {**healthy(), contract.SAFETY: {"CANDIDATES": candidates}, contract.SAFETY_CLASSIFIER: scores}


def test_the_policy_sees_the_vote_and_the_labels_stay_as_found() -> None:
    """Promise: limits meet the vote's scores, `categories` has them too; each network's own score is in `labels`."""
    result = run(judged(0.95, 0.1), release=CONFIRMED)
    jsonschema.validate({**result, "request_id": "x"}, schemas.result())
    assert result["decision"] == "allow"
    assert [(x["name"], x["score"], x["source"]) for x in result["labels"]] == [
        ("nudity/explicit/buttocks", 0.95, "safety-detector:1"),
        ("sexual/explicit", 0.1, "safety-classifier:2"),
    ]
    assert result["labels"][1]["box"] is None
    assert result["categories"]["nudity/explicit"] == 0.1
    confirmed = run(judged(0.95, 0.9), release=CONFIRMED)
    assert confirmed["decision"] == "block"
    assert confirmed["reasons"][0]["evidence"]["source"] == "safety-detector:1 + safety-classifier:2"
    assert run(judged(0.95, 0.1), release=WITH_JUDGE)["decision"] == "block", "without a question either suffices"


def test_a_judge_that_fails_takes_nothing_back() -> None:
    """Promise: a listed safety-classifier without an answer is unknown, and the detector's finding stands."""
    sick: dict[str, Any] = {"SCORES": np.array([[np.nan, 0.5]], np.float32)}
    for answer in (StageError("gone"), sick):
        result = run({**judged(0.95, 0.1), contract.SAFETY_CLASSIFIER: answer}, release=CONFIRMED)
        assert result["unknown"] == [contract.SAFETY_CLASSIFIER]
        assert result["decision"] == "block"
    assert run({**judged(0.0, 0.0), contract.SAFETY_CLASSIFIER: sick}, release=CONFIRMED)["decision"] == "review"


def test_a_release_without_a_detector_does_not_miss_it() -> None:
    """Promise: a stage that a release does not list is not called, not unknown and not among the versions."""
    result = run({**judged(0.0, 0.7), contract.SAFETY: AssertionError("called")}, release=JUDGE_ONLY)
    assert result["unknown"] == []
    assert [x["name"] for x in result["labels"]] == ["sexual/explicit"]
    assert contract.SAFETY not in result["versions"]
    assert "safety_classifier" in result["timings_ms"]


def test_without_a_policy_a_person_decides() -> None:
    """Promise: a policy that does not answer is a review, never an allow."""
    result = run({**healthy(), contract.DECISION_LOGIC: StageError("gone")})
    assert result["decision"] == "review"
    assert result["reasons"][0]["rule"] == "policy-unavailable"


def test_without_pixels_there_is_no_decision() -> None:
    """Promise: the preprocessor is the one stage that cannot be missing."""
    with pytest.raises(StageError):
        run({**healthy(), contract.PREPROCESSOR: StageError("gone")})
    with pytest.raises(InputError, match="empty"):
        run(healthy(), image=b"")


def test_time_is_kept() -> None:
    """Promise: nothing is started for a request whose time is up or whose caller has gone."""
    with pytest.raises(DeadlineError, match="deadline"):
        run(healthy(), deadline=-1)
    with pytest.raises(DeadlineError, match="cancelled"):
        run(healthy(), cancelled=True)


def test_a_skipped_stage_is_named_and_not_unknown() -> None:
    """Promise: a stage that a gate skips is listed in `skipped`, and nobody calls its silence a failure."""
    gates, faults = Gates.parse({contract.SAFETY: [{"types": ["photo"], "min_score": 0.3, "do": "skip"}]})
    assert not faults
    answers = {**healthy(), contract.SAFETY: StageError("must not be called")}
    result = run(answers, release=replace(RELEASE, gates=gates))
    assert result["skipped"] == [contract.SAFETY]
    assert result["unknown"] == []
    assert run(answers)["unknown"] == [contract.SAFETY]


def test_codes_are_in_the_result_with_their_frame() -> None:
    """Promise: a code in the picture is reported with what it says and where it is, in pixels of the full picture."""
    code = zxingcpp.create_barcode("https://example.org", zxingcpp.BarcodeFormat.QRCode)
    picture = Image.fromarray(np.pad(np.array(code.to_image(scale=10)), 900, constant_values=255)).convert("RGB")
    target = io.BytesIO()
    picture.save(target, "PNG")
    (found,) = run(healthy(), target.getvalue())["codes"]
    assert (found["format"], found["text"], found["frame"]) == ("QRCode", "https://example.org", 0)
    assert np.allclose(np.mean(found["quad"], axis=0), [picture.width / 2, picture.height / 2], atol=30)
