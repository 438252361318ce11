"""A search by Model Analyzer against a running server: its configuration, its process, its results."""

from __future__ import annotations

import copy
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from moderation.errors import LaunchError
from moderation.launcher.preflight import Ports
from moderation.tune import settings
from moderation.tune.candidates import OutOfTimeError
from moderation.tune.space import Choice, Space

CURE: Final = Path(__file__).with_name("cure.py")
POLL_S: Final = 1.0
STOP_S: Final = 60.0
"""Model Analyzer ends after the measurement that is running, and writes its checkpoint."""


def complete(space: Space, work: Path, ports: Ports, data: Path) -> dict[str, Any]:
    """The sweep's configuration with the paths and addresses of this run.

    Model Analyzer is told of a remote server: it then loads settings over the network into the very server that a
    person runs, with all models under their own names, instead of starting one for each variant.
    """
    document: dict[str, Any] = copy.deepcopy(dict(space.analyzer))
    document |= {
        "model_repository": str(work / "models"),
        "output_model_repository_path": str(work / "variants"),
        "override_output_model_repository": True,
        "checkpoint_directory": str(work / "checkpoints"),
        "export_path": str(work / "export"),
        "triton_launch_mode": "remote",
        "client_protocol": "grpc",
        "triton_grpc_endpoint": f"127.0.0.1:{ports.grpc}",
        "triton_http_endpoint": f"127.0.0.1:{ports.http}",
        "triton_metrics_url": f"http://127.0.0.1:{ports.metrics}/metrics",
        "perf_analyzer_path": str(work / "perf_analyzer"),
        "perf_analyzer_timeout": 300,
    }
    profiled = document["profile_models"][space.model]
    profiled.setdefault("perf_analyzer_flags", {})["input-data"] = str(data)
    return document


def run(
    space: Space,
    work: Path,
    repository: Path,
    profile: str,
    ports: Ports,
    data: Path,
    python: Path,
    over: Callable[[], bool],
) -> list[Choice]:
    """Search, or go on with a search; the best candidates that keep the constraints, best first.

    Args:
        space: the sweep.
        work: folder of this sweep; checkpoints in it are continued.
        repository: the tree's models, whose profile is the base of every variant.
        profile: its name.
        ports: of the running server.
        data: input file of the measured model.
        python: of the environment that has Model Analyzer.
        over: whether time is up.

    Raises:
        OutOfTimeError: time was up; a checkpoint is written.
        LaunchError: Model Analyzer is not there or failed, with its own last lines.
    """
    if not python.is_file():
        raise LaunchError(f"no Model Analyzer at {python}; install it with `make tune-env`")
    _models(work / "models", repository, profile)
    script, command = work / "perf_analyzer", shlex.quote(str(Path(sys.executable).with_name("moderation")))
    script.write_text(f'#!/bin/sh\nexec {command} perf-analyzer "$@"\n')
    script.chmod(0o755)
    config = work / "config.yaml"
    config.write_text(yaml.safe_dump(complete(space, work, ports, data), sort_keys=False))
    log = work / "model-analyzer.log"
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            [str(python), str(CURE), "profile", "-v", "-f", str(config)],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=work,
        )
        while True:
            try:
                process.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                if over():
                    process.send_signal(signal.SIGINT)
                    process.wait(STOP_S)
                    raise OutOfTimeError from None
    if process.returncode:
        raise LaunchError(f"Model Analyzer ended with code {process.returncode}; the end of {log}:\n{_tail(log)}")
    return best(space, work)


def best(space: Space, work: Path) -> list[Choice]:
    """Candidates from the newest checkpoint: those that keep the p95 limit first, then by rate."""
    found = []
    for run, measurement in measurements(space.model, work / "checkpoints"):
        values = dict(measurement["_model_config_measurements"][0]["_non_gpu_data"])
        rate, p95 = (float(values[name]["_value"]) for name in ("perf_throughput", "perf_latency_p95"))
        configs = [run["_model_config_variant"], *run["_composing_config_variants"]]
        known = {config["model_config"]["name"]: _as_triton_says(config["model_config"]) for config in configs}
        choice = {
            (axis.model, axis.path): value
            for axis in space.axes
            if (value := settings.get(known[axis.model], axis.path)) is not None
        }
        found.append((not space.judge.p95_ms or p95 <= space.judge.p95_ms, rate, choice))
    found.sort(key=lambda row: row[:2], reverse=True)
    return [choice for _, _, choice in found]


def _as_triton_says(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of a checkpoint, which has protobuf's JSON names, under the names of the files."""
    parsed = json_format.ParseDict(config, model_config_pb2.ModelConfig(), ignore_unknown_fields=True)
    found: dict[str, Any] = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    return found


def measurements(model: str, checkpoints: Path) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(run configuration, measurement) of every run in the newest checkpoint."""
    newest = max(checkpoints.glob("*.ckpt"), key=lambda path: int(path.stem))
    results = json.loads(newest.read_text())["ResultManager.results"]["_results"].get(model, {})
    return [
        (run["_model_run_configs"][0], measurement)
        for run, measured in results.values()
        for measurement in measured.values()
    ]


def _models(target: Path, repository: Path, profile: str) -> None:
    """Model Analyzer reads the present settings from config.pbtxt; here it is that of the profile."""
    for folder in repository.iterdir():
        source = folder / "configs" / f"{profile}.pbtxt"
        source = source if source.is_file() else folder / "config.pbtxt"
        (target / folder.name / "1").mkdir(parents=True, exist_ok=True)
        (target / folder.name / "config.pbtxt").write_text(source.read_text())


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
