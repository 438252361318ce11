"""A whole training: pictures, fit, calibration, report, export."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from moderation.errors import ConfigError
from moderation.train import data as pictures
from moderation.train import report as reports
from moderation.train.data import CLASSES, Item, Pixels
from moderation.train.export import export
from moderation.train.fit import FINE_STAGES, STAGES, Data, Plan, fit, scores, shrink
from moderation.train.report import Report
from moderation.train.speed import CALIBRATION, measure

VARIANTS: Final = 3
"""Spoiled copies of each real picture."""
SYNTHETIC: Final = 1400
"""Synthetic pictures of each class."""
WATCH_SIZE: Final = 20
WATCH_SOURCES: Final = 3
"""A class with fewer sources (of so many pictures) learns from all of them."""
FOLD_STEPS: Final = 1600
FOLD_STAGES: Final = ((112, 0.85), (160, 0.15))
"""Short trainings that show the spread over sources."""
Progress = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


@dataclass(frozen=True)
class Outcome:
    """What a training gave: the file, figures on pictures of sources that it never saw, and the temperature."""

    path: Path
    report: Report
    temperature: float


def sources(folder: Path) -> tuple[list[Item], list[Item]]:
    """Pictures to learn from and pictures of other sources to judge by: `folder/train`, `folder/validation`.

    Raises:
        ConfigError: a class has no pictures to learn from.
    """
    manifest = folder / "manifest.csv"
    train, held_out = (pictures.items(folder / name, manifest) for name in ("train", "validation"))
    missing = [name for label, name in enumerate(CLASSES) if not any(item.label == label for item in train)]
    if missing:
        raise ConfigError(f"{folder}/train has no pictures of {', '.join(missing)}; expected {folder}/train/<class>/*")
    return train, held_out


def watched(found: list[Item]) -> set[str]:
    """Sources that are kept from learning to stop it in time: the smallest of each class that has three or more."""
    chosen = set()
    for label in range(len(CLASSES)):
        sizes = Counter(item.source for item in found if item.label == label)
        large = {source: count for source, count in sizes.items() if count >= WATCH_SIZE}
        if len(large) >= WATCH_SOURCES:
            chosen.add(min(large, key=lambda source: (large[source], source)))
    return chosen


def gather(what: str, rows: Iterable[tuple[Pixels, int, str]], total: int, progress: Progress) -> Data:
    """Pictures in memory."""
    pixels, labels, names = [], [], []
    for index, (picture, label, source) in enumerate(rows):
        pixels.append(picture)
        labels.append(label)
        names.append(source)
        progress(what, index + 1, total)
    return Data(np.stack(pixels), np.array(labels, np.int64), np.array(names))


def join(first: Data, second: Data) -> Data:
    """Both."""
    return Data(
        np.concatenate([first.pixels, second.pixels]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.sources, second.sources]),
    )


def _shuffled(found: Sequence[Item], name: str, seed: int) -> list[Path]:
    """Files of a class, sources mixed."""
    paths = [item.path for item in found if CLASSES[item.label] == name]
    random.Random(seed).shuffle(paths)  # noqa: S311 - an order, not a secret
    return paths


def gather_all(
    folder: Path, more: Sequence[Path], plan: Plan, workers: int, progress: Progress
) -> tuple[Data, Data | None, Data]:
    """Pictures to learn from (real and synthetic), those of watched sources, and those of the held-out sources."""
    found, judge = sources(folder)
    for other in more:
        found += pictures.items(other / "train", other / "manifest.csv")
    held_out = {item.source for item in judge}
    aside = watched(found)
    learn = [item for item in found if item.source not in aside | held_out]
    watch = [item for item in found if item.source in aside - held_out]
    real = gather("real pictures", pictures.real(learn, VARIANTS, workers), len(learn) * VARIANTS, progress)
    watching = gather("watched sources", pictures.real(watch, 0, workers), len(watch), progress) if watch else None
    judging = gather("held-out sources", pictures.real(judge, 0, workers), len(judge), progress)
    photos, figures = (_shuffled(learn, name, plan.seed) for name in ("photo", "illustration"))
    fonts = [other / "fonts" for other in more]
    rows = pictures.synthetic(SYNTHETIC, photos, figures, fonts, workers)
    drawn = gather("synthetic pictures", rows, SYNTHETIC * len(CLASSES), progress)
    return join(real, drawn), watching, judging


def train(
    folder: Path,
    output: Path,
    plan: Plan,
    workers: int,
    progress: Progress,
    more: Sequence[Path] = (),
    folds: int = 0,
    start: Path | None = None,
) -> Outcome:
    """Train the content-classifier and write its ONNX file, report and pictures to a folder.

    Args:
        folder: see `sources`.
        output: folder to write to.
        plan: how to fit.
        workers: processes that prepare pictures.
        progress: see `Progress`.
        more: further folders with `train/<class>/*` and perhaps a manifest and `fonts/*`, such as `collect` makes.
        start: `network.pt` of another training to go on from.
        folds: how many times more to train, each time without some sources, to see the spread; see `spread`.

    Raises:
        ConfigError: the folder lacks pictures.
    """
    learn, watch, judge = gather_all(folder, more, plan, workers, progress)
    output.mkdir(parents=True, exist_ok=True)
    log = (output / "training.tsv").open("w", buffering=1)

    def on_step(step: int, loss: float, _network: object) -> None:
        progress("training", step + 1, plan.steps)
        if step % 50 == 0:
            log.write(f"{step}\t{loss:.4f}\n")

    weights = None if start is None else torch.load(start, weights_only=True)
    stages = STAGES if start is None else FINE_STAGES
    network = fit(learn, plan, len(CLASSES), on_step, watch, stages, weights)
    log.close()
    torch.save(network.state_dict(), output / "network.pt")
    temperature = 1.0
    if watch is not None:  # the held-out sources stay untouched until they judge
        temperature = reports.find_temperature(scores(network, watch.pixels), watch.labels)
    found = scores(network, judge.pixels)
    report = reports.evaluate(CLASSES, reports.softmax(found, temperature), judge.labels)
    reports.draw(report, output)
    path = export(network, temperature, output)
    chosen = np.random.default_rng(plan.seed).choice(len(learn.pixels), CALIBRATION, replace=False)
    speed = measure(path, shrink(learn.pixels[chosen]), shrink(judge.pixels))
    calibration = f"Expected calibration error {report.calibration_error:.3f}, temperature {temperature:.2f}."
    (output / "report.md").write_text(f"{report.table()}\n\n{calibration} {speed.text()}\n")
    if folds:
        (output / "spread.md").write_text(spread(learn, watch, plan, folds, progress))
    return Outcome(path, report, temperature)


def spread(learn: Data, watch: Data | None, plan: Plan, folds: int, progress: Progress) -> str:
    """Recall on each source when it is left out, as a Markdown table.

    Sources of each class that has several are dealt to the folds; a fold is trained without its sources and judged by
    them. Synthetic photos and illustrations, which are made of real ones, are left out altogether. Trainings are short
    (`FOLD_STEPS`, small pictures), so figures lie below those of a whole training.
    """
    everything = join(learn, watch) if watch is not None else learn
    real = everything.sources != pictures.SYNTHETIC
    fold_of: dict[tuple[int, str], int] = {}
    for label in range(len(CLASSES)):
        names, counts = np.unique(everything.sources[real & (everything.labels == label)], return_counts=True)
        if len(names) > 1:
            for index, name in enumerate(names[np.argsort(-counts, kind="stable")]):
                fold_of[label, str(name)] = index % folds
    made_of_real = ~real & np.isin(everything.labels, [CLASSES.index("photo"), CLASSES.index("illustration")])
    rows = ["| class | left-out source | pictures | recall |", "|---|---|---|---|"]
    pairs = list(zip(everything.labels.tolist(), everything.sources.tolist(), strict=True))
    short = dataclasses.replace(plan, steps=min(plan.steps, FOLD_STEPS))
    found: list[tuple[int, str, int, float]] = []
    for fold in range(folds):
        left_out = np.array([fold_of.get(pair) == fold for pair in pairs]) & real

        def on_step(step: int, _loss: float, _network: object, what: str = f"fold {fold + 1}") -> None:
            progress(what, step + 1, short.steps)

        network = fit(everything.subset(~left_out & ~made_of_real), short, len(CLASSES), on_step, stages=FOLD_STAGES)
        said = scores(network, everything.pixels[left_out]).argmax(axis=1)
        for (label, name), where in fold_of.items():
            if where == fold:
                mine = (everything.labels[left_out] == label) & (everything.sources[left_out] == name)
                found.append((label, name, int(mine.sum()), float((said[mine] == label).mean())))
    for label, name, count, recall in sorted(found):
        rows.append(f"| {CLASSES[label]} | {name} | {count} | {recall:.3f} |")
    recalls = [recall for *_, recall in found]
    rows.append(f"\nMean {np.mean(recalls):.3f}, median {np.median(recalls):.3f}, lowest {min(recalls):.3f}.")
    return "\n".join(rows) + "\n"
