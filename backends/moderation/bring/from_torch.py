"""`torch:` sources. Nothing is unpickled that could run code: weights are read as tensors only."""

from __future__ import annotations

import importlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from moderation.bring.export import export, load_module, load_torch
from moderation.bring.origin import NETWORK, Origin
from moderation.bring.spec import Spec
from moderation.errors import ModelBuildError

_FORCE: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""torch.export.load falls back to a full unpickle, which can run code, unless this is set (torch 2.15,
torch/_export/serde/serialize.py `deserialize_torch_artifact`)."""


def from_torch(spec: Spec, scratch: Path, role: str, size: tuple[int, int] | None) -> Origin:
    """A TorchScript file, a `torch.export` program, or a factory with its weights.

    Raises:
        ModelBuildError: not there, none of these, or it cannot be exported.
    """
    if size is None:
        raise ModelBuildError("torch sources need --size WIDTHxHEIGHT: the pixels that the network looks at")
    path = Path(spec.target).expanduser()
    if ":" in spec.target and not path.exists():
        module, name = _built(spec), spec.target.rpartition(":")[2]
    elif path.is_file():
        module, name = _loaded(path), path.stem
    else:
        raise ModelBuildError(f"{path} is neither a file nor PACKAGE.MODULE:FACTORY")
    sample = export(module, role, size, scratch / NETWORK)
    return Origin(scratch / NETWORK, name, size=size, sample=sample)


def _loaded(path: Path) -> Any:
    """A file that holds its own architecture."""
    torch = load_torch()
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    try:
        with tensors_only():
            if any("/code/" in name for name in names):
                return torch.jit.load(path, map_location="cpu")
            if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in names):
                return torch.export.load(path)
    except Exception as error:
        raise ModelBuildError(
            f"{path} cannot be loaded without running code that it holds, or is damaged: {type(error).__name__}"
        ) from None
    raise ModelBuildError(
        f"{path} is neither TorchScript nor a torch.export program. A pickled module is not loaded, because that runs "
        "code from the file. For weights alone give torch:PACKAGE.MODULE:FACTORY?weights=FILE"
    )


def _built(spec: Spec) -> Any:
    """What the user's own factory makes, with the weights from a file."""
    package, _, factory = spec.target.rpartition(":")
    if not spec.options.get("weights"):
        raise ModelBuildError(f"source torch:{spec.target} needs ?weights=FILE: a state_dict, or a safetensors file")
    try:
        module = getattr(importlib.import_module(package), factory)()
    except (ImportError, AttributeError) as error:
        raise ModelBuildError(
            f"{package}:{factory} cannot be imported: {error}; set PYTHONPATH to its folder"
        ) from None
    load_into(module, read_weights(Path(spec.options["weights"]).expanduser()))
    return module


def read_weights(path: Path) -> Mapping[str, Any]:
    """A state_dict, from safetensors or from a pickle of tensors only.

    Raises:
        ModelBuildError: not there, no weights, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise ModelBuildError(f"{path} is not a file")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_module("safetensors.torch").load_file(path)
        else:
            state = load_torch().load(path, map_location="cpu", weights_only=True)
    except ModelBuildError:
        raise
    except Exception as error:
        raise ModelBuildError(
            f"{path} holds more than tensors, or is damaged ({type(error).__name__}); it is not loaded, because that "
            "could run code from the file: save a state_dict, best as safetensors"
        ) from None
    inner = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(inner, dict) or not inner:
        raise ModelBuildError(f"{path} holds a {type(inner).__name__}; wanted: a state_dict of tensors")
    return inner


def load_into(module: Any, state: Mapping[str, Any]) -> None:
    """Fill a module; every weight must have its place.

    Raises:
        ModelBuildError: names that are missing, left over, or of another shape.
    """
    own = module.state_dict()
    faults = [f"no {name}" for name in own if name not in state]
    faults += [f"{name} is left over" for name in state if name not in own]
    faults += [
        f"{name} is {list(state[name].shape)}, wanted {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if faults:
        more = f" and {len(faults) - 6} more" if len(faults) > 6 else ""
        raise ModelBuildError(f"the weights do not fit the network: {'; '.join(faults[:6])}{more}")
    module.load_state_dict(state)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Refuse, for the time of the block, every pickle that holds more than tensors."""
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before
