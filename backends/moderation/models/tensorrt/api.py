"""The TensorRT that is installed: `tensorrt`, whose plans Triton serves, or TensorRT for RTX, which needs no GPU.

Both have the same builder, parser and profiles. An engine of TensorRT for RTX is not a plan that Triton can load: with
it the networks are checked against TensorRT's parser and builder, on any machine.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any, Final

from moderation.errors import ModelBuildError

SERVED: Final = "tensorrt"
CHECKED: Final = "tensorrt-rtx"


@dataclass(frozen=True)
class Api:
    """One TensorRT.

    Attributes:
        module: with `Builder`, `OnnxParser` and so on.
        flavour: `tensorrt` or `tensorrt-rtx`.
        version: of the library.
    """

    module: Any
    flavour: str
    version: str

    @property
    def name(self) -> str:
        """Flavour and version."""
        return f"{self.flavour} {self.version}"

    @property
    def tag(self) -> str:
        """The same for a file name."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower())


def find(flavour: str | None = None) -> Api:
    """The TensorRT of this environment.

    Args:
        flavour: only this one; None takes `tensorrt` where it is installed.

    Raises:
        ModelBuildError: none is there, with what to install.
    """
    for name, modules in ((SERVED, ("tensorrt",)), (CHECKED, ("tensorrt_rtx_libs", "tensorrt_rtx_bindings"))):
        if flavour not in (None, name):
            continue
        try:
            *_, module = [importlib.import_module(part) for part in modules]  # the libraries first
        except ImportError:
            continue
        return Api(module, name, module.__version__)
    raise ModelBuildError(
        "TensorRT is not installed. Plans for Triton need `tensorrt` in the version of the server's image, which "
        "docker/Dockerfile installs; to check networks without a GPU: pip install 'content-moderation[tensorrt-rtx]'"
    )
