"""Leave-one-source-out: short trainings without some sources each, judged by them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from moderation.train import data as pictures
from moderation.train import report as reports
from moderation.train.data import CLASSES, Progress
from moderation.train.fit import Data, Plan, fit, scores

FOLD_STEPS: Final = 300
FOLD_STAGES: Final = ((128, 0.85), (160, 0.15))
"""Short trainings that show the spread over sources."""


@dataclass(frozen=True)
class Spread:
    """How well sources are known that were left out.

    Attributes:
        recalls: by class and source, how many pictures it has and what share of them is recognised.
        temperature: by which scores must be divided for the probabilities of all these pictures to be true.
    """

    recalls: dict[tuple[str, str], tuple[int, float]]
    temperature: float

    def table(self) -> str:
        """Markdown."""
        rows = ["| class | left-out source | pictures | recall |", "|---|---|---|---|"]
        for (name, source), (count, recall) in sorted(self.recalls.items()):
            rows.append(f"| {name} | {source} | {count} | {recall:.3f} |")
        all_of_them = [recall for _, recall in self.recalls.values()]
        figures = f"Mean {np.mean(all_of_them):.3f}, median {np.median(all_of_them):.3f}, lowest {min(all_of_them):.3f}"
        return "\n".join([*rows, f"\n{figures}, temperature {self.temperature:.2f}."]) + "\n"


def _deal(data: Data, real: npt.NDArray[np.bool_], folds: int) -> npt.NDArray[np.int64]:
    """The fold that leaves a picture out: real sources of each class that has several, dealt by size; -1 for others."""
    fold_of = np.full(len(data.labels), -1)
    for label in range(len(CLASSES)):
        mine = real & (data.labels == label)
        names, counts = np.unique(data.sources[mine], return_counts=True)
        if len(names) > 1:
            for index, name in enumerate(names[np.argsort(-counts, kind="stable")]):
                fold_of[mine & (data.sources == name)] = index % folds
    return fold_of


def spread(data: Data, plan: Plan, folds: int, progress: Progress) -> Spread:
    """How well sources are known that were never learned from.

    Sources of each class that has several are dealt to the folds; a fold is trained without its sources and judged by
    them. Synthetic photos and illustrations, which are made of real ones, are left out altogether. Trainings are short
    (`FOLD_STEPS`, small pictures), so figures lie below those of a whole training.
    """
    real = data.sources != pictures.SYNTHETIC
    fold_of = _deal(data, real, folds)
    made_of_real = ~real & np.isin(data.labels, [CLASSES.index("photo"), CLASSES.index("illustration")])
    short = dataclasses.replace(plan, steps=min(plan.steps, FOLD_STEPS))
    found = np.zeros((len(data.labels), len(CLASSES)), np.float32)
    for fold in range(folds):
        left_out = fold_of == fold

        def on_step(step: int, _loss: float, _network: object, what: str = f"fold {fold + 1}") -> None:
            progress(what, step + 1, short.steps)

        network = fit(data.subset(~left_out & ~made_of_real), short, len(CLASSES), on_step, stages=FOLD_STAGES)
        found[left_out] = scores(network, data.pixels[left_out])
    judged = fold_of >= 0
    right = found.argmax(axis=1) == data.labels
    pairs = sorted(set(zip(data.labels[judged].tolist(), data.sources[judged].tolist(), strict=True)))
    recalls = {}
    for label, source in pairs:
        mine = judged & (data.labels == label) & (data.sources == source)
        recalls[CLASSES[label], source] = (int(mine.sum()), float(right[mine].mean()))
    return Spread(recalls, reports.find_temperature(found[judged], data.labels[judged]))
