"""A network's `model.yaml`: source, licence, what is done to its graph, labels. Data that a build follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, ValidationError

from moderation import contract
from moderation.errors import ModelBuildError
from moderation.models.labels import Classes, Label, Strict, faults_of

FILE: Final = "model.yaml"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Three = Annotated[list[float], Field(min_length=3, max_length=3)]
PositiveThree = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)]


class PackageSource(Strict):
    """A file inside an installed Python package."""

    kind: Literal["package"]
    package: str
    version: str
    file: str
    sha256: Digest


class FileSource(Strict):
    """A file beside the manifest, or anywhere by absolute path. Its digest is part of what is cached."""

    kind: Literal["file"]
    path: str
    sha256: Digest | None = None


class UrlSource(Strict):
    """A file on an https server; never accepted without its digest."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https://")]
    sha256: Digest


Source = Annotated[PackageSource | FileSource | UrlSource, Field(discriminator="kind")]


class Input(Strict):
    """How the original network wants pixels; the build puts this in front of it, so that callers send UINT8 RGB.

    A value is `(pixel / 255 - mean) / std` for each channel, in the order of `channels`.

    Attributes:
        resize: height and width that the network itself looks at, where they are not the contract's: the graph scales.
    """

    channels: Literal["rgb", "bgr"] = "rgb"
    mean: Three = Field(default_factory=lambda: [0.0, 0.0, 0.0])
    std: PositiveThree = Field(default_factory=lambda: [1.0, 1.0, 1.0])
    resize: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None


Head = Literal["yolo_top_k", "probability_map", "ctc_best", "softmax_scores", "sigmoid_scores", "scores", "none"]
_CLASSIFIERS: Final[tuple[Head, ...]] = ("softmax_scores", "sigmoid_scores", "scores", "none")
HEADS: Final[dict[str, tuple[Head, ...]]] = {
    contract.CLASSIFIER: _CLASSIFIERS,
    contract.SAFETY: ("yolo_top_k", "none"),
    contract.SAFETY_CLASSIFIER: _CLASSIFIERS,
    contract.TEXT_DETECTOR: ("probability_map", "none"),
    contract.TEXT_RECOGNIZER: ("ctc_best", "none"),
}
"""Heads that give a model the outputs of its contract."""


class Graph(Strict):
    """Surgery.

    Attributes:
        input: what goes in front; None when the network takes UINT8 NHWC itself.
        head: what is put behind: `yolo_top_k` (anchors to the best candidates), `probability_map` (0-1 to UINT8),
            `ctc_best` (class scores to index and score), `softmax_scores` and `sigmoid_scores` (a classifier's logits
            to probabilities), `scores` (a classifier's probabilities as they are), `none` (the outputs are the
            contract's). See `HEADS` for which goes with which model.
        metadata_characters: key of the file's metadata that holds the recogniser's characters.
    """

    input: Input | None = None
    head: Head = "none"
    metadata_characters: str | None = None


class Manifest(Strict):
    """One version of one network.

    Attributes:
        classes: `exclusive` when the scores of all classes sum to 1 (softmax): scores of classes with the same name are
            added; `independent` (sigmoid): the greatest counts.
        labels: what each class means, in the order of the network's classes; empty for text networks.
        int8: file beside the manifest with the ranges that INT8 needs (see `quantise.ranges`); without it the network
            computes in FP32 on a CPU.
        full_precision: why the network stays in FP32, in a sentence.
        view: what a safety-classifier sees of a picture, such as `224x224 stretch` (see `images.views.View`). The other
            networks have the size that their contract gives.
    """

    description: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(min_length=1)]
    source: Source
    graph: Graph = Graph()
    classes: Literal["exclusive", "independent"] = "exclusive"
    labels: list[Label] = Field(default_factory=list)
    int8: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    full_precision: Annotated[str, Field(min_length=1)] | None = None
    view: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3} (stretch|letterbox)$")] | None = None

    def mapping(self) -> Classes:
        """The classes, ready to name scores."""
        return Classes(tuple(self.labels), exclusive=self.classes == "exclusive")

    def size(self, model: str) -> tuple[int, int]:
        """Height and width of a network's PIXELS; -1 where any is taken."""
        if self.view:
            width, height = self.view.split(" ")[0].split("x")
            return int(height), int(width)
        height_, width_, _ = contract.MODELS[model].inputs[0].dims
        return height_, width_


def load(path: Path) -> Manifest:
    """Read and check a manifest.

    Args:
        path: `<model>/<version>/model.yaml`: which names a label may have depends on the model.

    Raises:
        ModelBuildError: every fault with its path; also a label that the taxonomy does not know.
    """
    model = path.parent.parent.name
    if model not in contract.NETWORKS:
        raise ModelBuildError(f"{path}: `{model}` is not a network; allowed: {', '.join(contract.NETWORKS)}")
    manifest = _check(path, _read(path))
    faults = faults_of(manifest.labels, model)
    if (manifest.view is None) == (model == contract.SAFETY_CLASSIFIER):
        say = "is missing; give the size that the network takes, such as" if manifest.view is None else "is only for a"
        faults.append(f"view {say} {'`224x224 stretch`' if manifest.view is None else contract.SAFETY_CLASSIFIER}")
    if manifest.int8 and manifest.full_precision:
        faults.append("int8 and full_precision are both given; a network has ranges or a reason not to use them")
    if manifest.graph.head not in HEADS[model]:
        faults.append(f"graph.head `{manifest.graph.head}` does not fit {model}; allowed: {', '.join(HEADS[model])}")
    if faults:
        raise ModelBuildError(f"{path}: " + "; ".join(faults))
    return manifest


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    except yaml.YAMLError as error:
        raise ModelBuildError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _check(path: Path, document: Any) -> Manifest:
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise ModelBuildError(f"{path}: {faults}") from None


def manifests(repository: Path) -> dict[tuple[str, str], Path]:
    """Manifest paths of a repository by (model, version)."""
    paths = sorted(repository.glob(f"*/[0-9]*/{FILE}"))
    return {(path.parent.parent.name, path.parent.name): path for path in paths}
