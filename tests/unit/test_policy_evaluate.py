"""What a policy decides: every rule that matches is told, the strongest counts, the unknown never means allow."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation import contract
from moderation.errors import InputError
from moderation.launcher.run import REPOSITORY
from moderation.policy.evaluate import evaluate
from moderation.policy.load import load
from moderation.policy.rules import Policy, strength
from moderation.policy.verdict import Verdict

SHA, PDQ = "ab" * 32, "f0" * 32
NEAR = "f1" + PDQ[2:]
"""One bit away from PDQ."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "1"


def policy(folder: Path, *rules: str, head: str = "", **lists: str) -> Policy:
    """A policy whose default profile has these rules."""
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    for name, content in lists.items():
        (folder / "lists" / name.replace("__", ".")).write_text(content)
    body = "".join(f"      - {rule}\n" for rule in rules)
    (folder / "policy.yaml").write_text(f"profiles:\n  default:\n{head}    rules:\n{body or '      []'}\n")
    return load(folder)


def signals(**members: Any) -> dict[str, Any]:
    """Signals of a picture in which nothing was found."""
    image = {"sha256": "0" * 64, "pdq": "0" * 64, "pdq_quality": 100, "format": "PNG", "width": 10, "height": 10}
    return {
        "profile": None,
        "labels": [],
        "content_type": {"name": "photo", "score": 0.9},
        "text": [],
        "caption": None,
        "codes": [],
        "image": {**image, "bytes": 99, "frames": 1, **members.pop("image", {})},
        "subject": {},
        "unknown": [],
        **members,
    }


def label(name: str, score: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "score": score, "source": "safety-detector:1", **more}


def line(text: str, score: float = 0.9, **more: Any) -> dict[str, Any]:
    return {"text": text, "score": score, **more}


def rules(verdict: Verdict) -> list[str]:
    return [reason["rule"] for reason in verdict["reasons"]]


NUDITY = "{id: nudity, kind: labels, message: m, thresholds: {nudity: {review: 0.5, block: 0.8}}}"
SPAM = "{id: spam, kind: text, message: m, action: review, terms: [free bitcoin]}"
KNOWN = f"{{id: known, kind: hash, message: m, action: block, digests: ['{SHA}']}}"


def test_all_rules_that_match_are_reported_and_the_strongest_decides(folder: Path) -> None:
    """Promise: reasons come strongest first, each with evidence and where it was found."""
    both = policy(folder, NUDITY, SPAM, KNOWN)
    verdict = evaluate(
        both,
        signals(
            labels=[label("nudity/explicit/anus", 0.7, box=[1, 2, 3, 4])],
            text=[line("get free"), line("bitcoin", quad=[[0, 0], [1, 0], [1, 1], [0, 1]])],
            caption="Free Bitcoin!",
            image={"sha256": SHA.upper()},
        ),
    )
    assert (verdict["decision"], verdict["severity"]) == ("block", 6)
    assert [(r["rule"], r["triggered_by"]) for r in verdict["reasons"]] == [
        ("known", "hash"),
        ("nudity", "pixels"),
        ("spam", "caption"),
        ("spam", "ocr_text"),
    ]
    assert verdict["reasons"][1]["evidence"] == {
        "label": "nudity/explicit/anus",
        "score": 0.7,
        "threshold": 0.5,
        "box": [1.0, 2.0, 3.0, 4.0],
        "frame": 0,
        "source": "safety-detector:1",
    }
    assert [m["matched"] for m in verdict["matches"]] == [SHA, "free bitcoin", "free bitcoin"]


def test_codes_are_a_field_of_text(folder: Path) -> None:
    """Promise: what a QR code says is searched like the caption and the picture's text."""
    found = evaluate(policy(folder, SPAM), signals(codes=[{"format": "QRCode", "text": "free bitcoin", "frame": 2}]))
    assert [(r["triggered_by"], r["evidence"]["frame"]) for r in found["reasons"]] == [("code", 2)]


