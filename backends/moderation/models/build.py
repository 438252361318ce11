"""Builds the networks of a repository: fetch, operate, then what the engine needs; here for the CPU engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import openvino as ov

from moderation.errors import ModelBuildError
from moderation.models import sources, store
from moderation.models.conform import MODEL_FILE, check
from moderation.models.store import Entry
from moderation.quantise import ranges
from moderation.quantise.apply import apply

STEPS: Final = ("fetch", "operate", "convert", "check", "store")
CHARACTERS_FILE: Final = "characters.txt"
Progress = Callable[[str, str], None]
"""Called with (model:version, step) as each step begins, and with the step `done` at the end."""


@dataclass(frozen=True)
class Recipe:
    """How networks are built for one target.

    Attributes:
        target: where the results lie and what they follow from.
        steps: names of the steps, in order.
        write: fills a scratch folder with one network's files.
    """

    target: store.Target
    steps: tuple[str, ...]
    write: Callable[[Entry, Path, Progress], None]


def build_all(
    repository: Path, only: list[str], progress: Progress, *, force: bool = False, recipe: Recipe | None = None
) -> list[Entry]:
    """Build what is missing, damaged or changed.

    Args:
        repository: the tree's model_repository.
        only: names of models; empty for all.
        progress: see `Progress`.
        force: also what is intact.
        recipe: for another engine than the CPU's.

    Returns:
        Every entry that was asked for.

    Raises:
        ModelBuildError: names the model and what is wrong; entries built before stay.
    """
    recipe = recipe or openvino()
    entries = store.entries(repository, recipe.target)
    known = {e.model for e in entries}
    if strangers := sorted(set(only) - known):
        raise ModelBuildError(f"no network `{', '.join(strangers)}`; allowed: {', '.join(sorted(known))}")
    wanted = [e for e in entries if not only or e.model in only]
    for entry in wanted:
        with store.locked(entry):
            if force or entry.state() != "built":
                try:
                    _build(entry, recipe, progress)
                except ModelBuildError as error:
                    raise ModelBuildError(f"{entry.name}: {error.message}") from None
        progress(entry.name, "done")
    return wanted


def _build(entry: Entry, recipe: Recipe, progress: Progress) -> None:
    try:
        store.put(entry, lambda scratch: recipe.write(entry, scratch, progress))
    except ImportError as error:
        raise ModelBuildError(
            f"module {error.name} is not installed; install what builds need: pip install content-moderation[build]"
        ) from None


def operated(entry: Entry, scratch: Path, progress: Progress) -> Any:
    """The network with the interface of its role, the same for every engine; a recogniser's characters beside it.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ModelBuildError: the source is not there, or is no such network.
    """
    from moderation.models.surgery import characters, operate  # the graph editor is needed to build, not to serve

    progress(entry.name, "fetch")
    source = sources.fetch(entry.manifest.source, entry.manifest_path.parent, scratch)
    progress(entry.name, "operate")
    model = operate(source, entry.model, entry.manifest)
    if key := entry.manifest.graph.metadata_characters:
        (scratch / CHARACTERS_FILE).write_text("\n".join(characters(source, key)) + "\n", encoding="utf-8")
    (scratch / "download").unlink(missing_ok=True)
    return model


def openvino() -> Recipe:
    """For the CPU engine."""
    return Recipe(store.openvino(), STEPS, _write_openvino)


def _write_openvino(entry: Entry, scratch: Path, progress: Progress) -> None:
    model = full_precision(entry, scratch, progress)
    if entry.manifest.int8:
        apply(model, ranges.load(entry.manifest_path.parent / entry.manifest.int8))
    ov.save_model(model, scratch / MODEL_FILE, compress_to_fp16=False)
    progress(entry.name, "check")
    check(scratch, entry.model, entry.manifest)
    progress(entry.name, "store")


def full_precision(entry: Entry, scratch: Path, progress: Progress) -> Any:
    """A network's `ov.Model` in FP32; a recogniser's characters are left in `scratch`.

    Raises:
        ModelBuildError: the source is not there, or is no such network.
    """
    import onnx

    model = operated(entry, scratch, progress)
    progress(entry.name, "convert")
    path = scratch / "operated.onnx"
    onnx.save(model, path)
    converted = _convert(path)
    path.unlink()
    return converted


def _convert(path: Path) -> Any:
    """ONNX to OpenVINO. The converter numbers nodes by a counter of the process; named by their place in the graph, the
    same input gives the same file."""
    model = ov.convert_model(path)
    for index, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() not in ("Parameter", "Result"):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")
    return model
