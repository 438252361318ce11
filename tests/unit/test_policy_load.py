"""A policy file is either understood completely or refused with every fault, where it is and how to mend it."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation import contract
from moderation.errors import PolicyError
from moderation.policy import schema
from moderation.policy.load import load
from moderation.policy.rules import HashRule, LabelRule, TextRule, Unknown

MINIMAL = "profiles:\n  default: {}\n"
DIGEST = "ab" * 32


def write(folder: Path, text: str, **lists: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    (folder / "lists").mkdir(exist_ok=True)
    for name, content in lists.items():
        (folder / "lists" / f"{name}.txt").write_text(content, encoding="utf-8")
    return folder


def faults(folder: Path, text: str, **lists: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        load(write(folder, text, **lists))
    assert all(fault in caught.value.message for fault in caught.value.faults)
    return caught.value.faults


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "7"


def test_the_version_is_the_folder_or_what_the_file_says(folder: Path) -> None:
    """Promise: a Triton version folder names the release; a file may give it a name of its own."""
    assert load(write(folder, MINIMAL)).version == "7"
    assert load(write(folder, 'version: "2026-03"\n' + MINIMAL)).version == "2026-03"


def test_the_digest_covers_the_file_and_the_lists_in_use(folder: Path) -> None:
    """Promise: two releases with the same digest decide alike; a stray file changes nothing."""
    rule = "{id: t, kind: text, message: m, action: block, lists: [words]}"
    text = f"profiles:\n  default:\n    rules: [{rule}]\n"
    first = load(write(folder, text, words="alpha\n")).sha256
    assert len(first) == 64
    assert load(write(folder, text, words="alpha\n", stray="x\n")).sha256 == first
    assert load(write(folder, text, words="beta\n")).sha256 != first
    assert load(write(folder, text + "# note\n", words="alpha\n")).sha256 != first


def test_without_a_word_a_missing_look_means_review(folder: Path) -> None:
    """Promise: an empty policy still sends pictures that nobody looked at to a person."""
    unknown = load(write(folder, MINIMAL)).profiles["default"].unknown
    assert unknown == {"safety-detector": Unknown("review", 2), "ocr-engine": Unknown("review", 2)}


def test_a_profile_starts_from_the_one_it_extends(folder: Path) -> None:
    """Promise: same id replaces, `remove` drops, the rest is inherited, through several generations."""
    text = """
profiles:
  default:
    on_unknown: {ocr-engine: allow}
    optional_stages: [content-classifier]
    rules:
      - {id: a, kind: text, message: m, action: review, terms: [x]}
      - {id: b, kind: text, message: m, action: review, terms: [x]}
  child:
    extends: default
    on_unknown: {content-classifier: block}
    rules: [{id: a, kind: text, message: m, action: block, terms: [x]}]
  grandchild:
    extends: child
    remove: [b]
    rules: [{id: c, kind: hash, message: m, action: block, digests: [DIGEST]}]
""".replace("DIGEST", DIGEST.upper())
    profiles = load(write(folder, text)).profiles
    assert [rule.id for rule in profiles["default"].rules] == ["a", "b"]
    a, _ = profiles["child"].rules
    assert isinstance(a, TextRule)
    assert (a.action, a.severity) == ("block", 6)
    kept, added = profiles["grandchild"].rules
    assert kept is not None
    assert kept.id == "a"
    assert isinstance(added, HashRule)
    assert dict(added.digests) == {DIGEST: "c"}
    assert profiles["grandchild"].unknown["content-classifier"] == Unknown("block", 6)
    assert profiles["grandchild"].unknown["ocr-engine"] == Unknown("allow", 0)


def test_the_longest_label_prefix_decides(folder: Path) -> None:
    """Promise: a parent covers its children until a child has its own line; names are compared part by part."""
    text = """
profiles:
  default:
    rules:
      - id: n
        kind: labels
        message: m
        thresholds: {a/b: {review: 0.5}, a/b/c: {block: 0.9}, a/b/d: {review: never}}
"""
    rule = load(write(folder, text)).profiles["default"].rules[0]
    assert isinstance(rule, LabelRule)
    assert [limit.score for limit in rule.limits_for("a/b/x/y")] == [0.5]
    assert [limit.score for limit in rule.limits_for("a/b/c/z")] == [0.9]
    assert rule.limits_for("a/b/d") == ()
    assert rule.limits_for("a") == ()
    assert rule.limits_for("a/bc") == ()


def test_all_faults_come_at_once_with_line_path_value_and_remedy(folder: Path) -> None:
    """Promise: one run shows everything that is wrong, in words for a person who does not program."""
    text = """\