def test_details_and_links_know_exceptions(folder: Path) -> None:
    """Promise: contact details count from a number on, one's own domains do not, and evidence does not repeat them."""
    both = policy(
        folder,
        "{id: contact, kind: findings, message: m, action: block, find: [email, phone], min_count: 2, "
        "allowed: [ours.example.com, '+12025550143']}",
        "{id: bad-links, kind: links, message: m, action: block, domains: [evil.com], lists: [more]}",
        "{id: out, kind: links, message: m, action: review, any: true, allowed: [ours.com]}",
        more__txt="worse.org\n",
    )
    one = evaluate(both, signals(caption="a@b.com, team@ours.example.com or +1 202 555 0143"))
    assert rules(one) == []
    two = evaluate(both, signals(caption="a@b.com", text=[line("or c@d.org")]))
    assert rules(two) == ["contact", "contact"]
    assert "a@b" not in json.dumps(two["reasons"])
    links = evaluate(both, signals(text=[line("see www.evil.com/x")], caption="https://my.ours.com http://worse.org"))
    assert [(r["rule"], r["evidence"]["list"]) for r in links["reasons"]] == [
        ("bad-links", "more"),
        ("bad-links", "bad-links"),
        ("out", "any link"),
        ("out", "any link"),
    ]


def test_known_pictures_are_found_by_file_and_by_look(folder: Path) -> None:
    """Promise: lists of hashes give id, source and note; PDQ keeps to its limits of distance and quality."""
    both = policy(
        folder,
        "{id: files, kind: hash, message: m, action: block, lists: [bank]}",
        f"{{id: looks, kind: hash, message: m, action: review, pdq_lists: [looks], pdq: ['{'0' * 63}f']}}",
        "{id: exact-looks, kind: hash, message: m, action: block, pdq_lists: [looks], max_distance: 0}",
        bank__csv=f'hash,id,source,note\n{SHA},a-1,partner,"seen, May"\n',
        looks__txt=f"{PDQ}\n",
    )
    found = evaluate(both, signals(image={"sha256": SHA, "pdq": NEAR, "pdq_quality": 50}))
    assert [(r["rule"], r["action"]) for r in found["reasons"]] == [("files", "block"), ("looks", "review")]
    files, looks = (reason["evidence"] for reason in found["reasons"])
    assert (files["list"], files["id"], files["source"], files["note"]) == ("bank", "a-1", "partner", "seen, May")
    assert (looks["list"], looks["id"], looks["distance"], looks["field"]) == ("looks", PDQ, 1, "image.pdq")
    assert rules(evaluate(both, signals(image={"pdq": NEAR, "pdq_quality": 49}))) == []
    assert rules(evaluate(both, signals(image={"pdq": "0" * 64}))) == ["looks"]
    assert rules(evaluate(both, signals(image={"pdq": None}))) == ["unknown-signal"]


def test_exceptions_say_what_they_override(folder: Path) -> None:
    """Promise: an allow-rule silences exactly what it names; the silenced reasons stay visible."""
    allowing = f"{{id: ours, kind: hash, message: m, action: allow, digests: ['{SHA}'], overrides: [nudity]}}"
    one = policy(folder, NUDITY, SPAM, allowing)
    ours = {"labels": [label("nudity", 0.9)], "image": {"sha256": SHA}}
    verdict = evaluate(one, signals(**ours))
    assert (verdict["decision"], verdict["severity"]) == ("allow", 0)
    assert [(r["rule"], r.get("overridden_by")) for r in verdict["reasons"]] == [("ours", None), ("nudity", "ours")]
    assert evaluate(one, signals(**ours, caption="free bitcoin"))["decision"] == "review"
    assert evaluate(one, signals(**ours, unknown=["ocr-engine"]))["decision"] == "review"
    assert evaluate(one, signals(labels=ours["labels"]))["decision"] == "block"


