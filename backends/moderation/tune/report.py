"""The report of one tuned model, kept beside the sweeps."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from moderation.tune.candidates import named, parse
from moderation.tune.space import Choice, Space


def write(folder: Path, space: Space, document: Mapping[str, Any], choice: Choice, export: Path) -> None:
    """Write `README.md`, and Model Analyzer's own tables and pages beside it.

    Args:
        folder: of this model's report; what was there goes.
        space: the sweep.
        document: what it found, see `State`.
        choice: what is proposed.
        export: Model Analyzer's export folder, if it was used.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rules = space.judge
    lines = [
        f"# {space.model}",
        "",
        f"{date.today()}. Result: **{named(choice, space.axes)}**.",
        "",
        f"Judged by perf_analyzer with {rules.concurrency} requests in flight, {rules.rounds} rounds of "
        f"{rules.seconds:g} s in which all candidates take turns. A candidate replaces what is there when its median "
        f"gain is above {100 * rules.margin:.0f} % and it was faster in four rounds of five"
        + (f", with a median p95 of at most {rules.p95_ms:g} ms." if rules.p95_ms else "."),
        "",
    ]
    if rules.search == "in-turn":
        for turn in document["turns"]:
            lines += [f"## {turn['axis']}", "", *_table(turn["candidates"], turn), ""]
    else:
        candidates = [named({}, space.axes), *(named(parse(rows), space.axes) for rows in document["candidates"] or ())]
        lines += [
            f"Model Analyzer searched among {space.combinations()} combinations; its best were measured again:",
            "",
        ]
        lines += _table(candidates, document)
        lines += ["", "Model Analyzer's own tables and pages:", ""]
        for source in _exported(export):
            # a detailed report lies in a folder that is named after its candidate
            name = (
                source.name if source.parent.name in ("results", space.model) else f"{source.parent.name}-{source.name}"
            )
            shutil.copy2(source, folder / name)
            lines.append(f"- [{name}]({name})")
    (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n")


def _exported(folder: Path) -> list[Path]:
    """What is worth keeping of Model Analyzer's export."""
    return [*folder.rglob("metrics-model-inference.csv"), *sorted((*folder.rglob("*.html"), *folder.rglob("*.pdf")))]


def _table(candidates: Sequence[str], judged: Mapping[str, Any]) -> list[str]:
    verdict = judged.get("verdict")
    if not judged["rounds"] or verdict is None:
        return ["No candidate differs from what is there."]
    lines = ["| candidate | requests/s, each round | p95 ms | gain | faster in |", "|---|---|---|---|---|"]
    for index, name in enumerate(candidates):
        rates = ", ".join(f"{row['rates'][index]:.2f}" for row in judged["rounds"])
        p95 = median(row["p95_ms"][index] for row in judged["rounds"])
        gain = f"{100 * verdict['gains'][index]:+.1f} %" if index else ""
        wins = f"{verdict['wins'][index]} of {len(judged['rounds'])}" if index else ""
        shown = f"**{name}**" if index == verdict["winner"] else name
        lines.append(f"| {shown} | {rates} | {p95:.0f} | {gain} | {wins} |")
    return [*lines, "", f"{verdict['why'].capitalize()}."]
