"""The command line and the environment tritonserver is started with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from moderation.launcher.install import ServerInstall
from moderation.launcher.preflight import Ports
from moderation.launcher.telemetry import Telemetry

FORWARDED_HEADERS: Final = "(?i)(authorization|x-request-id|x-subject|x-tenant|traceparent|tracestate)"
"""Request headers that reach the entry model as parameters (DESIGN of the entry contract)."""

SINGLE_THREADED: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
"""Parallelism comes from instances: the threads inside one spin while they wait for each other."""


@dataclass(frozen=True)
class ServeOptions:
    """What a person chooses about one run, and the `engine` that its networks run on."""

    repository: Path
    backends: Path
    profile: str
    address: str = "127.0.0.1"
    ports: Ports = field(default_factory=Ports)
    region_prefix: str = "moderation-"
    exit_timeout_s: int = 30
    protection: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    telemetry: Telemetry = field(default_factory=Telemetry)
    response_cache_mb: int = 0
    engine: str = "openvino"


def build_argv(install: ServerInstall, options: ServeOptions, models: Sequence[str]) -> list[str]:
    """Argument list for tritonserver; flags this launcher does not know go through unchanged, last, so they win."""
    argv = [
        str(install.binary),
        f"--model-repository={options.repository}",
        f"--backend-directory={options.backends}",
        f"--cache-directory={install.caches}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in models),
        "--disable-auto-complete-config",
        # a model that fails to load must not hide the others: the pipeline calls it unknown
        "--exit-on-error=false",
        f"--http-address={options.address}",
        f"--http-port={options.ports.http}",
        f"--grpc-address={options.address}",
        f"--grpc-port={options.ports.grpc}",
        f"--metrics-port={options.ports.metrics}",
        # cost and saturation of a GPU are counted from these; without one there are none
        f"--allow-gpu-metrics={'true' if options.engine == 'tensorrt' else 'false'}",
        f"--http-header-forward-pattern={FORWARDED_HEADERS}",
        f"--grpc-header-forward-pattern={FORWARDED_HEADERS}",
        f"--exit-timeout-secs={options.exit_timeout_s}",
        f"--backend-config=python,shm-region-prefix-name={options.region_prefix}",
        "--backend-config=python,stub-timeout-seconds=60",
        *options.telemetry.flags(options.address),
    ]
    if options.response_cache_mb:
        argv.append(f"--cache-config=local,size={options.response_cache_mb << 20}")
    if options.profile != "default":
        argv.append(f"--model-config-name={options.profile}")
    return [*argv, *options.protection, *options.extra]


def build_environment(install: ServerInstall, base: Mapping[str, str]) -> dict[str, str]:
    """Environment for tritonserver: its libraries, this environment's packages, one thread for each maths library."""
    environment = {**SINGLE_THREADED, **base}
    libraries = [str(p) for p in install.library_path]
    environment["LD_LIBRARY_PATH"] = os.pathsep.join([*libraries, *_present(base.get("LD_LIBRARY_PATH"))])
    packages = [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    library = str(Path(__file__).resolve().parents[2])  # an editable install has the library outside site-packages
    environment["PYTHONPATH"] = os.pathsep.join([*packages, library, *_present(base.get("PYTHONPATH"))])
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), *_present(base.get("PATH"))])
    environment.setdefault("PYTHONDONTWRITEBYTECODE", "1")  # the backend directory may be read-only
    return environment


def _present(value: str | None) -> list[str]:
    return [value] if value else []