version: 2026-01-01
profils: {}
profiles:
  default:
    optionl_stages: [content-classifier]
    on_unknown: {safety-detecter: review, ocr-engine: reveiw}
    rules:
      - {id: a, kind: label, message: x}
      - id: Bad Id
        kind: labels
        thresholds:
          nudity: {review: 1.5, block: yes, sevrity: {}}
      - {id: t, kind: text, message: m, action: allow, lists: [../x]}
      - {id: z, kind: content_type, message: m, types: {meme: {min_score: .nan}}}
"""
    expected = {
        "policy.yaml:1: version is date; text is expected; put it in quotes",
        "policy.yaml:2: profils is not a known key; allowed: profiles, version; did you mean `profiles`?",
        "policy.yaml:6: profiles.default.on_unknown.ocr-engine is 'reveiw'; allowed: allow, review or block; "
        "did you mean `review`?",
        "policy.yaml:8: profiles.default.rules[0] has kind 'label'; allowed: labels, content_type, text, hash; "
        "did you mean `labels`?",
        "policy.yaml:9: profiles.default.rules[1] lacks `message`",
        "policy.yaml:9: profiles.default.rules[1].id is 'Bad Id'; allowed: small letters and digits, "
        "with single hyphens between them",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.review is 1.5; it must be 1.0 or less",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.block is True; a number is expected (or `never`)",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.sevrity is not a known key; "
        "allowed: block, review, severity; did you mean `severity`?",
        "policy.yaml:13: profiles.default.rules[2].action is 'allow'; allowed: review or block",
        "policy.yaml:14: profiles.default.rules[3].types.meme.min_score is nan; a finite number is expected",
    }
    found = faults(folder, text)
    assert expected <= set(found)
    assert any(f.startswith("policy.yaml:5: ") and f.endswith("did you mean `optional_stages`?") for f in found)
    assert any(f.startswith("policy.yaml:6: ") and f.endswith("did you mean `safety-detector`?") for f in found)
    assert any(f.startswith("policy.yaml:13: ") and "'../x'" in f for f in found)
    assert len(found) == len(expected) + 3


def test_faults_of_meaning_come_at_once_too(folder: Path) -> None:
    """Promise: files that have the right shape but cannot work are refused with the same care."""
    text = """\
profiles:
  defult: {extends: nobody}
  a: {extends: b}
  b: {extends: a}
  strict:
    remove: [x]
    on_unknown: {ocr-engine: review}
    optional_stages: [ocr-engine]
    rules:
      - {id: t, kind: text, message: m, action: block, lists: [scam], terms: ["!!"]}
      - {id: t, kind: hash, message: m, action: block}
      - {id: unknown-signal, kind: labels, message: m, thresholds: {n: {review: 0.9, block: 0.2}, m: {}}}
      - {id: s, kind: labels, message: m, severity: {review: 6, block: 2}, thresholds: {n: {review: 0.9}}}
      - {id: h, kind: hash, message: m, action: block, lists: [bad, none]}
