"""A policy file is either understood completely or refused with every fault, where it is and how to mend it."""

from __future__ import annotations

import typing
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from moderation import contract, schemas
from moderation.errors import PolicyError
from moderation.launcher.run import REPOSITORY
from moderation.policy import rule_schema, schema
from moderation.policy.load import MAX_BYTES, json_schema, load
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
    """Promise: `change` replaces keys, `remove` drops, the rest is inherited, through several generations."""
    text = """
profiles:
  default:
    default_action: review
    on_unknown: {ocr-engine: allow}
    optional_stages: [content-classifier]
    rules:
      - {id: a, kind: text, message: m, action: review, terms: [x]}
      - {id: b, kind: text, message: m, action: review, terms: [y]}
  child:
    extends: default
    on_unknown: {content-classifier: block}
    change: {a: {action: block, terms: [z]}}
  grandchild:
    extends: child
    default_action: allow
    remove: [b]
    rules: [{id: c, kind: hash, message: m, action: block, digests: [DIGEST]}]
""".replace("DIGEST", DIGEST.upper())
    profiles = load(write(folder, text)).profiles
    assert [rule.id for rule in profiles["default"].rules] == ["a", "b"]
    a, _ = profiles["child"].rules
    assert isinstance(a, TextRule)
    assert (a.action, a.severity, a.message) == ("block", 6, "m")
    kept, added = profiles["grandchild"].rules
    assert kept is not None
    assert kept.id == "a"
    assert isinstance(added, HashRule)
    assert added.digests == {DIGEST}
    assert profiles["grandchild"].unknown["content-classifier"] == Unknown("block", 6)
    assert profiles["grandchild"].unknown["ocr-engine"] == Unknown("allow", 0)
    assert [profiles[name].default for name in ("default", "child", "grandchild")] == ["review", "review", "allow"]


def test_the_longest_label_prefix_decides(folder: Path) -> None:
    """Promise: a parent covers its children until a child has its own line; names are compared part by part."""
    text = """
profiles:
  default:
    rules:
      - id: n
        kind: labels
        message: m
        thresholds: {custom/b: {review: 0.5}, custom/b/c: {block: 0.9}, custom/b/d: {review: never}}
"""
    rule = load(write(folder, text)).profiles["default"].rules[0]
    assert isinstance(rule, LabelRule)
    assert [limit.score for limit in rule.limits_for("custom/b/x")] == [0.5]
    assert [limit.score for limit in rule.limits_for("custom/b/c")] == [0.9]
    assert rule.limits_for("custom/b/d") == ()
    assert rule.limits_for("custom") == ()
    assert rule.limits_for("custom/bc") == ()


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
      - {id: t, kind: text, message: m, action: alow, lists: [../x]}
      - {id: z, kind: content_type, message: m, types: {meme: {min_score: .nan}}}
