"""How far a network in INT8 is from itself in FP32, on pictures that its ranges were not measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from moderation import contract
from moderation.errors import ModelBuildError
from moderation.models.manifest import Manifest
from moderation.ocr.ctc import decode as decode_text
from moderation.ocr.read import OcrConfig
from moderation.safety.decode import NMS_SCORE
from moderation.safety.decode import decode as decode_safety

Answer = dict[str, npt.NDArray[Any]]
Network = Callable[[npt.NDArray[np.uint8]], Answer]


@dataclass(frozen=True)
class Delta:
    """One distance.

    Attributes:
        what: it is, in words.
        value: measured.
        limit: greatest that passes.
    """

    what: str
    value: float
    limit: float

    @property
    def passes(self) -> bool:
        """Within its limit."""
        return self.value <= self.limit

    def text(self) -> str:
        """Value and limit."""
        return f"{self.what} {self.value:.4f} (at most {self.limit:g})"


def judge(
    model: str,
    manifest: Manifest,
    full: Network,
    small: Network,
    samples: Sequence[npt.NDArray[np.uint8]],
    characters: Sequence[str],
) -> list[Delta]:
    """Distances that say whether decisions stay the same.

    Args:
        model: the role.
        manifest: of the network.
        full: in FP32.
        small: in INT8.
        samples: inputs, batch first.
        characters: of a text-recognizer, else empty.

    Raises:
        ModelBuildError: no samples, or they show nothing to compare.
    """
    if not samples:
        raise ModelBuildError("no pictures are left to compare INT8 with FP32 on; give more pictures")
    pairs = [(full(sample), small(sample)) for sample in samples]
    if model == contract.SAFETY:
        return _boxes(manifest, pairs)
    if model == contract.TEXT_DETECTOR:
        return _maps(pairs)
    if model == contract.TEXT_RECOGNIZER:
        return _texts(pairs, characters)
    (output,) = contract.MODELS[model].outputs
    return _classes([(a[output.name], b[output.name]) for a, b in pairs])


def _boxes(manifest: Manifest, pairs: Sequence[tuple[Answer, Answer]]) -> list[Delta]:
    """Best score of each label of each picture; a label that one side lacks counts from the lowest score there is."""
    moves = []
    for pair in pairs:
        best = [_best(decode_safety(side["CANDIDATES"][0], manifest.labels, 320, 320)) for side in pair]
        moves += [
            abs(best[0].get(name, NMS_SCORE) - best[1].get(name, NMS_SCORE))
            for name in sorted(set(best[0]) | set(best[1]))
        ]
    if not moves:
        raise ModelBuildError("the network finds nothing in any of these pictures; give pictures of what it looks for")
    return [
        Delta("score of a label moves on average by", float(np.mean(moves)), 0.02),
        Delta("one in twenty moves by more than", float(np.quantile(moves, 0.95)), 0.07),
    ]


def _best(labels: Sequence[dict[str, Any]]) -> dict[str, float]:
    best: dict[str, float] = {}
    for label in labels:
        best[label["name"]] = max(best.get(label["name"], 0.0), label["score"])
    return best


def _maps(pairs: Sequence[tuple[Answer, Answer]]) -> list[Delta]:
    """Text regions of each picture, and pictures of which one side says that they have no text."""
    level = OcrConfig().threshold * 255
    apart = []
    other = 0
    for pair in pairs:
        a, b = (side["PROBABILITY"] > level for side in pair)
        other += a.any() != b.any()
        if (a | b).any():
            apart.append(1 - (a & b).sum() / (a | b).sum())
    if not apart:
        raise ModelBuildError("the network finds no text in any of these pictures; give pictures with text")
    return [
        Delta("text regions of a picture differ on average (1 - intersection / union) by", float(np.mean(apart)), 0.25),
        Delta("share of pictures with text on one side only", other / len(pairs), 0.1),
    ]


def _texts(pairs: Sequence[tuple[Answer, Answer]], characters: Sequence[str]) -> list[Delta]:
    """Characters that the two read differently, in lines that FP32 is sure enough of to be reported."""
    wrong = total = 0
    for full, small in pairs:
        for row in range(len(full["INDICES"])):
            want, score = decode_text(full["INDICES"][row], full["SCORES"][row], characters)
            if score >= OcrConfig().text_score:
                got, _ = decode_text(small["INDICES"][row], small["SCORES"][row], characters)
                wrong, total = wrong + Levenshtein.distance(want, got), total + len(want)
    if not total:
        raise ModelBuildError("the network reads nothing in any of these pictures; give pictures with text")
    return [Delta("share of characters read differently", wrong / total, 0.05)]


def _classes(pairs: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> list[Delta]:
    a, b = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    return [
        Delta("share of pictures with another best class", float((a.argmax(1) != b.argmax(1)).mean()), 0.005),
        Delta("greatest score of a class moves on average by", float(np.abs(a - b).max(1).mean()), 0.02),
    ]


def characters_of(folder: Path, name: str) -> list[str]:
    """Characters of a recogniser that was prepared in a folder, else none."""
    path = folder / name
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n") if path.is_file() else []
