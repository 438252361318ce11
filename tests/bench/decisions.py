"""Nothing may be faster by doing less: what a server decides over a folder, and how two such records differ.

    moderation check --json FOLDER… > before.jsonl         # with the server as it was
    moderation check --json FOLDER… > after.jsonl          # with the change
    python tests/bench/decisions.py before.jsonl after.jsonl

    python tests/bench/decisions.py --record before.jsonl   # the first step with a server of its own (make decisions)

Lists every picture whose decision changed, with the rules of both sides; and how far the signals moved: labels, kinds
of picture, lines of text. Exit code 1 when fewer pictures than `AGREEMENT` keep their decision.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rapidfuzz.distance import Levenshtein

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from serving.conftest import COMMAND, launched  # noqa: E402 - the path comes first

DATA: Final = ROOT.parent / "shared" / "data"
FOLDERS: Final = ("people_photos", "ocr", "content_types/validation", "odd_files")
"""All pictures that no network was trained or calibrated on."""
AGREEMENT: Final = 0.995
Result = Mapping[str, Any]


@dataclass
class Comparison:
    """How two records of the same pictures differ.

    Attributes:
        pictures: how many are in both.
        changed: sentences, one for each picture with another decision.
        only: names that only one of the records has.
        kinds: pictures with another content type.
        labels: labels that one side lacks.
        score_moves: differences of the scores of labels that both have.
        characters: of the text before.
        character_moves: edit distance of the texts, reading order as it is.
    """

    pictures: int = 0
    changed: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)
    kinds: int = 0
    labels: int = 0
    score_moves: list[float] = field(default_factory=list)
    characters: int = 0
    character_moves: int = 0

    @property
    def agreement(self) -> float:
        """Share of the pictures with the same decision; 0 without pictures."""
        return (self.pictures - len(self.changed)) / self.pictures if self.pictures else 0.0

    def report(self) -> str:
        """Markdown."""
        moves = self.score_moves
        lines = [
            f"{self.pictures} pictures, {len(self.changed)} with another decision: agreement {self.agreement:.2%}",
            *(f"- {sentence}" for sentence in self.changed),
            *(f"- only in one record: {name}" for name in self.only),
            f"Content type: another for {self.kinds}.",
            f"Labels: {len(moves)} in both, scores move by {_mean(moves):.4f} on average and at most "
            f"{max(moves, default=0.0):.4f}; {self.labels} on one side only.",
            f"Text: {self.character_moves} of {self.characters} characters differ "
            f"({self.character_moves / max(1, self.characters):.2%}).",
        ]
        return "\n".join(lines)


def load(path: Path, root: Path = DATA) -> dict[str, Result]:
    """A record by name of picture, relative to the folder of pictures where it lies there."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {_name(Path(row["file"]), root): row for row in rows}


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def compare(before: Mapping[str, Result], after: Mapping[str, Result]) -> Comparison:
    """Every difference that a caller can see."""
    found = Comparison(only=sorted(set(before) ^ set(after)))
    for name in sorted(set(before) & set(after)):
        a, b = before[name], after[name]
        found.pictures += 1
        if a["decision"] != b["decision"]:
            found.changed.append(f"{name}: {a['decision']} ({_rules(a)}) → {b['decision']} ({_rules(b)})")
        if "error" in a or "error" in b:
            continue
        found.kinds += (a["content_type"] or {}).get("name") != (b["content_type"] or {}).get("name")
        mine, other = _best(a["labels"]), _best(b["labels"])
        found.labels += len(set(mine) ^ set(other))
        found.score_moves += [abs(mine[label] - other[label]) for label in set(mine) & set(other)]
        texts = [" ".join(line["text"] for line in row["text"]) for row in (a, b)]
        found.characters += len(texts[0])
        found.character_moves += Levenshtein.distance(*texts)
    return found


def _best(labels: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Greatest score of each label."""
    best: dict[str, float] = {}
    for label in labels:
        best[label["name"]] = max(best.get(label["name"], 0.0), label["score"])
    return best


def _rules(result: Result) -> str:
    if "error" in result:
        return str(result["error"]["code"])
    return ", ".join(dict.fromkeys(reason["rule"] for reason in result["reasons"])) or "nothing found"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def record(folders: Sequence[Path], output: Path, options: Sequence[str] = ()) -> None:
    """What a server of its own decides; `options` go to `moderation serve`."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        launched(Path(scratch), *options) as server,
        output.open("w") as file,
    ):
        # two at a time keep two cores busy, and nothing waits long enough for a deadline
        how = [str(COMMAND), "check", "--json", "--url", server.grpc, "--concurrency", "2"]
        code = subprocess.run([*how, *map(str, folders)], stdout=file, check=False).returncode
    if code not in range(4):
        raise SystemExit(f"moderation check ended with {code}: some pictures have no decision")


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("records", type=Path, nargs="*", metavar="RECORD", help="before and after")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write a record with a server of its own")
    parser.add_argument("--folder", type=Path, action="append", help="pictures; default: all of ../shared/data")
    parser.add_argument(
        "--serve", action="append", default=[], help="option for the server, such as --serve=--profile=x"
    )
    options = parser.parse_args()
    if options.record:
        folders = options.folder or [DATA / name for name in FOLDERS]
        if lacking := [str(folder) for folder in folders if not folder.is_dir()]:
            parser.error(f"no pictures in {', '.join(lacking)}; give --folder")
        record(folders, options.record, options.serve)
    elif len(options.records) != 2:
        parser.error("give two records, or --record FILE")
    else:
        found = compare(*(load(path) for path in options.records))
        print(found.report())
        raise SystemExit(0 if found.agreement >= AGREEMENT else 1)


if __name__ == "__main__":
    main()