"""
    expected = {
        "policy.yaml:1: version is date; text is expected; put it in quotes",
        "policy.yaml:2: profils is not a known key; allowed: profiles, select, version; did you mean `profiles`?",
        "policy.yaml:6: profiles.default.on_unknown.ocr-engine is 'reveiw'; allowed: allow, review or block; "
        "did you mean `review`?",
        "policy.yaml:8: profiles.default.rules[0] has kind 'label'; allowed: labels, content_type, text, findings, "
        "links, hash, expression; did you mean `labels`?",
        "policy.yaml:9: profiles.default.rules[1] lacks `message`",
        "policy.yaml:9: profiles.default.rules[1].id is 'Bad Id'; allowed: small letters and digits, "
        "with single hyphens between them",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.review is 1.5; it must be 1.0 or less",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.block is True; a number is expected (or `never`)",
        "policy.yaml:12: profiles.default.rules[1].thresholds.nudity.sevrity is not a known key; "
        "allowed: block, review, severity; did you mean `severity`?",
        "policy.yaml:13: profiles.default.rules[2].action is 'alow'; allowed: allow, review or block; "
        "did you mean `allow`?",
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
      - {id: t, kind: text, message: m, action: block, lists: [scam], terms: ["!!", "regex: ("]}
      - {id: t, kind: hash, message: m, action: block}
      - {id: unknown-signal, kind: labels, message: m, thresholds: {nudity: {review: 0.9, block: 0.2}, violence: {}}}
      - {id: s, kind: labels, message: m, severity: {review: 6, block: 2}, thresholds: {nudty: {review: 0.9}}}
      - {id: h, kind: hash, message: m, action: block, lists: [bad, none]}
      - {id: k, kind: content_type, message: m, types: {memes: {min_score: 0.5}, nudity: {min_score: 0.5}}}
      - {id: l, kind: links, message: m, action: block, domains: ["https://x.com", co.uk]}
      - {id: f, kind: findings, message: m, action: block, find: [email], regions: [XX]}
      - {id: e, kind: labels, message: m, thresholds: {drugs: {review: never}, hate: {review: 0.5, block: 0.5}}}
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
        (10, "profiles.strict.rules[0].terms[0] is '!!'", "no letter and no digit"),
        (10, "profiles.strict.rules[0].terms[1] is 'regex: ('", "missing"),
        (11, "profiles.strict.rules[1] looks for nothing", "give `digests`, `lists`, `pdq` or `pdq_lists`"),
        (11, "profiles.strict.rules[1].id `t`", "choose another id"),
        (12, "profiles.strict.rules[2].id `unknown-signal` is reserved", "choose another id"),
        (12, "profiles.strict.rules[2].thresholds.nudity has review 0.9 above block 0.2", "review must be lower"),
        (12, "profiles.strict.rules[2].thresholds.violence has neither", "`review: never`"),
        (13, "profiles.strict.rules[3].thresholds.nudty has severity 6 for review and 2 for block", ""),
        (13, "profiles.strict.rules[3].thresholds.nudty is no label", "did you mean `nudity`?"),
        (15, "profiles.strict.rules[5].types.memes is no content type", "did you mean `meme`?"),
        (15, "profiles.strict.rules[5].types.nudity is no content type", ""),
        (16, "profiles.strict.rules[6].domains[0] is 'https://x.com'", "without https://"),
        (16, "profiles.strict.rules[6].domains[1] is 'co.uk'", "everybody's domains"),
        (17, "profiles.strict.rules[7].regions[0] is 'XX'", "a country's two letters"),
        (17, "profiles.strict.rules[7].regions are for `phone`", ""),
        (18, "profiles.strict.rules[8].thresholds.drugs exempts a label that no other line", "take it out"),
        (18, "profiles.strict.rules[8].thresholds.hate has review 0.5 at block 0.5", "can never happen"),
    ]
    for line, start, remedy in wanted:
        assert any(f.startswith(f"policy.yaml:{line}: {start}") and remedy in f for f in found), (start, found)
    assert any(f.startswith("lists/bad.txt:2: is 'zz'; a hash has 64") for f in found)
    assert any(f.startswith("lists/none.txt:1: has no entries") for f in found)
    assert len(found) == len(wanted) + 2, found


def test_rules_that_contradict_each_other_are_faults(folder: Path) -> None:
    """Promise: exceptions, changes and selections that cannot do what they say are found before they are served."""
    text = """\
select:
  - {when: {x-tenant: {equals: kids}}, profile: strct}
  - {when: {x-tenant: {equals: kids}}, profile: strict}
  - {when: {x-tenant: {equals: a, prefix: b}}, profile: strict}
profiles:
  default:
    rules:
      - {id: csam, kind: hash, message: m, action: block, final: true, digests: [DIGEST]}
      - {id: spam, kind: text, message: m, action: review, terms: [x]}
      - {id: spam-again, kind: text, message: n, action: block, terms: [x]}
      - {id: ours, kind: hash, message: m, action: allow, digests: [DIGEST], overrides: [csam, spma]}
      - {id: also, kind: text, message: m, action: allow, terms: [y], overrides: [ours], severity: 2, final: true}
      - {id: shy, kind: text, message: m, action: block, terms: [z], overrides: [spam]}
      - {id: wary, kind: text, message: m, action: allow, terms: [w], on_unknown: review}
  strict:
    extends: default
    remove: [shy]
    change: {spam: {kind: hash, action: block}, span: {}, spam-again: {overides: []}, shy: {action: review}}
    rules:
      - {id: spam, kind: text, message: m, action: review, terms: [q]}
