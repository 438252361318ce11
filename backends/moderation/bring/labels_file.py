"""`--labels FILE`: the mapping of a network's classes, checked against the network's own names; or its characters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from moderation.errors import ModelBuildError
from moderation.models.labels import Label, faults_of

_LABELS: TypeAdapter[list[Label]] = TypeAdapter(list[Label])


def read(path: Path | None, role: str, raw_names: Sequence[str] | None) -> list[Label]:
    """The mapping in the order of the classes.

    Args:
        path: a YAML list of `{raw, name, weight}`, as `labels` in a manifest.
        role: decides which names are allowed.
        raw_names: the network's own names by class; None where it has none, and the file's order counts.

    Raises:
        ModelBuildError: with every fault at once: wrong entries, unknown labels, raw names that are missing or that the
            network does not have.
    """
    if path is None:
        raise ModelBuildError(f"--labels FILE is missing; it maps the classes of the network:\n{template(raw_names)}")
    try:
        labels = _LABELS.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    except yaml.YAMLError as error:
        raise ModelBuildError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise ModelBuildError(f"{path}: {listed}; wanted is a list like this:\n{template(raw_names)}") from None
    faults = faults_of(labels, role)
    if raw_names is not None:
        mapped = [label.raw for label in labels]
        faults += [
            f"the network's class `{raw}` has no line; use `name: null` if it means nothing"
            for raw in raw_names
            if raw not in mapped
        ]
        faults += [
            f"the network has no class `{raw}`; it has: {', '.join(raw_names)}"
            for raw in mapped
            if raw not in raw_names
        ]
    if faults:
        raise ModelBuildError(f"{path}: " + "; ".join(faults))
    by_raw = {label.raw: label for label in labels}
    return labels if raw_names is None else [by_raw[raw] for raw in raw_names]


def template(raw_names: Sequence[str] | None) -> str:
    """Lines to start from."""
    return "\n".join(f"- {{raw: {raw}, name: …}}" for raw in raw_names or ("<the network's name>", "…"))


def characters(path: Path, classes: int | None) -> list[str]:
    """Characters of a recogniser by class: the CTC blank first, and a space last where the network has one more.

    Args:
        path: one character a line, as PaddleOCR's dictionaries.
        classes: of the network; None where its output does not say.

    Raises:
        ModelBuildError: the file cannot be read, or has another number of characters.
    """
    try:
        found = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    if classes is None or classes == len(found) + 2:
        return ["", *found, " "]
    if classes == len(found) + 1:
        return ["", *found]
    raise ModelBuildError(
        f"{path} has {len(found)} characters and the network {classes} classes; wanted: one character a line, "
        f"{classes - 1} (the blank is class 0) or {classes - 2} (and the space is the last class)"
    )
