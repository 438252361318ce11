"""A comparison of two versions as tables."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from moderation.contract import DECISIONS
from moderation.rollout.compare import EXAMPLES, Comparison
from moderation.rollout.shadow import ERROR
from moderation.rollout.stats import Interval


def print_comparison(console: Console, found: Comparison, effect: float) -> None:
    """Shares with their differences, times, agreement, and requests that differ."""
    shares = Table("", "old", "new", "difference (95 %)", f"items needed for {effect:.2%}")
    missing = found.missing(effect)
    for name, change in found.changes().items():
        counts = [
            (side.errors, side.items + side.errors) if name == ERROR else (side.decisions.get(name, 0), side.items)
            for side in (found.old, found.new)
        ]
        more = f"{missing[name]} more" if missing.get(name) else "enough" if name in missing else ""
        shares.add_row(name, *(f"{count} of {total}" for count, total in counts), _percent(change), more)
    p95 = [f"{side.p95_ms:.1f}" if not math.isnan(side.p95_ms) else "" for side in (found.old, found.new)]
    shares.add_row("p95, ms", *p95, "", "")
    if slower := found.slower():
        shares.add_row("mean, ms", "", "", f"{slower.value:+.2f} ({slower.low:+.2f} to {slower.high:+.2f})", "")
    console.print(shares)
    if total := sum(found.matrix.values()):
        matrix = Table("old \\ new", *DECISIONS, ERROR, title=f"{total} items that both saw")
        for old in DECISIONS:
            matrix.add_row(old, *(str(found.matrix.get((old, new), 0)) for new in (*DECISIONS, ERROR)))
        console.print(matrix)
        agreed = found.agreement()
        console.print(f"decided alike: {agreed.value:.2%} ({agreed.low:.2%} to {agreed.high:.2%})", highlight=False)
    for example in found.examples[:EXAMPLES]:
        ids = example.new_id if example.old_id == example.new_id else f"{example.old_id} and {example.new_id}"
        console.print(f"  {ids}: {example.old} became {example.new}", markup=False, highlight=False, soft_wrap=True)
    if len(found.examples) > EXAMPLES:
        console.print(f"  and {len(found.examples) - EXAMPLES} more")


def _percent(found: Interval) -> str:
    if math.isnan(found.value):
        return "nothing seen"
    return f"{found.value:+.2%} ({found.low:+.2%} to {found.high:+.2%})"
