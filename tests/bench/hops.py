"""What each hop between models carries for one picture, in KB.

    python tests/bench/hops.py        # needs the real images in ../shared/data; 1 minute on 2 cores

The pipeline runs in this process with the real networks and counts the tensors of every call. In Triton these are the
bytes that go through shared memory from one Python process to the next.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.local import Carried, Local  # noqa: E402 - the path comes first
from bench.compare.pictures import Pictures  # noqa: E402
from bench.machine import describe  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402

PICTURES: Final = 30
KINDS: Final = ("photos", "texts")
REPORT: Final = Path(__file__).parent / "results" / "hops.md"
HOPS: Final = {
    contract.PREPROCESSOR: "entry → image-preprocessor",
    contract.CLASSIFIER: "entry → content-classifier",
    contract.SAFETY: "entry → safety-detector",
    contract.OCR: "entry → ocr-engine",
    contract.TEXT_DETECTOR: "ocr-engine → text-detector",
    contract.TEXT_RECOGNIZER: "ocr-engine → text-recognizer",
    contract.DECISION_LOGIC: "entry → moderation-decision-logic",
}
TEXT: Final = """# What each hop carries

{machine}

Mean of {count} pictures of each kind, KB (1,000 bytes) of tensors for one picture. Rerun: `python tests/bench/hops.py`.

| hop | photo: calls | there | back | page with text: calls | there | back |
|---|---|---|---|---|---|---|
{rows}

What keeps it small: pixels travel as UINT8, and the graphs scale them to floating point (FP32 would be four times as
much). Networks get pictures of their own size, never the full one. The full picture, at most 1,280 pixels a side, goes
to ocr-engine alone and never through a network's batcher. text-detector answers with UINT8 probabilities.
text-recognizer answers with the best class of each step ({kept:,.0f} KB for a page) and not with all {classes:,},
which would be {spared:,.0f} KB as FP32. safety-detector keeps the best {candidates} rows of its head inside the graph.
"""


def count(pictures: Pictures, kind: str) -> tuple[dict[str, Carried], int]:
    """What the pictures of a kind made each model carry, and how many classes text has."""
    with tempfile.TemporaryDirectory() as folder:
        local = Local(REPOSITORY, Path(folder))
        for path in pictures.files(kind):
            local.moderate(path.read_bytes())
        return local.carried, local.classes


def main() -> None:
    """Count and write the report."""
    pictures = Pictures(ROOT.parent / "shared" / "data", PICTURES)
    if reason := pictures.missing():
        print(f"skipped: {reason}")
        return
    counted = {kind: count(pictures, kind) for kind in KINDS}
    rows = []
    for model, hop in HOPS.items():
        cells = []
        for kind in KINDS:
            carried = counted[kind][0].get(model, Carried())
            each = (carried.calls / PICTURES, carried.asked / PICTURES / 1e3, carried.answered / PICTURES / 1e3)
            cells += [f"{each[0]:.1f}", f"{each[1]:,.1f}", f"{each[2]:,.1f}"]
        rows.append(f"| {hop} | {' | '.join(cells)} |")
    totals = []
    for kind in KINDS:
        all_of = counted[kind][0].values()
        sums = [sum(getattr(c, name) for c in all_of) / PICTURES for name in ("calls", "asked", "answered")]
        totals += [f"**{sums[0]:.1f}**", f"**{sums[1] / 1e3:,.1f}**", f"**{sums[2] / 1e3:,.1f}**"]
    rows.append(f"| **all** | {' | '.join(totals)} |")
    answered, classes = counted["texts"][0][contract.TEXT_RECOGNIZER].answered / PICTURES, counted["texts"][1]
    text = TEXT.format(
        machine=describe(),
        count=PICTURES,
        rows="\n".join(rows),
        kept=answered / 1e3,
        classes=classes,
        spared=answered / 8 * classes * 4 / 1e3,  # a step is an INT32 class and an FP32 score
        candidates=contract.SAFETY_CANDIDATES,
    )
    REPORT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
