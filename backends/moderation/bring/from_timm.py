"""`timm:` sources: an architecture by its name, weights from a file or timm's own, pixels by its data config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moderation.bring.export import export, load_module
from moderation.bring.from_torch import load_into, read_weights
from moderation.bring.origin import NETWORK, Origin
from moderation.bring.spec import Spec
from moderation.errors import ModelBuildError
from moderation.models.manifest import Input


def from_timm(spec: Spec, scratch: Path, role: str, size: tuple[int, int] | None) -> Origin:
    """`timm:NAME?pretrained` or `timm:NAME?weights=FILE&classes=N`.

    Raises:
        ModelBuildError: no such architecture, weights that do not fit, or no weights at all.
    """
    options = spec.options
    if ("weights" in options) == ("pretrained" in options):
        raise ModelBuildError(f"source timm:{spec.target} needs either ?pretrained or ?weights=FILE&classes=N")
    if not options.get("classes", "1").isdigit():
        raise ModelBuildError(f"source timm:{spec.target}: classes is `{options['classes']}`; a number is expected")
    wishes: dict[str, Any] = {"num_classes": int(options["classes"])} if "classes" in options else {}
    model = create(spec.target, size, pretrained="pretrained" in options, **wishes)
    if "weights" in options:
        load_into(model, read_weights(Path(options["weights"]).expanduser()))
    return from_model(model, spec.target, scratch, role, size)


def create(name: str, size: tuple[int, int] | None, **wishes: Any) -> Any:
    """A timm model.

    Args:
        name: as timm spells it, or `local-dir:FOLDER`.
        size: height and width; a transformer is built for it.
        wishes: further arguments of `timm.create_model`.

    Raises:
        ModelBuildError: timm cannot make it.
    """
    timm = load_module("timm")
    try:
        if size:
            try:
                return timm.create_model(name, img_size=size, **wishes)
            except TypeError:  # a convolutional network takes any size and has no such argument
                pass
        return timm.create_model(name, **wishes)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelBuildError(f"timm cannot make `{name}`: {type(error).__name__}: {reason}") from None


def from_model(
    model: Any, name: str, scratch: Path, role: str, size: tuple[int, int] | None, licence: str | None = None
) -> Origin:
    """A timm model with weights as ONNX, with what its configuration says."""
    config = load_module("timm.data").resolve_model_data_config(model)
    height, width = size or config["input_size"][1:]
    names = model.pretrained_cfg.get("label_names")
    sample = export(model, role, (height, width), scratch / NETWORK)
    notes = []
    if config.get("crop_mode") == "center" and config.get("crop_pct", 1) < 1:
        notes.append(
            f"its configuration crops to the middle ({config['crop_pct']:.0%}); here the whole picture is fitted, so "
            "that nothing at the edge is missed"
        )
    return Origin(
        scratch / NETWORK,
        name,
        input=Input(mean=list(map(float, config["mean"])), std=list(map(float, config["std"]))),
        size=(height, width),
        raw_names=tuple(names) if names else None,
        activation="softmax",
        licence=licence or model.pretrained_cfg.get("license"),
        notes=tuple(notes),
        sample=sample,
    )