"""
    found = faults(folder, text, scams="x\n", bad="# digests\nzz\n", none="# nothing\n")
    wanted = [
        (1, "profiles has no `default`", "did you mean `defult`?"),
        (2, "profiles.defult.extends is `nobody`", "allowed: a, b, strict"),
        (3, "profiles.a.extends", "extends itself"),
        (4, "profiles.b.extends", "extends itself"),
        (6, "profiles.strict.remove[0] is `x`", "inherited rules: none"),
        (8, "profiles.strict.optional_stages[0] `ocr-engine`", "keep one of them"),
        (10, "profiles.strict.rules[0].lists[0] is `scam`", "did you mean `scams`?"),
        (10, "profiles.strict.rules[0].terms[0] is '!!'", "a letter or a digit"),
        (11, "profiles.strict.rules[1] looks for nothing", "give `digests` or `lists`"),
        (11, "profiles.strict.rules[1].id `t`", "choose another id"),
        (12, "profiles.strict.rules[2].id `unknown-signal` is reserved", "choose another id"),
        (12, "profiles.strict.rules[2].thresholds.n has review 0.9 above block 0.2", ""),
        (12, "profiles.strict.rules[2].thresholds.m has neither", "`review: never`"),
        (13, "profiles.strict.rules[3].thresholds.n has severity 6 for review and 2 for block", ""),
    ]
    for line, start, remedy in wanted:
        assert any(f.startswith(f"policy.yaml:{line}: {start}") and remedy in f for f in found), (start, found)
    assert any(f.startswith("lists/bad.txt:2: is 'zz'; a SHA-256") for f in found)
    assert any(f.startswith("lists/none.txt:1: has no entries") for f in found)
    assert len(found) == len(wanted) + 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "the file is empty"),
        ("hello", 1, "a mapping (`key: value`) is expected"),
        ("a: [", 1, "not valid YAML"),
        ("a: 1\nb: *c", 2, "not valid YAML"),
        ("a: \x01", 1, "control character"),
        ("a: !!python/object:os.system x", 1, "not valid YAML"),
        ("version: 2026-13-45", 1, "not valid YAML"),
        ("profiles: {}\nprofiles: {}", 2, "profiles is there twice; keep one"),
        ("profiles:\n  default:", 2, "profiles.default is empty; a mapping"),
        ("a: &x [*x, *x]", 1, "contains itself"),
        ("[" * 3000, 1, "not valid YAML"),
        (
            "a: &a [" + "x," * 100 + "]\nb: &b [" + "*a," * 100 + "]\nc: [" + "*b," * 100 + "]",
            3,
            "more than 200000 values",
        ),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_words(folder: Path, text: str, line: int, words: str) -> None:
    """Promise: broken and hostile YAML ends in a sentence with a line, never in a traceback or a full memory."""
    assert any(fault.startswith(f"policy.yaml:{line}: ") and words in fault for fault in faults(folder, text))


def test_files_that_cannot_be_read_are_named(folder: Path, tmp_path: Path) -> None:
    """Promise: a missing or wrongly encoded file is said to be so."""
    with pytest.raises(PolicyError, match=r"policy\.yaml:1: cannot be read: No such file"):
        load(tmp_path / "absent")
    rule = "{id: t, kind: text, message: m, action: block, lists: [words]}"
    write(folder, f"profiles: {{default: {{rules: [{rule}]}}}}")
    (folder / "lists" / "words.txt").write_bytes(b"fine\n\xff\n")
    with pytest.raises(PolicyError, match=r"lists/words\.txt:2: is not UTF-8"):
        load(folder)
    (folder / "policy.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match=r"policy\.yaml:1: byte 0 is not UTF-8"):
        load(folder)


@given(text=st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_text_loads_or_is_refused(tmp_path: Path, text: str) -> None:
    """Promise: whatever stands in the file, the answer is a policy or a PolicyError."""
    try:
        load(write(tmp_path / "fuzz", text))
    except PolicyError as error:
        assert error.faults  # noqa: PT017 - loading may also succeed


_keys = st.sampled_from(
    ["version", "profiles", "default", "extends", "rules", "id", "kind", "message", "labels", "text", "thresholds",
     "review", "block", "severity", "never", "terms", "lists", "on_unknown", "ocr-engine", "remove", "types"]
)  # fmt: skip
_trees = st.recursive(
    _keys | st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys | st.integers(), inner, max_size=6),
    max_leaves=25,
)


@given(tree=st.dictionaries(_keys, _trees, max_size=3), rule=_trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
def test_any_tree_loads_or_is_refused(tmp_path: Path, tree: dict[str, object], rule: object) -> None:
    """Promise: the same for files made of the right words in the wrong places."""
    document = {"profiles": {"default": {"rules": [rule]}}, **tree}
    try:
        load(write(tmp_path / "fuzz", yaml.safe_dump(document)))
    except PolicyError as error:
        assert error.faults  # noqa: PT017 - loading may also succeed


def test_stage_names_are_those_of_the_contract() -> None:
    """Promise: a policy speaks of the models by their public names."""
    assert set(typing.get_args(schema.Stage)) <= set(contract.MODELS)
    assert set(typing.get_args(schema.UnknownAction)) == set(contract.DECISIONS)
    assert {0, *typing.get_args(schema.Harm)} == set(contract.SEVERITIES)