def test_everything_means_everything_but_what_is_final_or_unknown(folder: Path) -> None:
    """Promise: `final` rules, missing signals and broken numbers are out of reach of `everything`."""
    final = NUDITY.replace("id: nudity", "id: final, final: true").replace("{nudity:", "{violence:")
    allowing = f"{{id: ours, kind: hash, message: m, action: allow, digests: ['{SHA}'], overrides: [everything]}}"
    one = policy(folder, NUDITY, final, allowing, head="    default_action: review\n")
    ours = {"image": {"sha256": SHA}}
    assert evaluate(one, signals(**ours, labels=[label("nudity", 0.9)]))["decision"] == "allow"
    assert evaluate(one, signals(**ours, labels=[label("violence", 0.9)]))["decision"] == "block"
    assert evaluate(one, signals(**ours, unknown=["safety-detector"]))["decision"] == "review"
    named = allowing.replace("[everything]", "[everything, unknown-signal]")
    two = policy(folder, NUDITY, final, named)
    assert evaluate(two, signals(**ours, unknown=["safety-detector"]))["decision"] == "allow"
    assert evaluate(two, signals(**ours, labels=[label("nudity", float("nan"))]))["decision"] == "review"


def test_the_default_action_is_a_floor(folder: Path) -> None:
    """Promise: a profile may review or block whatever no allow-rule lets through."""
    allowing = "{id: signs, kind: content_type, message: m, types: {document: {action: review, min_score: 0.5}}}"
    friends = "{id: friends, kind: expression, message: m, action: allow, overrides: [default-action], "
    friends += "when: 'subject.tier == \"friend\"'}"
    one = policy(folder, NUDITY, allowing, friends, head="    default_action: block\n")
    assert rules(evaluate(one, signals())) == ["default-action"]
    assert evaluate(one, signals(content_type={"name": "document", "score": 0.9}))["decision"] == "block"
    assert evaluate(one, signals(subject={"tier": "friend"}))["decision"] == "allow"
    assert evaluate(one, signals(subject={"tier": "friend"}, labels=[label("nudity", 0.6)]))["decision"] == "review"


def test_expressions_see_signals_and_the_other_rules(folder: Path) -> None:
    """Promise: a combination decides, and shows the values that it read."""
    when = 'rule("spam") && content_type.name == "screenshot" && label("nudity") < 0.3'
    one = policy(
        folder,
        SPAM.replace("review", "allow"),
        f"{{id: e, kind: expression, message: m, action: block, when: '{when}'}}",
    )
    kind = {"name": "screenshot", "score": 0.8}
    verdict = evaluate(one, signals(caption="free bitcoin", content_type=kind))
    assert [(r["rule"], r["action"]) for r in verdict["reasons"]] == [("e", "block"), ("spam", "allow")]
    assert verdict["reasons"][0]["triggered_by"] == "combination"
    assert verdict["reasons"][0]["evidence"]["values"] == {
        "content_type.name": "screenshot",
        'label("nudity")': 0.0,
        'rule("spam")': True,
    }
    assert evaluate(one, signals(caption="free bitcoin"))["decision"] == "allow"


@pytest.mark.parametrize(
    ("on_unknown", "decision", "reported"),
    [
        ("ignore", "allow", []),
        ("review", "review", ["e", "n"]),
        ("block", "block", ["e", "n"]),
    ],
)
def test_each_rule_says_what_unknown_means(folder: Path, on_unknown: str, decision: str, reported: list[str]) -> None:
    """Promise: a rule that cannot be judged does what its on_unknown says, beside what the profile says."""
    both = policy(
        folder,
        f"{{id: n, kind: labels, message: m, on_unknown: {on_unknown}, thresholds: {{nudity: {{review: 0.5}}}}}}",
        f"{{id: e, kind: expression, message: m, action: block, on_unknown: {on_unknown}, "
        "when: 'label(\"hate\") > 0.5'}",
        head="    optional_stages: [safety-detector]\n",
    )
    verdict = evaluate(both, signals(unknown=["safety-detector"]))
    assert verdict["decision"] == decision
    assert sorted(rules(verdict)) == reported
    assert {r["triggered_by"] for r in verdict["reasons"]} <= {"unknown"}
    assert evaluate(both, signals())["decision"] == "allow"


