"""`hf:` sources: a repository of the Hugging Face hub or a folder with the same files. Code in it is never run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from moderation.bring.export import export, load_module, load_torch
from moderation.bring.from_timm import create, from_model
from moderation.bring.origin import NETWORK, Origin
from moderation.bring.spec import Spec
from moderation.errors import ModelBuildError
from moderation.models.manifest import Input

FILES: Final = ("config.json", "preprocessor_config.json", "README.md", "*.safetensors", "*.safetensors.index.json")
"""What is downloaded; weights as safetensors only, which hold nothing but tensors."""


def from_hf(spec: Spec, scratch: Path, role: str, size: tuple[int, int] | None) -> Origin:
    """`hf:REPO[@REVISION]` or `hf:FOLDER`: an image classifier of transformers, or of timm on the hub.

    Raises:
        ModelBuildError: not there, no safetensors, or no image classifier.
    """
    folder, revision = _folder(spec.target)
    config = _json(folder / "config.json")
    if not list(folder.glob("*.safetensors")):
        raise ModelBuildError(f"{spec.target} has no *.safetensors; pickled weights are not loaded: convert them first")
    if "model_type" not in config and "architecture" in config:
        model = create(f"local-dir:{folder}", size, pretrained=True)
        origin = from_model(model, spec.target, scratch, role, size, _licence(folder))
    else:
        origin = _transformers(folder, config, spec.target, scratch, role, size)
    if Path(spec.target).expanduser().is_dir():
        return origin
    pinned = f"revision {revision}" if revision else "the hub's main may change: pin it with @REVISION"
    return replace(origin, notes=(*origin.notes, pinned))


def _folder(target: str) -> tuple[Path, str]:
    """The folder with the files, downloaded when it is not a local one; and the revision that was asked for."""
    if Path(target).expanduser().is_dir():
        return Path(target).expanduser(), ""
    repository, _, revision = target.partition("@")
    hub = load_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES))), revision
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelBuildError(
            f"{target} is no folder and cannot be downloaded: {type(error).__name__}: {reason}"
        ) from None


def _transformers(
    folder: Path, config: dict[str, Any], name: str, scratch: Path, role: str, size: tuple[int, int] | None
) -> Origin:
    torch, transformers = load_torch(), load_module("transformers")
    try:
        model = transformers.AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, attn_implementation="eager"
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelBuildError(f"{name} is no image classifier that transformers knows: {reason}") from None

    base: Any = torch.nn.Module

    class Logits(base):
        """Only the scores."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            """Logits [batch, classes]."""
            return self.model(pixel_values=pixels).logits

    pixels = folder / "preprocessor_config.json"
    processor = _json(pixels) if pixels.is_file() else {}
    height, width = size or _size(processor, model.config)
    sample = export(Logits(), role, (height, width), scratch / NETWORK)
    names = model.config.id2label
    several = config.get("problem_type") == "multi_label_classification"
    notes = []
    if not processor:
        notes.append("it has no preprocessor_config.json: say how pixels are normalised with --normalise")
    if processor.get("do_center_crop"):
        notes.append(
            "its preprocessor crops to the middle; here the whole picture is fitted, so that nothing is missed"
        )
    return Origin(
        scratch / NETWORK,
        name,
        input=_input(processor) if processor else None,
        size=(height, width),
        raw_names=tuple(names[index] for index in sorted(names)),
        activation="sigmoid" if several else "softmax",
        licence=_licence(folder),
        notes=tuple(notes),
        sample=sample,
    )


def _size(processor: dict[str, Any], config: Any) -> tuple[int, int]:
    """Height and width that the preprocessor makes, else the network's own."""
    size = processor.get("crop_size") if processor.get("do_center_crop") else processor.get("size")
    size = size or getattr(config, "image_size", None)
    if isinstance(size, dict):
        if "height" in size:
            return int(size["height"]), int(size["width"])
        size = size.get("shortest_edge")
    if isinstance(size, (list, tuple)):
        return int(size[0]), int(size[1])
    if not size:
        raise ModelBuildError("its configuration names no size; give --size WIDTHxHEIGHT")
    return int(size), int(size)


def _input(processor: dict[str, Any]) -> Input:
    """Its normalisation, (pixel × rescale - mean) / std, as the manifest writes it: (pixel / 255 - mean) / std."""
    rescale = float(processor.get("rescale_factor", 1 / 255)) if processor.get("do_rescale", True) else 1.0
    unit = 255 * rescale
    normalise = processor.get("do_normalize", True)
    mean, std = (processor.get(key) if normalise else None for key in ("image_mean", "image_std"))
    return Input(
        mean=[round(float(v) / unit, 9) for v in mean or (0.0, 0.0, 0.0)],
        std=[round(float(v) / unit, 9) for v in std or (1.0, 1.0, 1.0)],
    )


def _licence(folder: Path) -> str | None:
    """From the front matter of the model card."""
    card = folder / "README.md"
    parts = card.read_text(encoding="utf-8").split("---\n") if card.is_file() else []
    if len(parts) < 3:
        return None
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return None
    licence = front.get("license") if isinstance(front, dict) else None
    return str(licence) if licence else None


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise ModelBuildError(f"{path} is no JSON object")
    return document
