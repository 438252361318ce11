"""What a trained classifier is worth: recall, precision, calibration, as numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

BINS: Final = 10
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Report:
    """Figures of one set of pictures.

    Attributes:
        classes: names.
        confusion: [classes, classes], rows are the truth.
        calibration_error: expected calibration error (Naeini et al., 2015), 0-1.
        reliability: for each bin of confidence: mean confidence, accuracy, count.
    """

    classes: Sequence[str]
    confusion: npt.NDArray[np.int64]
    calibration_error: float
    reliability: list[tuple[float, float, int]]

    @property
    def recall(self) -> Floats:
        """By class; NaN for a class without pictures."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.confusion.diagonal() / self.confusion.sum(axis=1))

    @property
    def precision(self) -> Floats:
        """By class; NaN for a class that was never said."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.confusion.diagonal() / self.confusion.sum(axis=0))

    @property
    def macro(self) -> float:
        """Mean recall of the classes that have pictures."""
        return float(np.nanmean(self.recall))

    def table(self) -> str:
        """Markdown."""
        rows = [f"| {'class'} | pictures | recall | precision |", "|---|---|---|---|"]
        for name, row, recall, precision in zip(self.classes, self.confusion, self.recall, self.precision, strict=True):
            rows.append(f"| {name} | {row.sum()} | {recall:.3f} | {precision:.3f} |")
        rows.append(f"| **macro** | {self.confusion.sum()} | **{self.macro:.3f}** | {np.nanmean(self.precision):.3f} |")
        return "\n".join(rows)


def softmax(scores: Floats, temperature: float = 1.0) -> Floats:
    """Scores [n, classes] to probabilities."""
    shifted = scores / temperature
    powers = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def find_temperature(scores: Floats, labels: npt.NDArray[np.int64]) -> float:
    """The temperature with the smallest negative log likelihood (Guo et al., 2017), between 0.3 and 5."""
    candidates = np.geomspace(0.3, 5, 120)
    rows = np.arange(len(labels))
    losses = [-np.log(softmax(scores, t)[rows, labels] + 1e-12).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def evaluate(classes: Sequence[str], probabilities: Floats, labels: npt.NDArray[np.int64]) -> Report:
    """Compare probabilities [n, classes] with the truth [n]."""
    said, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    confusion = np.zeros((len(classes),) * 2, np.int64)
    np.add.at(confusion, (labels, said), 1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    reliability = []
    error = 0.0
    for index in range(BINS):
        inside = bins == index
        if inside.any():
            mean, accuracy = float(confidence[inside].mean()), float((said == labels)[inside].mean())
            reliability.append((mean, accuracy, int(inside.sum())))
            error += inside.mean() * abs(mean - accuracy)
    return Report(classes, confusion, float(error), reliability)


def draw(report: Report, folder: Path) -> None:
    """`confusion.png` and `reliability.png` in a folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
    shares = report.confusion / np.maximum(1, report.confusion.sum(axis=1, keepdims=True))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(report.classes)), report.classes, rotation=40, ha="right")
    axis.set_yticks(range(len(report.classes)), report.classes)
    axis.set(xlabel="said", ylabel="truth", title=f"macro recall {report.macro:.3f}")
    for (row, column), count in np.ndenumerate(report.confusion):
        if count:
            axis.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    figure.savefig(folder / "confusion.png", dpi=110)
    figure, axis = plt.subplots(figsize=(5, 5), layout="constrained")
    means, accuracies, counts = zip(*report.reliability, strict=True)
    axis.plot([0, 1], [0, 1], "k:", linewidth=1)
    axis.plot(means, accuracies, "o-")
    for mean, accuracy, count in zip(means, accuracies, counts, strict=True):
        axis.annotate(str(count), (mean, accuracy), textcoords="offset points", xytext=(4, -12), fontsize=8)
    axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axis.set_title(f"expected calibration error {report.calibration_error:.3f}")
    figure.savefig(folder / "reliability.png", dpi=110)
    plt.close("all")
