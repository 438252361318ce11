"""What a source gives: an ONNX file, and what its origin says about it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from moderation.bring.export import load_module
from moderation.bring.spec import Spec
from moderation.errors import ModelBuildError
from moderation.models import sources
from moderation.models.manifest import Input, UrlSource

NETWORK: Final = "network.onnx"
"""Name of the artefact beside its manifest."""


@dataclass(frozen=True)
class Origin:
    """A network as ONNX.

    Attributes:
        onnx: the file.
        name: for people and for the manifest's `version`.
        url: where the manifest may refer to instead of a copy.
        input: normalisation that the source states; None where it says nothing.
        size: height and width that the source states.
        raw_names: its own names of the classes, in order.
        activation: `softmax` or `sigmoid` where the source says what its output is.
        licence: as the source states it.
        notes: sentences for the person.
        sample: an input and the original network's output for it, to compare the export with.
    """

    onnx: Path
    name: str
    url: UrlSource | None = None
    input: Input | None = None
    size: tuple[int, int] | None = None
    raw_names: tuple[str, ...] | None = None
    activation: str | None = None
    licence: str | None = None
    notes: tuple[str, ...] = ()
    sample: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None


def from_onnx(spec: Spec, scratch: Path) -> Origin:
    """`onnx:FILE`; weights that lie in files beside it are taken in.

    Raises:
        ModelBuildError: not there or no ONNX.
    """
    path = Path(spec.target).expanduser()
    if not path.is_file():
        raise ModelBuildError(f"{path} is not a file")
    target, onnx = scratch / NETWORK, load_module("onnx")
    try:
        if any(tensor.external_data for tensor in onnx.load(path, load_external_data=False).graph.initializer):
            onnx.save(onnx.load(path), target)
        else:
            shutil.copyfile(path, target)
    except Exception as error:
        raise ModelBuildError(f"{path} is not an ONNX network: {type(error).__name__}") from None
    return Origin(target, path.stem)


def from_url(spec: Spec, scratch: Path) -> Origin:
    """`url:https://…#sha256=…`: an ONNX file; the manifest keeps the address.

    Raises:
        ModelBuildError: no digest, not there, or another digest.
    """
    address, _, digest = spec.target.partition("#sha256=")
    if not address.startswith("https://") or len(digest) != 64:
        raise ModelBuildError(f"source url:{spec.target} must be url:https://…#sha256=<64 hexadecimal digits>")
    source = UrlSource(kind="url", url=address, sha256=digest.lower())
    path = sources.fetch(source, scratch, scratch)
    return Origin(path, os.path.splitext(address.rsplit("/", 1)[-1])[0], url=source)  # noqa: PTH122 - a URL is no path
