"""One life of the server: prepare, start, wait, watch, stop."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from moderation import contract
from moderation.errors import LaunchError, ModelBuildError
from moderation.launcher import preflight
from moderation.launcher.command import ServeOptions, build_argv, build_environment
from moderation.launcher.control import Control
from moderation.launcher.install import find_server
from moderation.launcher.process import Server
from moderation.launcher.protection import Protection, check_caches, prepared
from moderation.launcher.repository import (
    add_versions,
    assemble_repository,
    check_profile,
    model_names,
    stage_backends,
)
from moderation.launcher.telemetry import Telemetry
from moderation.models import store

REPOSITORY: Final = Path(
    os.environ.get("MODERATION_REPOSITORY") or Path(__file__).resolve().parents[3] / "model_repository"
)
"""$MODERATION_REPOSITORY, which images set, else that of the checkout."""
START_TIMEOUT_S: Final = 180.0
ADD_EVERY_S: Final = 1.0
"""How soon a network that was built can be loaded."""


@dataclass(frozen=True)
class Plan:
    """What to serve and where."""

    repository: Path = REPOSITORY
    profile: str = "cpu"
    address: str = "127.0.0.1"
    ports: preflight.Ports = field(default_factory=preflight.Ports)
    server: Path | None = None
    log: Path | None = None
    grace_s: int = 30
    extra: tuple[str, ...] = ()
    response_cache_mb: int = 0
    protection: Protection = field(default_factory=Protection)
    telemetry: Telemetry = field(default_factory=Telemetry)


@contextmanager
def serving(plan: Plan, on_event: Callable[[str, str, str], None] = lambda *_: None) -> Iterator[Server]:
    """A ready server for the time of the block; stopped gracefully and cleaned up at its end.

    Args:
        plan: what to serve.
        on_event: called with (model, "queued" | "loaded" | "failed", detail) while models load.

    Raises:
        LaunchError: anything this machine or the plan lacks, before or while starting.
    """
    plan.telemetry.check()
    preflight.check_python()
    install = find_server(plan.server)
    preflight.check_numpy(install.origin)
    names = model_names(plan.repository)
    check_profile(plan.repository, plan.profile)
    preflight.check_ports(plan.address, plan.ports)
    preflight.clear_leftovers()
    preflight.clear_own(os.getpid())  # a container that starts again has the process id of the one that died
    engine = engine_of(plan.repository, plan.profile)
    target = networks_for(engine, plan.profile)
    artefacts = store.artefacts(plan.repository, target)
    folder = Path(tempfile.mkdtemp(prefix="moderation-serve-"))
    try:
        served = assemble_repository(plan.repository, folder / "models", artefacts, cached=plan.response_cache_mb > 0)
        _check_networks(names, served, engine)
        preflight.check_shared_memory(preflight.python_instances(served, plan.profile))
        check_caches(served, plan.profile, plan.protection)
        with prepared(plan.protection, plan.address, plan.ports, plan.extra, folder) as protection:
            options = ServeOptions(
                served,
                stage_backends(install, folder / "backends"),
                plan.profile,
                plan.address,
                plan.ports,
                preflight.region_prefix(os.getpid()),
                plan.grace_s,
                tuple(protection.argv),
                plan.extra,
                telemetry=plan.telemetry,
                response_cache_mb=plan.response_cache_mb,
                engine=engine,
            )
            models = loadable(served)
            for model in models:
                on_event(model, "queued", "")
            server = Server(
                build_argv(install, options, models),
                build_environment(install, {**os.environ, **protection.environment, **plan.telemetry.environment()}),
                plan.log or folder / "server.log",
                Control(f"http://{plan.address}:{plan.ports.http}", token=protection.admin_token),
                on_event,
                json_log=plan.telemetry.log_format == "json",
            )
            try:
                server.wait_ready(contract.ENTRY, START_TIMEOUT_S)
                with _adding_versions(plan.repository, served, target):
                    yield server
            except LaunchError as error:
                raise replace_log(error, server, folder) from None
            finally:
                server.stop(plan.grace_s + 5, contract.ENTRY)
                preflight.clear_own(os.getpid())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _adding_versions(repository: Path, served: Path, target: store.Target) -> Iterator[None]:
    """For the time of the block, networks that are built meanwhile can be loaded without a restart."""
    ended = threading.Event()

    def follow() -> None:
        while not ended.wait(ADD_EVERY_S):
            with contextlib.suppress(ModelBuildError, OSError):  # half written; looked at again
                add_versions(repository, served, target)

    thread = threading.Thread(target=follow, name="versions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def engine_of(repository: Path, profile: str) -> str:
    """The engine that a profile's networks run on: `tensorrt` where one of them is a plan, else `openvino`."""
    for default in repository.glob("*/config.pbtxt"):
        variant = default.parent / "configs" / f"{profile}.pbtxt"
        if 'platform: "tensorrt_plan"' in (variant if variant.is_file() else default).read_text(encoding="utf-8"):
            return "tensorrt"
    return "openvino"


def networks_for(engine: str, profile: str) -> store.Target:
    """Where the networks that can be served here lie.

    Raises:
        LaunchError: plans are wanted and there is no GPU or no TensorRT that Triton's are made with.
    """
    if engine == "openvino":
        return store.openvino()
    from moderation.models.tensorrt import build as plans  # only the GPU profile needs it

    try:
        place = plans.here()
    except ModelBuildError as error:
        raise LaunchError(f"profile `{profile}` serves TensorRT plans: {error.message}; or use --profile cpu") from None
    if not place.serves:
        raise LaunchError(
            f"profile `{profile}` serves TensorRT plans and this machine has {place.api.name} and GPU "
            f"{place.gpu_name}; wanted: `tensorrt` and a GPU (see docker/README.md), or --profile cpu"
        )
    return plans.target(place)


def loadable(served: Path) -> list[str]:
    """Models of a served repository that have a version to load, the entry last: its parts should be there first."""
    names = [
        n
        for n in model_names(served)
        if any(p.is_dir() and p.name.isdigit() and any(p.iterdir()) for p in (served / n).iterdir())
    ]
    return sorted(names, key=lambda name: (name == contract.ENTRY, name))


def replace_log(error: LaunchError, server: Server, folder: Path) -> LaunchError:
    """Keep the log of a failed start: its folder is about to go."""
    if folder in server.log.parents and server.log.is_file():
        kept = Path(tempfile.gettempdir()) / f"moderation-failed-{os.getpid()}.log"
        shutil.copy2(server.log, kept)
        return type(error)(error.message.replace(str(server.log), str(kept)))
    return error


def _check_networks(names: list[str], served: Path, engine: str) -> None:
    needed = [contract.SAFETY, contract.SAFETY_CLASSIFIER, contract.TEXT_DETECTOR, contract.TEXT_RECOGNIZER]
    missing = [name for name in needed if name in names and not (served / name).exists()]
    if missing:
        option = "" if engine == "openvino" else f" --engine {engine}"
        raise LaunchError(
            f"{', '.join(missing)} not built; run `moderation models build{option}` first, or add --build"
        )
