"""A whole training: pictures, fit, calibration, report, export."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from moderation.errors import ConfigError
from moderation.train import data as pictures
from moderation.train import report as reports
from moderation.train.data import CLASSES, Item, Pixels, Progress
from moderation.train.export import export
from moderation.train.fit import FINE_STAGES, STAGES, Data, Plan, fit, scores, shrink
from moderation.train.report import Report
from moderation.train.speed import CALIBRATION, measure
from moderation.train.spread import spread

VARIANTS: Final = 3
"""Spoiled copies of each real picture."""
SYNTHETIC: Final = 1400
"""Synthetic pictures of each class."""
WATCH_SIZE: Final = 20
WATCH_SOURCES: Final = 3
"""A class with fewer sources (of so many pictures) learns from all of them."""


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
    folder: Path, more: Sequence[Path], plan: Plan, workers: int, progress: Progress, watching: bool = True
) -> tuple[Data, Data | None, Data]:
    """Pictures to learn from (real and synthetic), those of watched sources, and those of the held-out sources.

    Without `watching`, all sources but the held-out ones are learned from.
    """
    found, judge = sources(folder)
    for other in more:
        found += pictures.items(other / "train", other / "manifest.csv")
    held_out = {item.source for item in judge}
    aside = watched(found) if watching else set()
    learn = [item for item in found if item.source not in aside | held_out]
    watch = [item for item in found if item.source in aside - held_out]
    real = gather("real pictures", pictures.real(learn, VARIANTS, workers), len(learn) * VARIANTS, progress)
    kept = gather("watched sources", pictures.real(watch, 0, workers), len(watch), progress) if watch else None
    judging = gather("held-out sources", pictures.real(judge, 0, workers), len(judge), progress)
    photos, figures = (_shuffled(learn, name, plan.seed) for name in ("photo", "illustration"))
    fonts = [other / "fonts" for other in more]
    rows = pictures.synthetic(SYNTHETIC, photos, figures, fonts, workers)
    drawn = gather("synthetic pictures", rows, SYNTHETIC * len(CLASSES), progress)
    return join(real, drawn), kept, judging


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
        folds: how many short trainings come first, each without some sources; see `spread`. They give the temperature,
            and the training itself then learns from all sources, with none left to stop it in time.
        start: `network.pt` of another training to go on from.

    Raises:
        ConfigError: the folder lacks pictures.
    """
    learn, watch, judge = gather_all(folder, more, plan, workers, progress, watching=not folds)
    output.mkdir(parents=True, exist_ok=True)
    temperature = 1.0
    if folds:
        unseen = spread(learn, plan, folds, progress)
        (output / "spread.md").write_text(unseen.table())
        temperature = unseen.temperature
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
    return Outcome(path, report, temperature)
