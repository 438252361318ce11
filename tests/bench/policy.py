"""How long a decision takes under a policy of 200 rules, by what is in the picture.

    make bench-policy       # 1 minute
    python tests/bench/policy.py --recorded decisions.jsonl     # with real pictures, recorded by `make decisions`

The policy is made here: labels, kinds of content, terms (one list has 100,000), contact details, links, hashes (100,000
files, 10,000 pictures), and 30 expressions. Each row is the time of `evaluate` alone, signals to verdict; CPU
time tells more where other programs run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation.policy.evaluate import evaluate  # noqa: E402
from moderation.policy.load import load  # noqa: E402
from moderation.policy.replay import is_result, to_signals  # noqa: E402
from moderation.policy.rules import Policy  # noqa: E402
from moderation.taxonomy import Taxonomy  # noqa: E402

RULES: Final = {"labels": 70, "content_type": 10, "text": 60, "findings": 10, "links": 8, "hash": 12, "expression": 30}
TERMS, FILES, PICTURES = 100_000, 100_000, 10_000
RUNS: Final = 500
_QUAD: Final = [[10.5, 20.0], [210.5, 20.0], [210.5, 44.0], [10.5, 44.0]]
WORDS: Final = [
    "the",
    "a",
    "sale",
    "photo",
    "of",
    "my",
    "new",
    "house",
    "garden",
    "friends",
    "holiday",
    "today",
    "buy",
    "best",
    "price",
    "happy",
    "birthday",
    "with",
    "at",
    "in",
    "3",
    "$25,",
    "it's",
    "10:30",
    "now!",
    "café",
    "we’ll",
    "50%",
]


def rules(chance: random.Random) -> Iterator[dict[str, Any]]:
    """200 rules; on_unknown and the like are left at their defaults."""
    names, kinds = sorted(Taxonomy.load().labels), sorted(Taxonomy.load().content_types)
    for i in range(RULES["labels"]):
        lines = {name: {"review": 0.5 + i / 1000, "block": 0.9} for name in chance.sample(names, 3)}
        yield {"kind": "labels", "thresholds": lines}
    for i in range(RULES["content_type"]):
        yield {"kind": "content_type", "types": {kinds[i % len(kinds)]: {"min_score": 0.95 + i / 1000}}}
    for i in range(RULES["text"]):
        source = {"lists": ["large"]} if i == 0 else {"terms": [f"forbidden {i} {j}" for j in range(5)]}
        yield {"kind": "text", "action": "review", **source, **({"min_ocr_score": 0.6} if i % 2 else {})}
    for i in range(RULES["findings"]):
        find = ["email", "phone", "card", "iban", "ip", "handle"][: 1 + i % 6]
        yield {"kind": "findings", "action": "review", "find": find, "min_count": 2 + i}
    for i in range(RULES["links"]):
        yield {"kind": "links", "action": "block", "domains": [f"evil{i}-{j}.com" for j in range(100)]}
    for i in range(RULES["hash"]):
        yield {"kind": "hash", "action": "block", **_hashes(i, chance)}
    for i in range(RULES["expression"]):
        when = (
            f'label("{chance.choice(names)}") >= {0.6 + i / 100:.2f} && content_type.name in ["screenshot", "meme"]',
            f'rule("rule-{80 + i}") && (size(codes) > 0 || caption.contains("link")) && image.width < 4000',
            f'codes.exists(c, c.text.contains("t{i}.me")) || count("person", 0.5) > {i} && hits("rule-150") > 1',
            f'subject.tier == "new{i}" && label("nudity") + label("sexual") > 0.9',
        )[i % 4]
        yield {"kind": "expression", "action": "block", "when": when}


def _hashes(i: int, chance: random.Random) -> dict[str, Any]:
    if i == 0:
        return {"lists": ["files"]}
    if i == 1:
        return {"pdq_lists": ["pictures"]}
    return {"digests": [_digest(chance) for _ in range(20)]}


def _digest(chance: random.Random) -> str:
    return f"{chance.getrandbits(256):064x}"


def write(folder: Path) -> None:
    """The policy with its lists."""
    chance = random.Random(1)
    (folder / "lists").mkdir()
    terms = {" ".join(f"w{chance.randrange(50_000)}" for _ in range(1 + n % 3)) for n in range(TERMS * 2)}
    (folder / "lists" / "large.txt").write_text("\n".join(sorted(terms)[:TERMS]) + "\n")
    for name, count in (("files", FILES), ("pictures", PICTURES)):
        (folder / "lists" / f"{name}.txt").write_text("".join(f"{_digest(chance)}\n" for _ in range(count)))
    found = [{"id": f"rule-{i}", "message": "m", **rule} for i, rule in enumerate(rules(chance))]
    (folder / "policy.yaml").write_text(yaml.safe_dump({"profiles": {"default": {"rules": found}}}))


def picture(labels: int, lines: int, words: int, chance: random.Random) -> dict[str, Any]:
    """Signals with so many findings, lines and words a line."""
    names = sorted(Taxonomy.load().labels)

    def text() -> str:
        return " ".join(chance.choice(WORDS) for _ in range(words))

    return {
        "labels": [{"name": chance.choice(names), "score": 0.4, "source": "s:1"} for _ in range(labels)],
        "content_type": {"name": "photo", "score": 0.9},
        "text": [{"text": text(), "score": 0.9, "frame": 0, "quad": _QUAD} for _ in range(lines)],
        "caption": text() if lines else None,
        "codes": [{"format": "QRCode", "text": "https://example.com/x"}] if lines else [],
        "image": {"sha256": _digest(chance), "pdq": _digest(chance), "pdq_quality": 90, "format": "JPEG"}
        | {"bytes": 90_000, "width": 1200, "height": 900, "frames": 1},
        "subject": {"tier": "old"},
        "unknown": [],
    }


def row(title: str, policy: Policy, pictures: list[str]) -> str:
    """Time of decisions on pictures, in turn."""
    times, work = [], []
    for run in range(RUNS):
        signals = json.loads(pictures[run % len(pictures)])
        before, busy = time.perf_counter(), time.thread_time()
        evaluate(policy, signals)
        times.append((time.perf_counter() - before) * 1e3)
        work.append((time.thread_time() - busy) * 1e3)
    return f"| {title} | {median(work):.2f} | {median(times):.2f} | {quantiles(times, n=100)[98]:.2f} |"


def recorded(file: Path) -> list[str]:
    """Signals of recorded RESULTs, one a line."""
    found = [json.loads(line) for line in file.read_text().splitlines()]
    return [json.dumps(to_signals(each.get("result", each))) for each in found if is_result(each.get("result", each))]


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recorded", type=Path, help="RESULTs of real pictures, one a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        started = time.perf_counter()
        policy = load(Path(name))
        loaded = time.perf_counter() - started
    table = ["| picture | CPU p50 ms | p50 ms | p99 ms |", "|---|---|---|---|"]
    for title, labels, lines, words in (
        ("photo without text: 6 labels", 6, 0, 0),
        ("meme or notice: 6 labels, 4 lines of 5 words, caption, QR code", 6, 4, 5),
        ("screenshot: 2 labels, 20 lines of 6 words, caption, QR code", 2, 20, 6),
        ("page of text: 60 lines of 8 words, caption, QR code", 0, 60, 8),
    ):
        chance = random.Random(2)
        pictures = [json.dumps(picture(labels, lines, words, chance)) for _ in range(50)]
        table.append(row(title, policy, pictures))
        print(table[-1], flush=True)
    if options.recorded:
        pictures = recorded(options.recorded)
        table.append(row(f"{len(pictures)} real pictures, as recorded", policy, pictures))
        print(table[-1], flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in RULES.items())
    head = (
        f"# A decision under 200 rules\n\n{describe()}\n\n{kinds}; {TERMS:,} terms, {FILES:,} files, {PICTURES:,} "
        f"pictures. Loading it took {loaded:.1f} s.\n\nRerun: `make bench-policy`.\n"
    )
    (Path(__file__).parent / "results" / "policy.md").write_text(head + "\n" + "\n".join(table) + "\n")


if __name__ == "__main__":
    main()
