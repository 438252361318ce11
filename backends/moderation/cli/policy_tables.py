"""What `moderation policy` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from moderation import contract
from moderation.policy.cases import Outcome
from moderation.policy.explain import Explanation
from moderation.policy.replay import REFUSED, Comparison
from moderation.policy.rules import strength

COLOURS: Final = {"allow": "green", "review": "yellow", "block": "red", REFUSED: "magenta"}
_STATES: Final = {"matches": "bold", "overridden": "cyan", "unknown": "magenta", "no match": "dim"}


def _coloured(decision: str) -> str:
    return f"[{COLOURS.get(decision, 'magenta')}]{decision}[/]"


def print_outcomes(console: Console, outcomes: Sequence[Outcome], idle: Sequence[str]) -> None:
    """Each test that fails with what was expected and what came, then a summary."""
    failed = [outcome for outcome in outcomes if outcome.differences]
    for outcome in failed:
        console.print(f"[red]fails[/] {escape(outcome.test.title)} (tests.yaml:{outcome.test.line})", highlight=False)
        table = Table("", "expected", "got", box=None, padding=(0, 2))
        for item in outcome.differences:
            table.add_row(item.what, f"[green]{escape(item.expected)}[/]", f"[red]{escape(item.got)}[/]")
        console.print(table)
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} tests hold", highlight=False)
    if idle:
        console.print(f"rules that no test makes match: {', '.join(idle)}", style="yellow", highlight=False)


def print_explanation(console: Console, explanation: Explanation, recorded: str | None) -> None:
    """The decision, every rule, and the nearest miss."""
    verdict = explanation.verdict
    policy = verdict["policy"]
    console.print(
        f"{_coloured(verdict['decision'])}, severity {verdict['severity']}, by policy {escape(policy['version'])}, "
        f"profile {policy['profile']}",
        highlight=False,
    )
    if recorded not in (None, verdict["decision"]):
        console.print(
            f"the record says {recorded}: the policy has changed, or the record lacks the caption or the caller's "
            "attributes",
            style="yellow",
        )
    table = Table(Column("rule", no_wrap=True), "kind", "action", "state", Column("why", ratio=1, overflow="fold"))
    for rule in explanation.rules:
        why = "\n".join(escape(detail.text) for detail in rule.details)
        state = f"[{_STATES[rule.state]}]{rule.state}[/]"
        table.add_row(rule.id, rule.kind, _coloured(rule.action), state, why)
    for reason in verdict["reasons"]:
        if reason["rule"] not in {rule.id for rule in explanation.rules}:
            table.add_row(reason["rule"], "", _coloured(reason["action"]), "matches", escape(reason["message"]))
    console.print(table)
    if explanation.closest is not None:
        rule, detail = explanation.closest
        console.print(f"nearest miss: {rule.id}: {detail.text}", markup=False, highlight=False)


def print_comparison(console: Console, found: Comparison) -> None:
    """Every change, then how many records went from which decision to which."""
    changes = Table(Column("record", overflow="fold"), "was", "becomes", "severity", Column("because of", ratio=1))
    for change in found.changes:
        why = [f"+ {name}" for name in change.came] + [f"- {name}" for name in change.went]
        severity = f"{change.severity_before} → {change.severity_after}"
        name = escape(change.record.name)
        changes.add_row(name, _coloured(change.before), _coloured(change.after), severity, "\n".join(why))
    if found.changes:
        console.print(changes)
    decisions = sorted({d for pair in found.matrix for d in pair}, key=_rank)
    matrix = Table("was \\ becomes", *(Column(decision, justify="right") for decision in decisions))
    for before in decisions:
        row = (str(found.matrix.get((before, after), "")) for after in decisions)
        matrix.add_row(_coloured(before), *row)
    console.print(matrix)
    changed = sum(1 for change in found.changes if change.before != change.after)
    severities = len(found.changes) - changed
    console.print(
        f"{changed} of {found.total} decisions change; {severities} more change only their severity", highlight=False
    )


def _rank(decision: str) -> int:
    return strength(decision) if decision in contract.DECISIONS else len(contract.DECISIONS)


def as_json(found: Comparison) -> dict[str, Any]:
    """The same for machines."""
    return {
        "records": found.total,
        "changed": len(found.changes),
        "matrix": [
            {"before": before, "after": after, "records": number}
            for (before, after), number in sorted(found.matrix.items())
        ],
        "changes": [
            {
                "record": change.record.name,
                "line": change.record.line,
                "before": change.before,
                "after": change.after,
                "severity_before": change.severity_before,
                "severity_after": change.severity_after,
                "came": list(change.came),
                "went": list(change.went),
            }
            for change in found.changes
        ],
    }
