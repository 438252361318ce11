"""Where tritonserver is on this machine, and what it needs around it to start."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moderation.errors import LaunchError

OFFICIAL_ROOT: Final = Path("/opt/tritonserver")
"""Where NVIDIA's images put the server (triton-inference-server/server, `build.py`)."""


@dataclass(frozen=True)
class ServerInstall:
    """One installation of tritonserver.

    Attributes:
        binary: the executable.
        python_backend: folder with `libtriton_python.so` and `triton_python_backend_utils.py`.
        stub: the process that runs Python models, built for this Python version.
        other_backends: folder whose other backends (TensorRT, …) are served too, if any.
        caches: folder of response-cache libraries.
        library_path: folders for LD_LIBRARY_PATH, first wins.
        origin: `explicit`, `image` or `wheel`.
    """

    binary: Path
    python_backend: Path
    stub: Path
    other_backends: Path | None
    caches: Path
    library_path: tuple[Path, ...]
    origin: str


def find_server(explicit: Path | None = None) -> ServerInstall:
    """The tritonserver to run: the given one, else the official image's, else the PyPI wheel's.

    Args:
        explicit: the binary, or the root that holds `bin/tritonserver`.

    Raises:
        LaunchError: none is there; the message lists every place that was looked at.
    """
    looked: list[str] = []
    if explicit is not None:
        root = explicit.parent.parent if explicit.is_file() else explicit
        install = _from_root(root, "explicit", looked) or _from_wheel(root, looked)
        if install is None:
            raise LaunchError(
                f"no tritonserver at --server `{explicit}`; looked for {_listed(looked)}. "
                "Give the binary or the folder that holds bin/tritonserver"
            )
        return install
    install = _from_root(OFFICIAL_ROOT, "image", looked)
    if install is None:
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            looked.append("the Python package `pytriton` (not installed)")
        else:
            install = _from_wheel(Path(spec.origin).parent / "tritonserver", looked)
    if install is None:
        raise LaunchError(
            f"no tritonserver on this machine; looked for {_listed(looked)}. "
            "Install it with `pip install nvidia-pytriton==0.7.0`, or name one with --server"
        )
    return install


def _listed(places: list[str]) -> str:
    return ", ".join(places)


def _from_root(root: Path, origin: str, looked: list[str]) -> ServerInstall | None:
    """NVIDIA's own layout: bin/, backends/python/, caches/."""
    binary, backend = root / "bin" / "tritonserver", root / "backends" / "python"
    stub = backend / "triton_python_backend_stub"
    looked.append(str(binary))
    if not binary.is_file() or not stub.is_file():
        return None
    return ServerInstall(binary, backend, stub, root / "backends", root / "caches", (root / "lib",), origin)


def _from_wheel(root: Path, looked: list[str]) -> ServerInstall | None:
    """The layout of nvidia-pytriton: one stub for each Python version, libraries in a folder beside the package."""
    binary = root / "bin" / "tritonserver"
    looked.append(str(binary))
    if not binary.is_file():
        return None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = root / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        known = sorted(p.name for p in (root / "python_backend_stubs").glob("3.*"))
        raise LaunchError(
            f"Python {version} is not supported by the tritonserver wheel; it has stubs for {_listed(known)}. "
            "Make the environment with one of these, 3.10 or newer"
        )
    libraries = root.parent.parent / "nvidia_pytriton.libs"
    return ServerInstall(
        binary,
        root / "backends" / "python",
        stub,
        None,
        root / "caches",
        (libraries, libpython_folder()),
        "wheel",
    )


def libpython_folder() -> Path:
    """Folder of the shared libpython of the running interpreter, which the Python stub is linked against.

    Raises:
        LaunchError: this Python was built without a shared library, or its package is not installed.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    places = [Path(p) for p in (sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix) / "lib") if p]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        places += [Path("/usr/lib") / multiarch, Path("/lib") / multiarch]
    for place in places:
        if (place / name).exists():
            return place
    raise LaunchError(
        f"no shared library {name} in {_listed([str(p) for p in places])}: Triton's Python models need it. "
        f"On Debian or Ubuntu install the package libpython{version}; with pyenv build with "
        "PYTHON_CONFIGURE_OPTS=--enable-shared"
    )


def find_perf_analyzer() -> Path:
    """The perf_analyzer binary inside the tritonclient wheel.

    Raises:
        LaunchError: it is not there.
    """
    beside = Path(sys.executable).parent / "perf_analyzer"
    found = str(beside) if beside.is_file() else shutil.which("perf_analyzer")
    if found is None:
        raise LaunchError(
            f"no perf_analyzer at {beside} or on PATH; it comes with `pip install tritonclient==2.51.0` on Linux x86_64"
        )
    return Path(found)
