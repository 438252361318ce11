"""A prepared ONNX graph to the bytes of a plan, through TensorRT's parser and builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moderation.errors import ModelBuildError
from moderation.models.tensorrt.api import Api
from moderation.models.tensorrt.prepare import PIXELS
from moderation.models.tensorrt.shapes import Profile

Fraction = Callable[[float], None]
"""Called with how much of a build is done, 0-1."""


def build(api: Api, graph: bytes, profile: Profile, timing: Path | None, memory: int, progress: Fraction) -> bytes:
    """Build a plan.

    Args:
        api: the TensorRT to use.
        graph: serialised ONNX.
        profile: shapes of PIXELS.
        timing: file of the timing cache, read and renewed; None for none.
        memory: bytes that the builder and one execution context may use.
        progress: told as the builder advances.

    Raises:
        ModelBuildError: the parser refuses the graph, with its nodes; or no plan fits the memory.
    """
    trt = api.module
    messages: list[str] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        faults = "; ".join(parser.get_error(i).desc().splitlines()[0] for i in range(parser.num_errors))
        raise ModelBuildError(f"{api.name} does not parse the network: {faults}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, memory)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    monitor = _monitor(trt, progress)  # kept: the builder has no reference of its own
    config.progress_monitor = monitor
    cache = _timing_cache(config, timing)
    shapes = builder.create_optimization_profile()
    shapes.set_shape(PIXELS, profile.smallest, profile.usual, profile.largest)
    config.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelBuildError(
            f"{api.name} builds no plan with {memory >> 20} MiB for shapes up to {list(profile.largest)}: "
            f"{'; '.join(messages[-2:]) or 'no reason given'}. Give more with --memory-mib, or lower max_batch_size or "
            "the parameter shapes in config.pbtxt"
        )
    if timing is not None and cache is not None:
        timing.parent.mkdir(parents=True, exist_ok=True)
        partial = timing.with_suffix(".partial")
        partial.write_bytes(bytes(cache.serialize()))
        partial.replace(timing)
    return bytes(plan)


def _timing_cache(config: Any, path: Path | None) -> Any:
    """Measurements of kernels, which most of a build's time goes into; those of another GPU or version are not used."""
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            return None
    return cache


def _logger(trt: Any, messages: list[str]) -> Any:
    class Kept(trt.ILogger):  # type: ignore[misc]  # the module is known at run time only
        """Errors for the message of a failed build, nothing on the terminal."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                messages.append(" ".join(message.split()))

    return Kept()


def _monitor(trt: Any, progress: Fraction) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """The outermost phase as a fraction."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._steps[phase] = max(1, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self._steps:
                progress(min(1.0, (step + 1) / self._steps[phase]))
            return True  # False would end the build

        def phase_finish(self, phase: str) -> None:
            if self._steps.pop(phase, None):
                progress(1.0)

    return Monitor()
