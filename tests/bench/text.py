"""What the search for listed terms and for findings costs: `make bench-text` writes results/text.md.

The lists are made up: 30,000 words of English-like syllables, single or as phrases of two and three. The texts have
1,000 characters: plain English with three listed terms in it, the same in disguise, and made-up words of the kind that
the lists hold, which is as bad as it gets. Times are CPU seconds of one thread, so that other work on the machine
disturbs them less.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import cpu_ms, describe, resident  # noqa: E402 - the path comes first
from moderation.text.findings import find  # noqa: E402
from moderation.text.matching import Entry, Matcher  # noqa: E402

LAPS = 40
SYLLABLES = [
    "ba",
    "be",
    "bel",
    "ber",
    "bla",
    "bo",
    "bri",
    "by",
    "ca",
    "ce",
    "che",
    "chi",
    "co",
    "com",
    "con",
    "cra",
    "cu",
    "da",
    "de",
    "den",
    "di",
    "do",
    "dra",
    "du",
    "ed",
    "el",
    "em",
    "en",
    "er",
    "es",
    "ex",
    "fa",
    "fi",
    "fo",
    "fre",
    "fu",
    "ga",
    "ge",
    "gla",
    "go",
    "gra",
    "ha",
    "he",
    "hi",
    "ho",
    "in",
    "ing",
    "is",
    "it",
    "ja",
    "jo",
    "ka",
    "ki",
    "kle",
    "la",
    "le",
    "li",
    "lo",
    "lu",
    "ly",
    "ma",
    "me",
    "mi",
    "mo",
    "mu",
    "na",
    "ne",
    "ni",
    "no",
    "nu",
    "of",
    "on",
    "or",
    "pa",
    "pe",
    "ph",
    "pla",
    "po",
    "pre",
    "pro",
    "qua",
    "ra",
    "re",
    "ri",
    "ro",
    "ru",
    "sa",
    "sci",
    "se",
    "sha",
    "shi",
    "si",
    "so",
    "sta",
    "ste",
    "stri",
    "su",
    "ta",
    "te",
    "th",
    "ti",
    "tion",
    "to",
    "tra",
    "tri",
    "tu",
    "un",
    "up",
    "va",
    "ve",
    "vi",
    "vo",
    "wa",
    "we",
    "wi",
    "wo",
    "ya",
    "ze",
]
ENGLISH = (
    "The market on the square opens at seven and closes when the last of the bread is gone. Mrs Hall has sold apples "
    "there for thirty years; she knows who likes them sour, who bakes, and who only wants to talk about the weather. "
    "On Saturdays her nephew helps, counts the change twice and still gives too much of it away. A sign says that "
    "dogs are welcome and that the scales were checked in May. Around noon a band plays under the clock: two "
    "trumpets, a drum and a singer who forgets the words but never the tune. Children dance, pigeons steal crumbs, "
    "and somebody always asks whether the shop across the street will open again. Nobody can say. The posters in "
    "its window promise great things for spring, but they promised the same last year, in larger letters. By three "
    "the stalls are folded, the stones are swept, and the square belongs to the cats until the evening bus arrives "
    "from the harbour with visitors who take the same picture of the same fountain every day of the week, all year."
)


def vocabulary(count: int) -> list[str]:
    """Made-up words of two to four syllables."""
    chance = random.Random(7)
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(chance.choices(SYLLABLES, k=chance.choice((2, 3, 3, 4))))] = None
    return list(words)


def make_terms(words: list[str], count: int) -> list[str]:
    """Words and phrases, all different."""
    chance = random.Random(8)
    terms: dict[str, None] = {}
    while len(terms) < count:
        terms[" ".join(chance.choices(words, k=chance.choice((1, 2, 2, 3))))] = None
    return list(terms)


def texts(words: list[str], terms: list[str]) -> dict[str, str]:
    """Texts of 1,000 characters by name."""
    chance = random.Random(9)
    phrases = [chance.choice(terms) for _ in range(3)]
    planted = (
        f"{phrases[0]} {ENGLISH[:400]} {phrases[1]} {ENGLISH[400:]}"[: 1000 - len(phrases[2]) - 1] + " " + phrases[2]
    )
    made_up = " ".join(chance.choices(words, k=200))[:1000]
    return {
        "English, nothing listed": (ENGLISH * 2)[:1000],
        "English, 3 terms listed": planted,
        "the same in disguise": planted.replace("e", "3").replace("o", "0").replace("a", "а"),
        "the same stretched": planted.replace("ll", "llll").replace("re", "reee"),
        "made-up words": made_up,
        "made-up words without spaces": made_up.replace(" ", "") + made_up[: made_up.count(" ")],
    }


def patterns(count: int) -> list[str]:
    """Regular expressions of the kind that people write."""
    stems = ("buy", "sell", "send", "get", "free", "cheap", "best", "real")
    return [rf"\b{stems[n % len(stems)]}\s+(?:\d+|some|more)\s+[a-z]+{n}\b" for n in range(count)]


def rows(matcher: Matcher, every: dict[str, str]) -> list[str]:
    """A row of the report for each text."""
    return [
        f"| {name} | {len(matcher.search([text]))} | {cpu_ms(partial(matcher.search, [text]), LAPS)} |"
        for name, text in every.items()
    ]


def main() -> None:
    """Measure and write the report."""
    words = vocabulary(30_000)
    terms = make_terms(words, 100_000)
    every = texts(words, terms)
    head = ["| text of 1,000 characters | found | CPU ms, median | all runs |", "|---|---|---|---|"]
    before, start = resident(), time.process_time()
    matcher = Matcher(Entry("made-up", term) for term in terms)
    built = time.process_time() - start
    gc.collect()
    grown = resident() - before
    lines = [
        f"## 100,000 words and phrases\n\nReady in {built:.1f} s of CPU, {grown:.0f} MB.\n",
        *head,
        *rows(matcher, every),
    ]
    long = [word for word in words if 8 <= len(word) <= 20][:10_000]
    for distance in (1, 2):
        matcher = Matcher(Entry("made-up", word, "fuzzy", distance) for word in long)
        lines += [f"\n## 10,000 fuzzy words, distance {distance}\n", *head, *rows(matcher, every)]
    matcher = Matcher(Entry("made-up", pattern, "regex") for pattern in patterns(300))
    lines += ["\n## 300 regular expressions\n", *head, *rows(matcher, every)]
    lines += ["\n## Findings of every kind\n", *head]
    for name, text in {**every, "digits and dots": "call 030 1234567, 12.03.2024, 10.0.0.1 or a@b.de; " * 20}.items():
        count = len(find(text[:1000], regions=["DE", "US"]))
        lines.append(f"| {name} | {count} | {cpu_ms(partial(find, text[:1000], regions=['DE', 'US']), LAPS)} |")
    title = f"# Searching text\n\n{describe()}\n\n"
    how = "Rerun: `make bench-text`. CPU time of one thread; other work ran beside it.\n\n"
    (Path(__file__).parent / "results" / "text.md").write_text(title + how + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
