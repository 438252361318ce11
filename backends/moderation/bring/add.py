"""A source becomes the next version of a role, all at once or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from moderation import contract
from moderation.bring import labels_file
from moderation.bring.export import difference
from moderation.bring.from_hf import from_hf
from moderation.bring.from_timm import from_timm
from moderation.bring.from_torch import from_torch
from moderation.bring.inspect import Facts, inspect, misfits
from moderation.bring.origin import NETWORK, Origin, from_onnx, from_url
from moderation.bring.spec import Spec, parse
from moderation.bring.trial import trial
from moderation.bring.wishes import LABELLED, Wishes, compose
from moderation.errors import ModelBuildError
from moderation.models import manifest
from moderation.models.build import CHARACTERS_FILE, build_all
from moderation.models.labels import Label
from moderation.models.store import entries

CONFIGS: Final = ("config.pbtxt", "configs/cpu.pbtxt")
CHARACTERS_KEY: Final = "character"
"""Where PaddleOCR's exports keep their characters in an ONNX file's metadata."""
ABANDONED_S: Final = 3600.0
"""Age from which a staging folder is what a killed run left, and not that of one beside this."""
_PREFIX: Final = ".adding-"
_PIXEL_DIMS: Final = re.compile(r'(name: "PIXELS", data_type: TYPE_UINT8, dims: )\[[^\]]*\]')


@dataclass(frozen=True)
class Added:
    """What came of it.

    Attributes:
        model: the role.
        version: number of the new folder.
        lines: sentences for the person: notes of the source, what the trial showed.
    """

    model: str
    version: int
    lines: tuple[str, ...]


def add(
    repository: Path, role: str, source: str, wishes: Wishes, image: Path | None, say: Callable[[str], None]
) -> Added:
    """Fetch, export, check, build, try, and put the new version in its place.

    Args:
        repository: the tree's model_repository; untouched unless everything succeeds.
        role: a network model.
        source: see `spec.FORMS`.
        wishes: options.
        image: what to try the network on.
        say: called with each step's name.

    Raises:
        ModelBuildError: with everything that is wrong at that step, and what to do.
        InputError: the image is refused.
    """
    if role not in contract.NETWORKS:
        raise ModelBuildError(f"`{role}` is no role of a network; allowed: {', '.join(contract.NETWORKS)}")
    spec = parse(source)
    if not (repository / role / CONFIGS[0]).is_file():
        raise ModelBuildError(f"{repository / role} has no {CONFIGS[0]}; give --repository")
    for left in repository.glob(f"{_PREFIX}*"):
        if time.time() - left.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=repository))
    try:
        say("fetch and export")
        scratch = staging / "scratch"
        scratch.mkdir()
        origin = _origin(spec, scratch, role, wishes)
        lines = list(origin.notes)
        if origin.sample:
            lines.append(f"the export differs from the original by {difference(origin.onnx, *origin.sample):.1g}")
        say("check")
        facts = inspect(origin.onnx)
        labels, characters = _names(facts, origin, wishes, role)
        document = compose(role, facts, origin, wishes, labels)
        say("build")
        version = _next_version(repository / role)
        folder = staging / role / str(version)
        folder.mkdir(parents=True)
        _write(folder, document, characters, source)
        if not origin.url:
            shutil.move(origin.onnx, folder / NETWORK)
        (entry,) = build_all(staging, [role], lambda *_: None)
        say("try")
        lines += trial(entry, image)
        _place(folder, repository / role)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Added(role, version, tuple(lines))


def _origin(spec: Spec, scratch: Path, role: str, wishes: Wishes) -> Origin:
    if spec.kind == "onnx":
        return from_onnx(spec, scratch)
    if spec.kind == "url":
        return from_url(spec, scratch)
    makers = {"torch": from_torch, "timm": from_timm, "hf": from_hf}
    return makers[spec.kind](spec, scratch, role, wishes.sides())


def _names(facts: Facts, origin: Origin, wishes: Wishes, role: str) -> tuple[list[Label], list[str] | None]:
    """Labels, or the characters of a recogniser that does not hold them itself; and whether the network fits at all."""
    labels: list[Label] = []
    characters: list[str] | None = None
    count: int | None = None
    faults: list[str] = []
    if role in LABELLED:
        try:
            labels = labels_file.read(wishes.labels, role, origin.raw_names)
            count = len(labels)
        except ModelBuildError as error:
            faults.append(error.message)
    elif role == contract.TEXT_DETECTOR and wishes.labels:
        faults.append("a text-detector has no labels: leave --labels out")
    elif role == contract.TEXT_RECOGNIZER and wishes.labels:
        dims = facts.output.dims
        characters = labels_file.characters(wishes.labels, dims[2] if len(dims) == 3 else None)
        count = len(characters)
    elif role == contract.TEXT_RECOGNIZER and CHARACTERS_KEY not in facts.metadata:
        faults.append(f"the file's metadata has no `{CHARACTERS_KEY}`; give --labels FILE with one character a line")
    faults = misfits(facts, role, count, resize=wishes.resize) + faults
    if faults:
        raise ModelBuildError(f"the network does not fit {role}:" + "".join(f"\n- {fault}" for fault in faults))
    return labels, characters


def _write(folder: Path, document: dict[str, Any], characters: list[str] | None, source: str) -> None:
    if characters is not None:
        (folder / CHARACTERS_FILE).write_text("\n".join(characters) + "\n", encoding="utf-8")
    elif document["graph"]["head"] == "ctc_best":
        document["graph"]["metadata_characters"] = CHARACTERS_KEY
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    (folder / manifest.FILE).write_text(f"# moderation models add {folder.parent.name} --source {source}\n{text}")


def _next_version(model: Path) -> int:
    return max((int(p.name) for p in model.iterdir() if p.name.isdigit()), default=0) + 1


def _place(folder: Path, model: Path) -> None:
    """Move the version folder into the tree and bring the configurations in line; undone when one of them fails.

    Raises:
        ModelBuildError: the disk refuses, or somebody else took the number meanwhile.
    """
    target = model / folder.name
    before = {path: path.read_text() for name in CONFIGS if (path := model / name).is_file()}
    try:
        folder.rename(target)
    except OSError as error:
        raise ModelBuildError(f"{target} cannot be written: {error.strerror}; nothing was changed") from None
    try:
        if model.name == contract.SAFETY_CLASSIFIER:
            dims = _pixel_dims(model)
            for path, text in before.items():
                _replace(path, _PIXEL_DIMS.sub(rf"\g<1>[{dims}]", text))
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        for path, text in before.items():
            _replace(path, text)
        if isinstance(error, OSError):
            raise ModelBuildError(f"{model} cannot be written: {error.strerror}; nothing was changed") from None
        raise


def _pixel_dims(model: Path) -> str:
    """Size of PIXELS for both profiles: that of the versions, open where they differ."""
    sizes = {e.manifest.size(e.model) for e in entries(model.parent) if e.model == model.name}
    height, width = sizes.pop() if len(sizes) == 1 else (-1, -1)
    return f"{height}, {width}, 3"


def _replace(path: Path, text: str) -> None:
    if path.read_text() != text:
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        os.replace(fresh, path)  # noqa: PTH105 - atomic
