"""Whether a network in FP16 says what it says in FP32: compared as its answers are used, with stated tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from moderation import contract
from moderation.errors import ModelBuildError

Outputs = Mapping[str, npt.NDArray[Any]]
Pixels = npt.NDArray[np.uint8]

SCORE: Final = 0.02
"""Greatest difference of a probability, 0-1."""
PIXELS: Final = 2.0
"""Greatest difference of a box's corner in pixels of the 320."""
SURE: Final = 0.2
"""Candidates below this score are not compared: the policy's lowest threshold is above it."""
MAP: Final = (8, 0.002)
"""A probability map may differ by more than the first (of 255) in at most the second of its pixels."""
STEPS: Final = 0.01
"""Share of time steps whose best character may differ: where two are nearly as likely."""


def pictures(size: tuple[int, int], count: int) -> Pixels:
    """Pictures with lines of text and soft shapes, [count, height, width, 3]: random pixels would light up nothing.

    Args:
        size: height and width.
        count: how many.
    """
    height, width = size
    random = np.random.default_rng(0)
    found = np.empty((count, height, width, 3), np.uint8)
    for picture in found:
        low = random.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), np.uint8)
        picture[:] = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(max(1, height // 60)):
            place = (int(random.integers(0, max(1, width // 2))), int(random.integers(min(30, height - 1), height)))
            words = " ".join(random.choice(["Moderation", "total 42.50", "READ ME", "call now"], 3))
            colour = tuple(int(v) for v in random.integers(0, 256, 3))
            cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, float(random.uniform(0.5, 1.2)), colour, 2)
    return found


def check(model: str, reference: Outputs, found: Outputs) -> None:
    """Compare the outputs of one batch.

    Args:
        model: the role.
        reference: of the FP32 graph.
        found: of the plan or the FP16 graph.

    Raises:
        ModelBuildError: names the output, the difference and the tolerance.
    """
    for name, value in reference.items():
        if found[name].shape != value.shape:
            raise ModelBuildError(
                f"output {name} is {list(found[name].shape)}; the ONNX graph gives {list(value.shape)}"
            )
        if not np.isfinite(found[name].astype(np.float64)).all():
            raise ModelBuildError(f"output {name} has values that are no numbers; the network does not stand FP16")
    if fault := _COMPARE[model](reference, found):
        raise ModelBuildError(f"the FP16 network differs from the ONNX graph: {fault}")


def _scores(reference: Outputs, found: Outputs) -> str:
    for name, value in reference.items():
        worst = float(np.abs(value - found[name]).max())
        if worst > SCORE:
            return f"{name} by {worst:.3f}; tolerance {SCORE}"
    return ""


def _candidates(reference: Outputs, found: Outputs) -> str:
    """Every sure candidate of one has a partner in the other: same class, box and score within the tolerances."""
    name = contract.MODELS[contract.SAFETY].outputs[0].name
    for ours, theirs in zip(reference[name], found[name], strict=True):
        for these, those, which in ((ours, theirs, "is missing"), (theirs, ours, "is new")):
            for row in these[these[:, 4] >= SURE + SCORE]:
                alike = (
                    (those[:, 5] == row[5])
                    & (np.abs(those[:, :4] - row[:4]).max(axis=1) <= PIXELS)
                    & (np.abs(those[:, 4] - row[4]) <= SCORE)
                )
                if not alike.any():
                    return (
                        f"a candidate of class {row[5]:.0f} with score {row[4]:.2f} {which}; tolerance {PIXELS} pixels "
                        f"and {SCORE}"
                    )
    return ""


def _map(reference: Outputs, found: Outputs) -> str:
    name = contract.MODELS[contract.TEXT_DETECTOR].outputs[0].name
    apart = np.abs(reference[name].astype(np.int16) - found[name].astype(np.int16)) > MAP[0]
    share = float(apart.mean())
    return f"{share:.2%} of {name} by more than {MAP[0]} of 255; tolerance {MAP[1]:.2%}" if share > MAP[1] else ""


def _characters(reference: Outputs, found: Outputs) -> str:
    index, score = (tensor.name for tensor in contract.MODELS[contract.TEXT_RECOGNIZER].outputs)
    same = reference[index] == found[index]
    if (share := float(1 - same.mean())) > STEPS:
        return f"{share:.2%} of the steps have another character; tolerance {STEPS:.0%}"
    worst = float(np.abs(reference[score] - found[score])[same].max(initial=0))
    return f"{score} by {worst:.3f}; tolerance {2 * SCORE}" if worst > 2 * SCORE else ""


_COMPARE: Final[dict[str, Callable[[Outputs, Outputs], str]]] = {
    contract.CLASSIFIER: _scores,
    contract.SAFETY: _candidates,
    contract.SAFETY_CLASSIFIER: _scores,
    contract.TEXT_DETECTOR: _map,
    contract.TEXT_RECOGNIZER: _characters,
}
