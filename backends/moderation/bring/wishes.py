"""What a person asks for beside the source, and how it becomes a manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from moderation import contract
from moderation.bring.inspect import SIDES, Facts
from moderation.bring.origin import NETWORK, Origin
from moderation.errors import ModelBuildError
from moderation.models import record
from moderation.models.labels import Label
from moderation.models.manifest import Input

Channels = Literal["rgb", "bgr"]
Fit = Literal["stretch", "letterbox"]
Activation = Literal["softmax", "sigmoid", "none"]
CLASSIFIERS: Final = (contract.CLASSIFIER, contract.SAFETY_CLASSIFIER)
LABELLED: Final = (*CLASSIFIERS, contract.SAFETY)
_HEADS: Final = {
    contract.SAFETY: "yolo_top_k",
    contract.TEXT_DETECTOR: "probability_map",
    contract.TEXT_RECOGNIZER: "ctc_best",
}
_ACTIVATIONS: Final = {"softmax": "softmax_scores", "sigmoid": "sigmoid_scores", "none": "scores"}
NORMALISATIONS: Final = {
    "unit": Input(),
    "half": Input(mean=[0.5] * 3, std=[0.5] * 3),
    "imagenet": Input(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    "raw": Input(std=[1 / 255] * 3),
}
"""Values of a pixel: 0-1; -1 to 1; ImageNet's; 0-255."""


@dataclass(frozen=True)
class Wishes:
    """Options of `models add`; None where nothing was said."""

    labels: Path | None = None
    normalise: str | None = None
    channels: Channels = "rgb"
    size: str | None = None
    fit: Fit = "stretch"
    activation: Activation | None = None
    independent: bool = False
    resize: bool = False
    licence: str | None = None
    description: str | None = None
    name: str | None = None

    def sides(self) -> tuple[int, int] | None:
        """Height and width from `--size`.

        Raises:
            ModelBuildError: not WIDTHxHEIGHT.
        """
        if self.size is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", self.size)
        if not found:
            raise ModelBuildError(f"--size is `{self.size}`; WIDTHxHEIGHT in pixels is expected, such as 384x384")
        return int(found[2]), int(found[1])


def size_of(facts: Facts, origin: Origin, wishes: Wishes, role: str) -> tuple[int, int] | None:
    """Height and width that the network looks at; None for text networks, which take any.

    Raises:
        ModelBuildError: nobody says, or the option contradicts the file.
    """
    if role in (contract.TEXT_DETECTOR, contract.TEXT_RECOGNIZER):
        return None
    height, width = facts.size
    own = (height, width) if height and width else None
    asked = wishes.sides()
    if own and asked and own != asked:
        raise ModelBuildError(f"--size is {wishes.size} and the network takes {own[1]}x{own[0]}; leave --size out")
    size = own or asked or origin.size or SIDES.get(role)
    if size is None:
        raise ModelBuildError("the network takes any size; give --size WIDTHxHEIGHT, the one it was trained with")
    if role in SIDES and size != SIDES[role] and not wishes.resize:
        raise ModelBuildError(f"{role} looks at {SIDES[role][1]}x{SIDES[role][0]} pixels; give --resize, or no --size")
    return size


def normalisation(facts: Facts, origin: Origin, wishes: Wishes) -> Input | None:
    """What is put in front of the network; None where it takes bytes.

    Raises:
        ModelBuildError: nobody says how, or the option has another form.
    """
    if facts.takes_bytes:
        return None
    found = origin.input if wishes.normalise is None else _parsed(wishes.normalise)
    if found is None:
        raise ModelBuildError(
            "nobody says how the network wants its pixels; a wrong guess makes every score wrong in silence: give "
            f"--normalise {' | '.join(NORMALISATIONS)} | MEAN,MEAN,MEAN/STD,STD,STD of pixels from 0 to 1"
        )
    return Input(channels=wishes.channels, mean=found.mean, std=found.std)


def _parsed(text: str) -> Input:
    if text in NORMALISATIONS:
        return NORMALISATIONS[text]
    try:
        mean, std = ([float(v) for v in part.split(",")] for part in text.split("/"))
        return Input(mean=mean, std=std)
    except ValueError:  # pydantic's own too
        allowed = f"{', '.join(NORMALISATIONS)}, or MEAN,MEAN,MEAN/STD,STD,STD with STD above 0"
        raise ModelBuildError(f"--normalise is `{text}`; allowed: {allowed}") from None


def activation_of(origin: Origin, wishes: Wishes, role: str) -> str | None:
    """softmax, sigmoid or none, for a classifier; never guessed from numbers.

    Raises:
        ModelBuildError: nobody says.
    """
    if role not in CLASSIFIERS:
        return None
    found = wishes.activation or origin.activation
    if found is None:
        raise ModelBuildError(
            "nobody says what the network's output is: give --activation softmax (logits, classes exclude each other), "
            "sigmoid (logits, independent classes) or none (probabilities already)"
        )
    if wishes.independent and found != "none":
        raise ModelBuildError(f"--independent goes with --activation none; with {found} the network's head says it")
    return found


def compose(role: str, facts: Facts, origin: Origin, wishes: Wishes, labels: Sequence[Label]) -> dict[str, Any]:
    """The manifest, as its YAML says it.

    Raises:
        ModelBuildError: something that nobody says: licence, size, normalisation, activation.
    """
    licence = wishes.licence or origin.licence
    if not licence:
        raise ModelBuildError("nobody says what licence the network has; give --licence, such as Apache-2.0")
    size = size_of(facts, origin, wishes, role)
    front = normalisation(facts, origin, wishes)
    activation = activation_of(origin, wishes, role)
    graph: dict[str, Any] = {}
    if front is not None:
        graph["input"] = front.model_dump(exclude_none=True)
        if wishes.resize and role in SIDES and size and size != SIDES[role]:
            graph["input"]["resize"] = list(size)
    ready = facts.takes_bytes and facts.output.name in {tensor.name for tensor in contract.MODELS[role].outputs}
    graph["head"] = (
        _ACTIVATIONS[activation] if activation and not (ready and activation == "none") else _HEADS.get(role, "none")
    )
    document: dict[str, Any] = {
        "description": wishes.description or f"{origin.name}, brought in by `moderation models add`",
        "version": wishes.name or re.sub(r"[^A-Za-z0-9._-]+", "-", origin.name).strip("-"),
        "licence": licence,
        "source": (
            origin.url.model_dump()
            if origin.url
            else {"kind": "file", "path": NETWORK, "sha256": record.sha256(origin.onnx)}
        ),
        "graph": graph,
    }
    if role == contract.SAFETY_CLASSIFIER and size:
        document["view"] = f"{size[1]}x{size[0]} {wishes.fit}"
    if labels:
        exclusive = activation == "softmax" or (activation == "none" and not wishes.independent)
        if activation:
            document["classes"] = "exclusive" if exclusive else "independent"
        document["labels"] = [label.model_dump(exclude_defaults=True) | {"name": label.name} for label in labels]
    return document