def test_an_expression_that_fails_is_looked_at(folder: Path) -> None:
    """Promise: a division by zero decides nothing, and is no allow."""
    one = policy(folder, "{id: e, kind: expression, message: m, action: block, when: 'image.bytes / image.width > 9'}")
    assert evaluate(one, signals(image={"width": 0}))["decision"] == "review"
    assert evaluate(one, signals())["decision"] == "allow"


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf"), 1.5, -0.5, 10**400, None])
@pytest.mark.parametrize("member", ["labels", "content_type", "text"])
def test_numbers_that_are_no_scores_never_mean_allow(folder: Path, member: str, broken: float) -> None:
    """Promise: NaN and infinities are unknown, even from a stage that may be absent."""
    one = policy(folder, NUDITY, head="    optional_stages: [safety-detector, content-classifier, ocr-engine]\n")
    value: Any = {
        "labels": [label("person", broken)],
        "content_type": label("photo", broken),
        "text": [line("x", broken)],
    }
    verdict = evaluate(one, signals(**{member: value[member]}))
    assert verdict["decision"] == "review"
    assert rules(verdict) == ["unknown-signal"]
    json.dumps(verdict, allow_nan=False)


def test_callers_get_the_profile_that_select_gives_them(folder: Path) -> None:
    """Promise: POLICY wins, then the first entry of select that holds, then `default`."""
    policy(folder)
    (folder / "policy.yaml").write_text("""
select:
  - {when: {x-tenant: {equals: kids}, tier: {one_of: [a, b]}}, profile: strict}
  - {when: {x-subject: {prefix: "trial-"}}, profile: trial}
profiles: {default: {}, strict: {}, trial: {}}
""")
    one = load(folder)

    def chosen(name: str | None = None, **subject: Any) -> str:
        attributes = {key.replace("_", "-"): value for key, value in subject.items()}
        return evaluate(one, signals(profile=name, subject=attributes))["policy"]["profile"]

    assert chosen() == "default"
    assert chosen(x_tenant="kids") == "default"
    assert chosen(x_tenant="kids", tier="b", x_subject="trial-1") == "strict"
    assert chosen(x_subject="trial-1") == "trial"
    assert chosen(x_subject=5) == "default"
    assert chosen("default", x_subject="trial-1") == "default"
    with pytest.raises(InputError, match="choose one of: default, strict, trial"):
        chosen("trail")


# --- for any signals

STARTER = load(REPOSITORY / contract.DECISION_LOGIC / "1")
_HARM = (
    "nudity/explicit/buttocks",
    "nudity/suggestive/feet_covered",
    "violence/graphic/blood",
    "custom/logo",
    "person/face",
)
_scores = st.floats(0, 1) | st.sampled_from([float("nan"), 0.45, 0.8, 1.0005, float("inf")])
_any_text = st.text(max_size=30) | st.sampled_from(["free bitcoin", "k1ll yourself", "call +12025550143", "evil.com"])
_labels = st.lists(st.builds(label, st.sampled_from(_HARM), _scores), max_size=4)
_lines = st.lists(st.builds(line, _any_text, _scores, frame=st.integers(0, 2)), max_size=3)
_codes = st.lists(st.builds(lambda text: {"format": "QRCode", "text": text}, _any_text), max_size=2)
_stages = st.lists(
    st.sampled_from(["safety-detector", "ocr-engine", "content-classifier", "image-preprocessor", "other"])
)
_signals = st.builds(
    signals,
    profile=st.sampled_from([None, *STARTER.profiles]),
    labels=st.none() | _labels,
    content_type=st.none() | st.builds(label, st.sampled_from(["photo", "meme", "custom/x"]), _scores),
    text=st.none() | _lines,
    caption=st.none() | _any_text,
    codes=st.none() | _codes,
    subject=st.dictionaries(st.text(max_size=5), st.booleans() | st.floats() | st.text(max_size=5), max_size=2),
    unknown=_stages,
    image=st.fixed_dictionaries({}, optional={"sha256": st.sampled_from([SHA, "x", None]), "pdq": st.just(PDQ)}),
)


