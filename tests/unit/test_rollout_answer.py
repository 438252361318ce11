"""An item through versions on trial: what fails is made good, what is shared is not repeated."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from moderation import contract, schemas
from moderation.errors import InputError, StageError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.launcher.run import REPOSITORY
from moderation.models.labels import Classes, Label
from moderation.pipeline.gates import Gates
from moderation.pipeline.items import Item
from moderation.pipeline.release import Release
from moderation.pipeline.run import Call, Labels, Run
from moderation.policy.evaluate import evaluate
from moderation.policy.load import load
from moderation.rollout.answer import Answer, Recorder, answer
from moderation.rollout.load import LiveItems
from moderation.rollout.plan import Plan
from moderation.samples import render

POLICY = load(REPOSITORY / contract.DECISION_LOGIC / "1")
# without gates: with them another kind of picture may have text read that was not read before
RELEASE = replace(Release.load(REPOSITORY / contract.ENTRY / "1"), gates=Gates())
SUNSET = render()["sunset.png"]
LABELS = Labels(
    Classes((Label(raw="X", name="nudity/explicit/buttocks"),)),
    Classes((Label(raw="P", name="photo"), Label(raw="D", name="document"))),
)


class Stages:
    """The stages' own code where it needs no network; versions that are listed do not answer."""

    def __init__(self, *broken: tuple[str, int]) -> None:
        self.broken, self.calls = broken, Counter[tuple[str, int]]()

    async def __call__(
        self, model: str, version: int, inputs: Mapping[str, Any], outputs: Sequence[str], parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        asked = [
            (model, version),
            *((reader, int(v)) for reader, v in parameters.items() if reader in contract.READERS),
        ]
        self.calls.update(asked)
        if any(one in self.broken for one in asked):
            raise StageError(f"{model} {version} is gone")
        value = next(iter(inputs.values())).reshape(-1)[0]
        if model == contract.PREPROCESSOR:
            found = preprocess(value, PreprocessConfig())
            pixels = {"SAFETY_PIXELS": found.safety, "CLASSIFIER_PIXELS": found.classifier, "TEXT_PIXELS": found.text}
            return {**pixels, "INFO": np.array([json.dumps(found.info).encode()], object)}
        if model == contract.CLASSIFIER:
            return {"PROBABILITIES": np.array([[0.1, 0.9] if version == 2 else [0.9, 0.1]])}
        if model == contract.SAFETY:
            return {"CANDIDATES": np.zeros((1, 300, 6), np.float32)}
        if model == contract.OCR:
            return {"TEXT": np.array([b"EXIT"], object), "SCORE": np.ones(1), "QUAD": np.zeros((1, 4, 2))}
        signals = json.loads(value)
        if version == 3 and signals["profile"] == "strict":
            fault = InputError("no such profile", reason="unknown_profile").as_fault()
            return {"VERDICT": np.array([json.dumps({"fault": fault}).encode()], object)}
        return {"VERDICT": np.array([json.dumps(evaluate(POLICY, signals)).encode()], object)}


def plan(model: str, version: int) -> Plan:
    return Plan({**RELEASE.versions, model: version}, {model: "subject"}, {model: 1})


def run(found: Plan, call: Call) -> Run:
    release = replace(RELEASE, versions=found.versions)
    return Run(call, release, LABELS, time.monotonic() + 10, lambda: False)


def answered(stages: Stages, found: Plan, profile: str | None = None) -> Answer:
    made = asyncio.run(answer(Item(SUNSET, None, profile), found, stages, run))
    jsonschema.validate({**made.result, "request_id": "x"}, schemas.result())
    return made


def test_the_version_on_trial_answers() -> None:
    """Promise: its answer counts, and RESULT names it."""
    made = answered(Stages(), plan(contract.CLASSIFIER, 2))
    assert made.result["content_type"]["name"] == "document"
    assert made.result["versions"][contract.CLASSIFIER] == "2"
    assert made.result["routes"] == {contract.CLASSIFIER: {"version": 2, "by": "subject"}}
    assert made.failed == ()


def test_the_stable_version_stands_in_and_nothing_else_is_repeated() -> None:
    """Promise: a network that fails costs one call of the stable one and one of the policy, and counts as its error."""
    stages = Stages((contract.CLASSIFIER, 2))
    made = answered(stages, plan(contract.CLASSIFIER, 2))
    assert (made.result["content_type"]["name"], made.result["unknown"]) == ("photo", [])
    assert made.result["routes"][contract.CLASSIFIER] == {"version": 1, "by": "fallback"}
    assert made.failed == ((contract.CLASSIFIER, 2),)
    assert stages.calls[contract.PREPROCESSOR, 1] == stages.calls[contract.SAFETY, 1] == 1


def test_a_network_of_ocr_engine_is_on_trial_like_a_stage() -> None:
    """Promise: ocr-engine is told the versions of its networks; if it fails with one on trial, the stable one reads."""
    stages = Stages((contract.TEXT_RECOGNIZER, 2))
    made = answered(stages, plan(contract.TEXT_RECOGNIZER, 2))
    assert made.result["unknown"] == []
    assert made.result["versions"][contract.TEXT_RECOGNIZER] == "1"
    assert made.result["routes"][contract.TEXT_RECOGNIZER] == {"version": 1, "by": "fallback"}
    assert made.failed == ((contract.TEXT_RECOGNIZER, 2),)
    assert stages.calls[contract.OCR, 1] == 2
    assert stages.calls[contract.TEXT_DETECTOR, 1] == 2


def test_a_policy_that_knows_less_refuses_nobody() -> None:
    """Promise: what only the version on trial refuses, the stable one decides; what both refuse is refused."""
    made = answered(Stages(), plan(contract.DECISION_LOGIC, 3), "strict")
    assert made.failed == ((contract.DECISION_LOGIC, 3),)
    assert made.result["versions"][contract.DECISION_LOGIC] == "1"
    with pytest.raises(InputError):
        asyncio.run(answer(Item(b"none", None, None), plan(contract.DECISION_LOGIC, 3), Stages(), run))


def test_where_both_fail_both_are_to_blame() -> None:
    """Promise: an outage of everything is not held against the version on trial alone."""
    stages = Stages((contract.CLASSIFIER, 2), (contract.CLASSIFIER, 1))
    made = answered(stages, plan(contract.CLASSIFIER, 2))
    assert made.result["unknown"] == [contract.CLASSIFIER]
    assert made.failed == ((contract.CLASSIFIER, 2), (contract.CLASSIFIER, 1))


def test_a_shadow_repeats_only_its_own_stage_and_the_policy() -> None:
    """Promise: a look of another classifier costs one call of it and one of the policy."""
    stages = Stages()
    first = answered(stages, replace(plan(contract.CLASSIFIER, 1), shadows=((contract.CLASSIFIER, 2),)))
    before = stages.calls.copy()
    looking = Plan({**RELEASE.versions, contract.CLASSIFIER: 2})
    asyncio.run(answer(Item(SUNSET, None, None), looking, Recorder(stages, first.answers), run))
    assert stages.calls - before == {(contract.CLASSIFIER, 2): 1, (contract.DECISION_LOGIC, 1): 1}


def test_items_in_work_are_counted_over_processes(tmp_path: Path) -> None:
    """Promise: every instance sees what all are at work on; one that starts anew forgets its own."""
    one, two = LiveItems(tmp_path / "live", 0), LiveItems(tmp_path / "live", 1)
    with one, two, two:
        assert one.total() == two.total() == 3
        assert LiveItems(tmp_path / "live", 1).total() == 1
    one.remove()
    two.remove()
