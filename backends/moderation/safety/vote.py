"""How the safety-detector and the safety-classifier decide together: pure, and told by data.

A *question* is a set of label names that mean the same to a policy, such as nudity/explicit and sexual/explicit. Each
network's answer to a question is its greatest score below those names. What the policy's thresholds see of a finding:

- `max`: its own score: either network suffices. This is also so for names in no question;
- `mean`: the mean of its score and the other network's answer;
- `both`: the smaller of the two: one network alone never suffices.

A network that cannot answer a question, because it has no such label, is not in the release or failed, has no vote:
the other's finding stands as it is. A network that can answer and found nothing answers 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from moderation.taxonomy import Taxonomy, parents

Finding = dict[str, Any]
"""As in RESULT's `labels`: name, score, box, source, frame."""
RULES: Final[Mapping[str, Callable[[float, float], float]]] = {
    "max": lambda mine, _theirs: mine,
    "mean": lambda mine, theirs: (mine + theirs) / 2,
    "both": min,
}


@dataclass(frozen=True)
class Opinion:
    """One network's findings on one item.

    Attributes:
        source: `model:version`.
        names: every label that it can give.
        findings: what it found; of a classifier all scores, also small ones.
    """

    source: str
    names: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Votes:
    """The questions of a release.

    Attributes:
        rules: rule by question.
        question: number of the question by label name; what is below a name belongs to its question too.
    """

    rules: Sequence[str] = ()
    question: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: Any) -> tuple[Votes, list[str]]:
        """From `vote` of pipeline.yaml, and what is wrong with it, one sentence each.

        Args:
            document: a list of `{names: [label, …], rule: max | mean | both}`.
        """
        taxonomy, faults, rules = Taxonomy.load(), [], []
        question: dict[str, int] = {}
        if not isinstance(document, list):
            return cls(), [f"vote is a {type(document).__name__}; a list of {{names: […], rule: …}} is expected"]
        for index, entry in enumerate(document):
            place = f"vote[{index}]"
            if not isinstance(entry, dict) or set(entry) != {"names", "rule"} or not isinstance(entry["names"], list):
                faults.append(f"{place} must have exactly `names`, a list, and `rule`")
                continue
            if entry["rule"] not in RULES:
                faults.append(f"{place}.rule is `{entry['rule']}`; allowed: {', '.join(RULES)}")
            rules.append(str(entry["rule"]))
            for name in map(str, entry["names"]):
                if not taxonomy.knows(name):
                    near = taxonomy.suggest(name)
                    faults.append(
                        f"{place}: `{name}` is not in the taxonomy" + (f"; did you mean `{near}`?" if near else "")
                    )
                if name in question:
                    faults.append(f"{place}: `{name}` is in two questions")
                question[name] = len(rules) - 1
        return cls(tuple(rules), question), faults

    def of(self, name: str) -> int | None:
        """Number of the question that a label belongs to: that of the nearest name at or above it."""
        return next((self.question[n] for n in (name, *reversed(parents(name))) if n in self.question), None)


def vote(opinions: Sequence[Opinion], votes: Votes) -> list[Finding]:
    """Findings with the scores that policies see.

    Args:
        opinions: of the networks that answered, one or two.
        votes: the questions of the release.

    Returns:
        Every finding, in order; where the other network had a say, `source` names both.
    """
    if len(opinions) != 2:
        return [finding for opinion in opinions for finding in opinion.findings]
    first, second = opinions
    return [*_weighed(first, second, votes), *_weighed(second, first, votes)]


def _weighed(mine: Opinion, other: Opinion, votes: Votes) -> Iterator[Finding]:
    asked = {votes.of(name) for name in other.names}
    answers: dict[tuple[int | None, int], float] = {}
    for finding in other.findings:
        key = votes.of(finding["name"]), finding["frame"]
        answers[key] = max(finding["score"], answers.get(key, 0.0))
    for finding in mine.findings:
        question = votes.of(finding["name"])
        if question is None or question not in asked or votes.rules[question] == "max":
            yield finding
        else:
            theirs = answers.get((question, finding["frame"]), 0.0)
            score = RULES[votes.rules[question]](finding["score"], theirs)
            yield {**finding, "score": round(score, 4), "source": f"{finding['source']} + {other.source}"}