""".replace("DIGEST", DIGEST)
    found = faults(folder, text)
    wanted = [
        (2, "select[0].profile is `strct`", "did you mean `strict`?"),
        (3, "select[1] can never be chosen", "select[0] asks for the same"),
        (4, "select[2].when.x-tenant needs exactly one", ""),
        (10, "profiles.default.rules[2] `spam-again` matches exactly when `spam` does", "keep one"),
        (11, "profiles.default.rules[3].overrides[0] is `csam`, which is final", "take `final` from `csam`"),
        (11, "profiles.default.rules[3].overrides[1] is `spma`", "did you mean `spam`?"),
        (12, "profiles.default.rules[4].overrides[0] is `ours`, an allow-rule", ""),
        (12, "profiles.default.rules[4].severity is 2", "an allow-rule has none"),
        (12, "profiles.default.rules[4].final", "take it out"),
        (13, "profiles.default.rules[5].overrides belongs to `action: allow`", "action block"),
        (14, "profiles.default.rules[6].on_unknown is 'review'", "take it out"),
        (17, "profiles.strict.remove[0] `shy` is in `change` too", ""),
        (18, "profiles.strict.change.spam.kind cannot be changed", "write another"),
        (18, "profiles.strict.change.span is `span`; inherited rules:", "did you mean `spam`?"),
        (18, "profiles.strict.change.spam-again.overides is not a known key", "did you mean `overrides`?"),
        (20, "profiles.strict.rules[0].id `spam` is inherited", "under `change`"),
    ]
    for line, start, remedy in wanted:
        assert any(f.startswith(f"policy.yaml:{line}: {start}") and remedy in f for f in found), (start, found)
    assert len(found) == len(wanted), found


def test_a_known_file_that_is_both_allowed_and_blocked_is_a_fault(folder: Path) -> None:
    """Promise: an exception says what it overrides; two lists that contradict each other are not decided by chance."""
    rules = [
        f"{{id: bad, kind: hash, message: m, action: block, digests: [{DIGEST}]}}",
        f"{{id: good, kind: hash, message: m, action: allow, digests: [{DIGEST}]}}",
    ]
    (fault,) = faults(folder, f"profiles: {{default: {{rules: [{', '.join(rules)}]}}}}")
    assert "in common with `bad` (block) and does not override it" in fault
    allowing = rules[1].replace("allow,", "allow, overrides: [bad],")
    load(write(folder, f"profiles: {{default: {{rules: [{rules[0]}, {allowing}]}}}}"))


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("label('nudity') >=", "character 19: the end stands where a value is expected"),
        ("label('nudty') > 0.5", "`nudty` is not a label; did you mean `nudity`?"),
        ("label('photo') > 0.5", "`photo` is not a label"),
        ("content_type.nam == 'photo'", "has no member `nam`; allowed: name, score; did you mean `name`?"),
        ("content_type.name == 'phto'", "`phto` is not a content type; did you mean `photo`?"),
        ("image.format == 'jpg'", "allowed: AVIF, BMP, GIF, JPEG, PNG, TIFF, WEBP; did you mean `JPEG`?"),
        ("contnt_type.score > 0.5", "is not a signal"),
        ("label('nudity')", "is a number; a condition"),
        ("label('nudity') > 0.5 and true", "did you mean `&&`?"),
        ("label('nudity') = 0.5", "did you mean `==`?"),
        ("label('nudity') > '0.5'", "compares a number with a text"),
        ("rule('spma')", "did you mean `spam`?"),
        ("rule('self')", "is no rule of this profile that has another kind than expression"),
        ("label('nudity') > 1.0", "can never be true"),
        ("label('nudity') > 0.8 && label('nudity') < 0.2", "can never be true"),
        ("rule('spam') || content_type.name == 'meme' && content_type.name == 'photo'", "can never be true"),
        ("label('nudity') >= 0.0", "true for every picture"),
        ("rule('spam') || !rule('spam')", "true for every picture"),
        ("1 < 2", "true for every picture"),
        ("codes.exists(c, lines.exists(l, l.text == c.text))", "one level is allowed"),
        ("caption.matches('(a+)+')", "does not exist; allowed: contains, endsWith, size, startsWith"),
        ("image.width * 2.0 > 1.0", "both must be numbers of one type; write whole numbers with a point"),
    ],
)
def test_a_bad_expression_is_refused_in_words(folder: Path, when: str, words: str) -> None:
    """Promise: names, members, types and conditions that cannot hold are checked when the policy loads."""
    text = f"""
