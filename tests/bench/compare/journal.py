"""Measurements that are done, one JSON document a line, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare.steps import Row, Step


class Journal:
    """One file.

    Args:
        path: of the file; made when it is not there.
        settings: of the run; a file of another run is not continued.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self.rows = path, list[Row]()
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.is_file() else []
        if lines and json.loads(lines[0]) == settings:
            self.rows = [Row(**json.loads(line)) for line in lines[1:]]
        else:
            path.write_text(json.dumps(settings) + "\n")

    def add(self, row: Row) -> None:
        """Write one measurement down."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")

    def has(self, step: Step) -> bool:
        """Whether a step was made."""
        return any(Step(**row.step).key == step.key for row in self.rows)

    def of(self, kind: str, mix: str | None = None, contender: str | None = None) -> Iterator[Row]:
        """Rows of a kind."""
        for row in self.rows:
            step = row.step
            if step["kind"] == kind and mix in (None, step["mix"]) and contender in (None, step["contender"]):
                yield row

    def rate(self, contender: str, mix: str) -> float:
        """Images a second that a contender does with a mix, as well as it is known."""
        if mix in ("mixed", "repeats") and not [*self.of("mix", mix, contender)]:
            photos, texts = (self.rate(contender, kind) for kind in ("photos", "texts"))
            return 2 * photos * texts / (photos + texts)
        rows = [*self.of("mix", mix, contender), *self.of("curve", mix, contender)]
        rows = rows or list(self.of("warm", mix, contender))
        by_load: dict[int, list[float]] = {}
        for row in rows:
            by_load.setdefault(row.step["concurrency"], []).append(row.rate)
        return max(0.05, *(median(rates) for rates in by_load.values()))
