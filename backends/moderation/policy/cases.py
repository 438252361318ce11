"""A policy's own tests, tests.yaml beside policy.yaml: given signals → expected decision and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from moderation import contract
from moderation.errors import InputError, PolicyError
from moderation.policy import schema
from moderation.policy.evaluate import evaluate
from moderation.policy.faults import Faults
from moderation.policy.rules import Policy
from moderation.policy.source import Source

FILE: Final = "tests.yaml"
_IMAGE: Final = {
    "sha256": "0" * 64,
    "pdq": "0" * 64,
    "pdq_quality": 100,
    "format": "JPEG",
    "bytes": 250_000,
    "width": 1280,
    "height": 960,
    "frames": 1,
}
"""The picture of a test that says nothing else."""


@dataclass(frozen=True)
class Test:
    """One case for one profile. `line` is where it stands in tests.yaml; `profile` is None where `select` decides."""

    __test__ = False  # pytest would take the name for a class of tests
    name: str
    line: int
    profile: str | None
    signals: dict[str, Any]
    expect: schema.Expect

    @property
    def title(self) -> str:
        """Name and profile."""
        return f"{self.name} [{self.profile}]" if self.profile else self.name


@dataclass(frozen=True)
class Difference:
    """One thing that is not as a test expects."""

    what: str
    expected: str
    got: str


@dataclass(frozen=True)
class Outcome:
    """What came of a test: no differences when it holds. `rules` are those that were reported."""

    test: Test
    differences: tuple[Difference, ...]
    rules: frozenset[str]


def read(folder: Path) -> list[Test]:
    """The tests of a policy folder; none when it has no tests.yaml.

    Raises:
        PolicyError: with every fault of the file.
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        source = Source(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        text = f"{FILE}:1: cannot be read: {type(error).__name__}; a text file in UTF-8 is expected"
        raise PolicyError(f"{folder}: {text}", (text,)) from None
    faults = Faults(FILE, source)
    tests: list[Test] = []
    if not source.faults:
        try:
            for i, case in enumerate(schema.TestsFile.model_validate(source.data).tests):
                tests += _expand(case, ("tests", i), faults)
        except ValidationError as error:
            faults.add_all(error, schema.TestsFile)
    if faults.any():
        lines = faults.lines()
        raise PolicyError("\n  ".join((f"{folder}: faults in the policy's tests:", *lines)), lines)
    return tests


def _expand(case: schema.Case, path: tuple[str | int, ...], faults: Faults) -> list[Test]:
    if case.profile is not None and case.profiles:
        faults.add(path, "has `profile` and `profiles`; keep one of them")
    if case.signals is not None and case.given is not None:
        faults.add(path, "has `given` and `signals`; keep one of them")
    profiles: Sequence[str | None] = case.profiles or [case.profile]
    signals = case.signals
    if signals is None:
        signals = _signals(case.given or schema.Given.model_validate({}))
    line = faults.source.line(path)
    return [Test(case.name, line, profile, {**signals, "profile": profile}, case.expect) for profile in profiles]


def _signals(given: schema.Given) -> dict[str, Any]:
    """The full form of a test's short one."""
    kind = {"name": given.content_type, "score": given.content_score, "source": "test:1"}
    return {
        "labels": None
        if contract.SAFETY in given.unknown
        else [{"name": name, "score": score, "source": "test:1"} for name, score in given.labels.items()],
        "content_type": None if contract.CLASSIFIER in given.unknown else kind,
        "text": None if contract.OCR in given.unknown else [{"text": text, "score": 1.0} for text in given.text],
        "caption": given.caption,
        "codes": [{"format": "QRCode", "text": text} for text in given.codes],
        "image": {**_IMAGE, **given.image},
        "subject": given.subject,
        "unknown": list(given.unknown),
    }


def run(policy: Policy, test: Test) -> Outcome:
    """Decide about a test's signals and compare."""
    try:
        verdict = evaluate(policy, test.signals)
    except InputError as error:
        return Outcome(test, (Difference("signals", "a decision", error.message),), frozenset())
    rules = sorted({reason["rule"] for reason in verdict["reasons"]})
    wanted = test.expect
    pairs: list[tuple[str, str | None, str]] = [
        ("decision", wanted.decision, verdict["decision"]),
        ("severity", None if wanted.severity is None else str(wanted.severity), str(verdict["severity"])),
        ("rules", None if wanted.rules is None else _names(wanted.rules), _names(rules)),
        ("profile", wanted.profile, verdict["policy"]["profile"]),
    ]
    differences = tuple(Difference(what, want, got) for what, want, got in pairs if want is not None and want != got)
    return Outcome(test, differences, frozenset(rules))


def failures(policy: Policy, tests: Sequence[Test]) -> tuple[str, ...]:
    """One line for each test that does not hold."""
    found = []
    for test in tests:
        outcome = run(policy, test)
        if outcome.differences:
            parts = ", ".join(f"{d.what} is {d.got}, expected {d.expected}" for d in outcome.differences)
            found.append(f"{FILE}:{test.line}: test `{test.title}` fails: {parts}")
    return tuple(found)


def _names(rules: Sequence[str]) -> str:
    return ", ".join(sorted(set(rules))) or "none"