@given(_signals)
@settings(deadline=None)
def test_no_signals_make_it_raise_and_equal_signals_decide_alike(found: dict[str, Any]) -> None:
    """Promise: every picture gets a verdict: valid JSON, the same bytes each time, strongest reason first."""
    verdict = evaluate(STARTER, found)
    text = json.dumps(verdict, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert json.dumps(evaluate(STARTER, copy.deepcopy(found)), ensure_ascii=False, allow_nan=False) == text
    strengths = [strength(r["action"]) for r in verdict["reasons"] if "overridden_by" not in r]
    assert strengths == sorted(strengths, reverse=True)
    assert strength(verdict["decision"]) == max(strengths, default=0)


_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "score", "text", "box", "quad", "sha256", "format", "frame"]), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(signals())), _documents))
@settings(deadline=None)
def test_malformed_signals_are_refused_in_words(found: dict[str, Any]) -> None:
    """Promise: whatever JSON comes, the outcome is a verdict or an InputError that names the member."""
    try:
        evaluate(STARTER, found)
    except InputError as error:
        assert error.reason in ("bad_signals", "unknown_profile")  # noqa: PT017 - deciding may also succeed


MONOTONE = {
    "default_action": "allow",
    "optional_stages": ["content-classifier"],
    "rules": [
        {"id": "a", "kind": "labels", "message": "m", "thresholds": {"nudity": {"review": 0.3, "block": 0.9}}},
        {
            "id": "b",
            "kind": "labels",
            "message": "m",
            "on_unknown": "block",
            "thresholds": {"violence": {"review": 0.2}},
        },
        {
            "id": "c",
            "kind": "text",
            "message": "m",
            "action": "review",
            "terms": ["free bitcoin"],
            "min_ocr_score": 0.5,
        },
        {"id": "d", "kind": "findings", "message": "m", "action": "block", "find": ["phone"], "min_count": 2},
        {"id": "e", "kind": "links", "message": "m", "action": "review", "any": True},
        {"id": "f", "kind": "hash", "message": "m", "action": "block", "digests": [SHA], "pdq": [PDQ]},
        {
            "id": "g",
            "kind": "expression",
            "message": "m",
            "action": "block",
            "when": 'label("nudity") > 0.2 && (rule("c") || count("person", 0.5) > 1 || codes.exists(c, c.text != ""))',
        },
        {"id": "h", "kind": "content_type", "message": "m", "types": {"meme": {"min_score": 0.5}}},
    ],
}


def written(folder: Path, profile: dict[str, Any]) -> Policy:
    folder.mkdir(exist_ok=True)
    (folder / "policy.yaml").write_text(yaml.safe_dump({"profiles": {"default": profile}}))
    return load(folder)


@pytest.fixture(scope="module")
def monotone(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return written(tmp_path_factory.mktemp("monotone"), MONOTONE)


@given(found=_signals, labels=_labels, lines=_lines, codes=_codes, known=st.booleans())
@settings(deadline=None)
def test_more_evidence_of_harm_never_weakens_a_decision(
    monotone: Policy, found: dict[str, Any], labels: list[Any], lines: list[Any], codes: list[Any], known: bool
) -> None:
    """Promise: where no allow-rule is in play, adding findings can only make the decision stronger."""
    found["profile"] = None
    more = copy.deepcopy(found)
    for member, added in (("labels", labels), ("text", lines), ("codes", codes)):
        more[member] = None if found[member] is None else [*found[member], *added]
    if known and "sha256" in more["image"]:
        more["image"]["sha256"] = SHA
    before, after = evaluate(monotone, found), evaluate(monotone, more)
    assert strength(after["decision"]) >= strength(before["decision"])
    assert after["severity"] >= before["severity"]


@given(found=_signals, seed=st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_the_order_of_rules_does_not_matter(tmp_path: Path, found: dict[str, Any], seed: int) -> None:
    """Promise: a policy is a set of rules; only the digest of the file tells two orders apart."""
    shuffled = random.Random(seed).sample(MONOTONE["rules"], len(MONOTONE["rules"]))
    one, other = written(tmp_path / "1", MONOTONE), written(tmp_path / "2", {**MONOTONE, "rules": shuffled})
    found["profile"] = None
    before, after = evaluate(one, found), evaluate(other, found)
    assert [{**before, "policy": None}] == [{**after, "policy": None}]
