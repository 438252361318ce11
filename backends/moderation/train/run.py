"""A whole training: pictures, fit, calibration, report, export."""

from __future__ import annotations

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
from moderation.train.fit import Data, Plan, fit, scores
from moderation.train.report import Report

VARIANTS: Final = 3
"""Spoiled copies of each real picture."""
SYNTHETIC: Final = 1400
"""Synthetic pictures of each class."""
WATCH_SIZE: Final = 20
WATCH_SOURCES: Final = 3
"""A class with fewer sources (of so many pictures) learns from all of them."""
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


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def train(
    folder: Path, output: Path, plan: Plan, workers: int, progress: Progress, more: Sequence[Path] = ()
) -> Outcome:
    """Train the content-classifier and write its ONNX file, report and pictures to a folder.

    Args:
        folder: see `sources`.
        output: folder to write to.
        plan: how to fit.
        workers: processes that prepare pictures.
        progress: see `Progress`.
        more: further folders with `train/<class>/*` and perhaps a manifest, such as `collect` makes.

    Raises:
        ConfigError: the folder lacks pictures.
    """
    found, judge = sources(folder)
    for other in more:
        found += pictures.items(other / "train", other / "manifest.csv")
    aside = watched(found)
    learn = [item for item in found if item.source not in aside]
    watch = [item for item in found if item.source in aside]
    real = gather("real pictures", pictures.real(learn, VARIANTS, workers), len(learn) * VARIANTS, progress)
    watching = gather("watched sources", pictures.real(watch, 0, workers), len(watch), progress) if watch else None
    grounds = [item.path for item in learn if CLASSES[item.label] == "photo"]
    random.Random(plan.seed).shuffle(grounds)  # noqa: S311 - an order, not a secret
    total = SYNTHETIC * (len(CLASSES) - 1)
    drawn = gather("synthetic pictures", pictures.synthetic(SYNTHETIC, grounds, workers), total, progress)
    network = fit(
        join(real, drawn),
        plan,
        len(CLASSES),
        lambda step, _loss, _net: progress("training", step + 1, plan.steps),
        watching,
    )
    torch.save(network.state_dict(), _made(output) / "network.pt")
    held_out = gather("held-out sources", pictures.real(judge, 0, workers), len(judge), progress)
    found = scores(network, held_out.pixels)
    temperature = reports.find_temperature(found, held_out.labels)
    report = reports.evaluate(CLASSES, reports.softmax(found, temperature), held_out.labels)
    reports.draw(report, output)
    calibration = f"Expected calibration error {report.calibration_error:.3f}, temperature {temperature:.2f}."
    (output / "report.md").write_text(f"{report.table()}\n\n{calibration}\n")
    return Outcome(export(network, temperature, output), report, temperature)
