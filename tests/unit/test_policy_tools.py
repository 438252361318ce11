"""`moderation policy`: a policy can be checked, tested, explained and compared without a server."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from moderation import contract, schemas
from moderation.cli.main import app
from moderation.errors import InputError
from moderation.images.pipeline import PreprocessConfig, preprocess
from moderation.launcher.run import REPOSITORY
from moderation.models.labels import Classes, Label
from moderation.pipeline.items import Item
from moderation.pipeline.moderate import moderate
from moderation.pipeline.release import Release
from moderation.pipeline.run import Labels, Run
from moderation.policy import replay
from moderation.policy.evaluate import evaluate
from moderation.policy.explain import explain
from moderation.policy.load import load
from moderation.samples import render
from unit.test_policy_evaluate import label, line, signals

STARTER = REPOSITORY / contract.DECISION_LOGIC / "1"
POLICY = load(STARTER)


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], input=stdin, env={"COLUMNS": "200"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the starter policy that a test may change."""
    return Path(shutil.copytree(STARTER, tmp_path / "2"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def result(found: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A RESULT as the pipeline makes it: from real stages, with the signals of a test in place of the networks'."""
    seen: list[dict[str, Any]] = []

    async def call(
        model: str, version: int, inputs: Mapping[str, Any], outputs: Sequence[str], parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        if model == contract.PREPROCESSOR:
            views = preprocess(next(iter(inputs.values())).reshape(-1)[0], PreprocessConfig())
            info = {**views.info, "codes": found["codes"]}
            pixels = {"SAFETY_PIXELS": views.safety, "CLASSIFIER_PIXELS": views.classifier, "TEXT_PIXELS": views.text}
            return {**pixels, "INFO": np.array([json.dumps(info).encode()], object)}
        if model == contract.SAFETY:
            rows = np.zeros((1, 300, 6), np.float32)
            for row, one in enumerate(found["labels"]):
                rows[0, row] = (0, 0, 50, 50, one["score"], 0)
            return {"CANDIDATES": rows}
        if model == contract.CLASSIFIER:
            return {"PROBABILITIES": np.array([[0.9, 0.1]])}
        if model == contract.OCR:
            texts = found["text"]
            quads = np.zeros((len(texts), 4, 2))
            scores = np.array([one["score"] for one in texts])
            return {"TEXT": np.array([t["text"].encode() for t in texts], object), "SCORE": scores, "QUAD": quads}
        seen.append(json.loads(next(iter(inputs.values())).reshape(-1)[0]))
        return {"VERDICT": np.array([json.dumps(evaluate(POLICY, seen[0])).encode()], object)}

    names = ("nudity/explicit/buttocks",), ("photo", "document")
    classes = [Classes(tuple(Label(raw=name.upper(), name=name) for name in some)) for some in names]
    release = Release.load(REPOSITORY / contract.ENTRY / "1")
    item = Item(render()["sunset.png"], found["caption"], found["profile"])
    labels = Labels(safety=classes[0], classifier=classes[1])
    work = Run(call, release, labels, 1e12, lambda: False, found["subject"])
    made = {**asyncio.run(moderate(item, work)), "request_id": "r-1", **more}
    return {"result": made, "signals": seen[0]}


# --- replay


def test_a_result_holds_the_signals_it_was_decided_on() -> None:
    """Promise: the same signals and version give the same decision, byte for byte, also from a recorded RESULT."""
    found = signals(
        profile="strict",
        labels=[label("nudity/explicit/buttocks", 0.4)],
        text=[line("free bitcoin")],
        caption="hello",
        codes=[{"format": "QRCode", "text": "https://example.com", "quad": [[0.0, 0.0]] * 4, "frame": 0}],
        subject={"x-tenant": "kids"},
    )
    made = result(found)
    jsonschema.validate(made["result"], schemas.result())
    recorded = {**json.loads(json.dumps(made["result"])), "caption": "hello", "subject": {"x-tenant": "kids"}}
    assert json.dumps(evaluate(POLICY, replay.to_signals(recorded))) == json.dumps(evaluate(POLICY, made["signals"]))
    assert replay.to_signals(recorded)["codes"] == found["codes"]


def test_what_two_networks_voted_is_replayed() -> None:
    """Promise: RESULT lists what each network said, and the replay sees what the policy saw."""
    found = {**result(signals())["result"], "labels": []}
    voted = {**label("nudity", 0.9, box=None, frame=0), "vote": {"score": 0.5, "source": "a:1 + b:1"}}
    dropped = {**label("violence", 0.2, box=None, frame=0), "vote": None}
    plain = label("person", 0.6, box=None, frame=0)
    found["labels"] = [voted, dropped, plain]
    jsonschema.validate(found, schemas.result())
    assert replay.to_signals(found)["labels"] == [{**plain, **voted["vote"], "name": "nudity"}, plain]


def test_records_that_cannot_be_replayed_are_named() -> None:
    """Promise: refused images are passed over, older RESULTs have no codes, broken lines are named by number."""
    old = {key: value for key, value in result(signals())["result"].items() if key != "codes"}
    refused = {"decision": "error", "error": {"code": "INVALID_ARG"}, "request_id": "x"}
    lines = [json.dumps(refused), "", json.dumps({**old, "file": "a.jpg"}), json.dumps(signals())]
    records = list(replay.read(lines))
    assert [(record.name, record.line) for record in records] == [("a.jpg", 3), ("line 4", 4)]
    assert records[0].signals["codes"] == []
    for broken, words in (
        ("[1]", "line 1 is not a JSON object"),
        ('{"decision": "allow", "reasons": []}', "line 1: .* lacks"),
    ):
        with pytest.raises(InputError, match=words):
            list(replay.read([broken]))
    with pytest.raises(InputError, match=r"line 1: SIGNALS: labels\[0\] is a JSON number"):
        replay.compare(POLICY, POLICY, replay.read([json.dumps({"labels": [1]})]))


# --- explain


def test_an_explanation_says_how_far_each_rule_was() -> None:
    """Promise: for every rule of the profile whether it matched, and the distance where there is one."""
    found = explain(
        POLICY, signals(labels=[label("nudity/explicit/anus", 0.41)], caption="buy likes", profile="balanced")
    )
    states = {rule.id: (rule.state, [detail.text for detail in rule.details]) for rule in found.rules}
    assert states["explicit-nudity"] == (
        "no match",
        ["nudity/explicit/anus 0.41 of 0.45 needed for review: 0.04 short"],
    )
    assert states["spam-and-scams"] == ("matches", ["scams: 'buy likes' in caption"])
    assert states["scam-with-code"][0] == "no match"
    assert states["scam-with-code"][1] == ['rule("spam-and-scams") is true', 'codes.exists(c, c.text != "") is false']
    assert found.closest is not None
    assert (found.closest[0].id, found.closest[1].short) == ("explicit-nudity", 0.04)


def test_an_explanation_covers_every_kind_of_rule(tmp_path: Path) -> None:
    """Promise: overridden, unknown and every kind of miss are told apart."""
    (tmp_path / "policy.yaml").write_text(f"""
profiles:
  default:
    rules:
      - {{id: nudity, kind: labels, message: m, thresholds: {{nudity: {{review: 0.4, block: 0.9}}}}}}
      - {{id: violence, kind: labels, message: m, thresholds: {{violence: {{block: 0.5}}}}}}
      - {{id: type, kind: content_type, message: m, types: {{photo: {{min_score: 0.95}}}}}}
      - {{id: other-type, kind: content_type, message: m, types: {{meme: {{min_score: 0.5}}}}}}
      - {{id: details, kind: findings, message: m, action: block, find: [email]}}
      - {{id: links, kind: links, message: m, action: block, any: true}}
      - {{id: files, kind: hash, message: m, action: block, digests: ['{"a" * 64}'], pdq: ['{"f" * 64}']}}
      - {{id: flat, kind: hash, message: m, action: block, pdq: ['{"e" * 64}'], min_quality: 100}}
      - {{id: ours, kind: text, message: m, action: allow, terms: [ours], overrides: [nudity]}}
      - {{id: code, kind: text, message: m, action: block, terms: [x y z], fields: [code]}}
      - {{id: guess, kind: expression, message: m, action: block, when: 'label("hate") > 0.25 && subject.age < 9'}}
""")
    policy = load(tmp_path)
    found = explain(
        policy,
        signals(
            labels=[label("nudity", 0.6)], caption="ours", codes=None, image={"pdq_quality": 90, "pdq": "f" * 62 + "00"}
        ),
    )
    states = {rule.id: (rule.state, "; ".join(detail.text for detail in rule.details)) for rule in found.rules}
    assert states["nudity"] == (
        "overridden",
        "nudity 0.60 of 0.40 needed for review; overridden by ours; nudity 0.60 of 0.90 needed for block: 0.30 short",
    )
    assert states["ours"][0] == "matches"
    assert states["violence"] == ("no match", "none of its labels was found")
    assert states["type"] == ("no match", "photo 0.90 of 0.95 needed: 0.05 short")
    assert states["other-type"] == ("no match", "the picture is photo 0.90; asks for meme")
    assert states["details"][0] == "unknown"
    assert "no signal from image-preprocessor" in states["code"][1]
    assert states["files"] == ("matches", f"files: '{'f' * 64}' in image.pdq")
    assert states["flat"] == ("no match", "the picture's quality is 90; PDQ needs 100")
    assert states["guess"] == (
        "no match",
        'label("hate") > 0.25 is false: it is 0.00, 0.25 away; subject.age < 9 is unknown',
    )
    far = explain(policy, signals(image={"pdq": "f" * 52 + "0" * 12}))
    misses = {rule.id: rule.details for rule in far.rules}
    assert "differs in 48 bits of 31 allowed" in misses["files"][0].text
    assert misses["files"][0].short == 17


# --- the commands


def test_check_accepts_what_the_server_accepts(folder: Path) -> None:
    """Promise: exit code 0 and the profiles, or exit code 2 and every fault; for machines with --json."""
    sound = run("check")
    assert sound.exit_code == 0
    assert "children (9 rules)" in sound.output
    machine = json.loads(run("check", "1", "--json").output)
    assert machine["sound"] is True
    assert machine["sha256"] == POLICY.sha256
    assert machine["tests"] > 40
    replace(folder / "policy.yaml", "nudity/explicit: {review: 0.45", "nudity/explict: {review: 0.95")
    refused = run("check", folder)
    assert refused.exit_code == 2
    assert refused.stderr.count("policy.yaml:") == 2
    assert json.loads(run("check", folder, "--json").stdout)["sound"] is False
    missing = run("check", "17")
    assert missing.exit_code == 2
    assert "versions: 1" in missing.stderr


def test_test_shows_what_was_expected_and_what_came(folder: Path) -> None:
    """Promise: exit code 1 and a readable difference when a test fails; rules without a test are named."""
    assert run("test").exit_code == 0
    replace(
        folder / "policy.yaml", "nudity/explicit/buttocks: {review: 0.55", "nudity/explicit/buttocks: {review: 0.50"
    )
    failed = run("test", folder)
    assert failed.exit_code == 1
    assert "a weak finding is no reason in a general community [balanced]" in failed.output
    assert [word for word in ("expected", "got", "decision", "allow", "review") if word not in failed.output] == []
    assert "56 of 57 tests hold" in failed.output
    (folder / "tests.yaml").unlink()
    assert json.loads(run("test", folder, "--json").output)["rules_without_test"][:2] == [
        "contact-details",
        "drug-sales",
    ]


def test_explain_prints_a_table_and_says_when_the_decision_differs(tmp_path: Path) -> None:
    """Promise: a RESULT is explained by the version that decided it; exit code 1 when it would be decided otherwise."""
    made = result(signals(labels=[label("nudity/explicit/buttocks", 0.5)]))["result"]
    shown = run("explain", "-", stdin=json.dumps(made))
    assert shown.exit_code == 0, shown.output
    assert "nudity/explicit/buttocks 0.50 of 0.55 needed for review: 0.05 short" in shown.output
    assert "nearest miss: explicit-nudity" in shown.output
    stricter = run("explain", "-", "--profile", "strict", stdin=json.dumps(made))
    assert stricter.exit_code == 1
    assert "the record says allow" in stricter.output
    file = tmp_path / "r.json"
    file.write_text(json.dumps(made, indent=2))
    machine = json.loads(run("explain", file, "--json").output)
    assert (machine["recorded"], machine["verdict"]["decision"]) == ("allow", "allow")
    assert {rule["id"] for rule in machine["rules"]} >= {"explicit-nudity", "scam-with-code"}
    for broken in ("{", "[]", '{"decision": "error", "error": {}, "reasons": []}'):
        assert run("explain", "-", stdin=broken).exit_code == 2
    assert run("explain", tmp_path / "none.json").exit_code == 2


def test_diff_shows_every_decision_that_changes(folder: Path, tmp_path: Path) -> None:
    """Promise: each change with its rules, a matrix, exit code 1; 0 when nothing changes; 2 when it cannot be read."""
    replace(folder / "policy.yaml", "nudity/explicit: {review: 0.45", "nudity/explicit: {review: 0.40")
    replace(folder / "policy.yaml", "  lenient:", "  relaxed:")
    records = tmp_path / "recorded.jsonl"
    found = [
        signals(labels=[label("nudity/explicit/anus", 0.42)]),
        signals(labels=[label("nudity/explicit/anus", 0.9)]),
        signals(profile="lenient"),
        signals(caption="buy likes", labels=[label("nudity/explicit/anus", 0.42)]),
    ]
    records.write_text("\n".join(json.dumps(one) for one in found))
    shown = run("diff", "1", folder, "--on", records)
    assert shown.exit_code == 1, shown.output
    assert "line 1" in shown.output
    assert "+ explicit-nudity" in shown.output
    assert "2 of 4 decisions change; 1 more change only their severity" in shown.output
    machine = json.loads(run("diff", "1", folder, "--on", records, "--json").output)
    assert machine["matrix"] == [
        {"before": "allow", "after": "refused", "records": 1},
        {"before": "allow", "after": "review", "records": 1},
        {"before": "block", "after": "block", "records": 1},
        {"before": "review", "after": "review", "records": 1},
    ]
    assert [change["came"] for change in machine["changes"]] == [["explicit-nudity"], [], ["explicit-nudity"]]
    assert run("diff", "1", "1", "--on", records).exit_code == 0
    assert run("diff", "1", folder, "--on", records, "--profile", "strict").exit_code == 0
    assert run("diff", "1", folder, "--on", tmp_path / "none").exit_code == 2
    records.write_text("\n")
    assert run("diff", "1", "1", "--on", records).exit_code == 2


def test_schema_prints_the_published_one() -> None:
    """Promise: what editors check against is what the code accepts."""
    assert json.loads(run("schema").output) == schemas.policy()
    assert "given" in json.dumps(json.loads(run("schema", "--tests").output))