profiles:
  default:
    rules:
      - {{id: spam, kind: text, message: m, action: review, terms: [x]}}
      - {{id: self, kind: expression, message: m, action: block, when: "{when}"}}
"""
    found = faults(folder, text)
    assert all(fault.startswith("policy.yaml:6: profiles.default.rules[1].when at character") for fault in found)
    assert any(words in fault for fault in found), found


def test_a_policy_that_breaks_its_own_tests_is_refused_with_their_names(folder: Path) -> None:
    """Promise: tests.yaml is part of the policy; faults in it have lines, too."""
    write(folder, "profiles: {default: {rules: [{id: t, kind: text, message: m, action: review, terms: [spam]}]}}")
    tests = folder / "tests.yaml"
    tests.write_text(
        "tests:\n  - {name: spam is refused, given: {text: [Spam]}, expect: {decision: block, rules: []}}\n"
    )
    with pytest.raises(PolicyError) as caught:
        load(folder)
    assert caught.value.faults == (
        "tests.yaml:2: test `spam is refused` fails: decision is review, expected block, rules is t, expected none",
    )
    assert load(folder, tests=False).version == "7"
    tests.write_text(
        "tests:\n  - {name: n, given: {txt: [x]}, expect: {decision: maybe}}\n  - {expect: {decision: allow}}\n"
    )
    with pytest.raises(PolicyError) as caught:
        load(folder)
    assert set(caught.value.faults) == {
        "tests.yaml:2: tests[0].expect.decision is 'maybe'; allowed: allow, review or block",
        "tests.yaml:2: tests[0].given.txt is not a known key; allowed: caption, codes, content_score, content_type, "
        "image, labels, subject, text, unknown; did you mean `text`?",
        "tests.yaml:3: tests[1] lacks `name`",
    }


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


def test_a_policy_as_large_as_a_list_is_refused_at_once(folder: Path) -> None:
    """Promise: what would take long to read is not read; the limit and where the content belongs are said."""
    (fault,) = faults(folder, "#" * (MAX_BYTES + 1))
    assert fault.startswith("policy.yaml:1: has 1048577 bytes; at most 1048576 are read; move phrases")


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
     "review", "block", "severity", "never", "terms", "lists", "on_unknown", "ocr-engine", "remove", "types",
     "change", "select", "when", "expression", "findings", "links", "hash", "action", "overrides", "any", "find"]
)  # fmt: skip
_trees = st.recursive(
    _keys | st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys | st.integers(), inner, max_size=6),
    max_leaves=25,
)


@example(tree={"profiles": {2**63: {"version": None}}}, rule=[])  # pydantic names such a key by its text
@given(tree=st.dictionaries(_keys, _trees, max_size=3), rule=_trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
def test_any_tree_loads_or_is_refused(tmp_path: Path, tree: dict[str, object], rule: object) -> None:
    """Promise: the same for files made of the right words in the wrong places."""
    document = {"profiles": {"default": {"rules": [rule]}}, **tree}
    try:
        load(write(tmp_path / "fuzz", yaml.safe_dump(document)))
    except PolicyError as error:
        assert error.faults  # noqa: PT017 - loading may also succeed


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """Promise: schemas/policy.schema.json is current (renew it: moderation policy schema), and policies keep to it."""
    published = schemas.policy()
    assert published == json_schema(schema.PolicyFile, "policy.yaml")
    starter = yaml.safe_load((REPOSITORY / contract.DECISION_LOGIC / "1" / "policy.yaml").read_text())
    jsonschema.validate(starter, published)
    starter["profiles"]["balanced"]["rules"][0]["thresholds"]["nudity"] = {"review": 2}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(starter, published)


def test_stage_names_are_those_of_the_contract() -> None:
    """Promise: a policy speaks of the models by their public names."""
    assert set(typing.get_args(schema.Stage)) <= set(contract.MODELS)
    assert set(typing.get_args(schema.UnknownAction)) == set(contract.DECISIONS)
    assert {0, *typing.get_args(rule_schema.Harm)} == set(contract.SEVERITIES)
