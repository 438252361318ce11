"""Builds the networks of a repository for the CPU engine: fetch, operate, convert, check, store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import openvino as ov

from moderation.errors import ModelBuildError
from moderation.models import sources, store
from moderation.models.conform import MODEL_FILE, check
from moderation.models.store import Entry

STEPS: Final = ("fetch", "operate", "convert", "check", "store")
CHARACTERS_FILE: Final = "characters.txt"
Progress = Callable[[str, str], None]
"""Called with (model:version, step) as each step begins, and with the step `done` at the end."""


def build_all(repository: Path, only: list[str], progress: Progress, *, force: bool = False) -> list[Entry]:
    """Build what is missing, damaged or changed.

    Args:
        repository: the tree's model_repository.
        only: names of models; empty for all.
        progress: see `Progress`.
        force: also what is intact.

    Returns:
        Every entry that was asked for.

    Raises:
        ModelBuildError: names the model and what is wrong; entries built before stay.
    """
    entries = store.entries(repository)
    known = {e.model for e in entries}
    if strangers := sorted(set(only) - known):
        raise ModelBuildError(f"no network `{', '.join(strangers)}`; allowed: {', '.join(sorted(known))}")
    wanted = [e for e in entries if not only or e.model in only]
    for entry in wanted:
        with store.locked(entry):
            if force or entry.state() != "built":
                try:
                    _build(entry, progress)
                except ModelBuildError as error:
                    raise ModelBuildError(f"{entry.name}: {error.message}") from None
        progress(entry.name, "done")
    return wanted


def _build(entry: Entry, progress: Progress) -> None:
    def write(scratch: Path) -> None:
        # the graph editor is needed to build and not to serve
        import onnx

        from moderation.models.surgery import characters, operate

        graph, home = entry.manifest.graph, entry.manifest_path.parent
        progress(entry.name, "fetch")
        source = sources.fetch(entry.manifest.source, home, scratch)
        progress(entry.name, "operate")
        operated = scratch / "operated.onnx"
        onnx.save(operate(source, entry.model, entry.manifest), operated)
        if graph.metadata_characters:
            text = "\n".join(characters(source, graph.metadata_characters)) + "\n"
            (scratch / CHARACTERS_FILE).write_text(text, encoding="utf-8")
        progress(entry.name, "convert")
        ov.save_model(_convert(operated), scratch / MODEL_FILE, compress_to_fp16=False)
        operated.unlink()
        (scratch / "download").unlink(missing_ok=True)
        progress(entry.name, "check")
        check(scratch, entry.model, entry.manifest)
        progress(entry.name, "store")

    try:
        store.put(entry, write)
    except ImportError as error:
        raise ModelBuildError(
            f"module {error.name} is not installed; install what builds need: pip install content-moderation[build]"
        ) from None


def _convert(path: Path) -> Any:
    """ONNX to OpenVINO. The converter numbers nodes by a counter of the process; named by their place in the graph, the
    same input gives the same file."""
    model = ov.convert_model(path)
    for index, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() not in ("Parameter", "Result"):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")
    return model
