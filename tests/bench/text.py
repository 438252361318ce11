"""What the search for listed terms costs: `make bench-text` writes results/text.md.

The lists are made up: 30,000 words of English-like syllables, single or as phrases of two and three. The texts have
1,000 characters: plain English with three listed terms in it, the same in disguise, and made-up words of the kind that
the lists hold, which is as bad as it gets. Times are CPU seconds of one thread, so that other work on the machine
disturbs them less.
"""

from __future__ import annotations

import gc
import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from moderation.text.matching import Entry, Matcher

REPORT = Path(__file__).parent / "results" / "text.md"
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
RUNS, LAPS = 5, 40


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


def measured(work: Callable[[], object]) -> tuple[float, float, float]:
    """Median, smallest and largest of several runs, in ms of CPU a call."""
    work()
    runs = []
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(LAPS):
            work()
        runs.append(1000 * (time.process_time() - start) / LAPS)
    return statistics.median(runs), min(runs), max(runs)


def main() -> None:
    words = vocabulary(30_000)
    terms = make_terms(words, 100_000)
    entries = [Entry("made-up", term) for term in terms]
    gc.collect()
    before = memory()
    start = time.process_time()
    matcher = Matcher(entries)
    built = time.process_time() - start
    gc.collect()
    grown = memory() - before
    for name, text in texts(words, terms).items():
        row = measured(lambda text=text: matcher.search([text]))
        print(f"| {name} | {len(matcher.search([text]))} | {row[0]:.2f} | {row[1]:.2f}-{row[2]:.2f} |")
    print(built, grown)
    long = [w for w in words if 8 <= len(w) <= 20][:10000]
    for d in (1, 2):
        m = Matcher([Entry("f", w, "fuzzy", d) for w in long])
        for name, text in texts(words, terms).items():
            row = measured(lambda: m.search([text]))
            print(f"| fuzzy {d} {name} | {len(m.search([text]))} | {row[0]:.2f} | {row[1]:.2f}-{row[2]:.2f} |")


def memory() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
