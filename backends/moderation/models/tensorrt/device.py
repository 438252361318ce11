"""The GPU of this machine, and a plan run on it. Needs `cuda-bindings`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moderation.errors import ModelBuildError
from moderation.models.tensorrt.api import Api

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as the driver says it.
        capability: compute capability, such as `9.0`.
        memory: bytes.
    """

    name: str
    capability: str
    memory: int

    @property
    def tag(self) -> str:
        """For a file name."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.name} sm{self.capability}".lower()).strip("-")


def find() -> Gpu | None:
    """The first GPU; None where there is none that the driver and `cuda-bindings` reach."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        return None
    error, count = runtime.cudaGetDeviceCount()
    if error != runtime.cudaError_t.cudaSuccess or not count:
        return None
    facts = _checked(runtime, runtime.cudaGetDeviceProperties(0))
    name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
    return Gpu(name.strip("\0 "), f"{facts.major}.{facts.minor}", int(facts.totalGlobalMem))


def _checked(runtime: Any, answer: tuple[Any, ...]) -> Any:
    """The value of a CUDA call.

    Raises:
        ModelBuildError: with CUDA's own name of the error.
    """
    error, *values = answer
    if error != runtime.cudaError_t.cudaSuccess:
        raise ModelBuildError(f"the GPU refuses: {error.name}")
    return values[0] if values else None


class PlanRunner:
    """One execution context of a plan.

    Args:
        api: the TensorRT that built it.
        plan: its bytes.

    Raises:
        ModelBuildError: this TensorRT or GPU does not take the plan.
    """

    def __init__(self, api: Api, plan: bytes) -> None:
        from cuda.bindings import runtime

        self._cuda, self._trt = runtime, api.module
        self._engine = api.module.Runtime(api.module.Logger(api.module.Logger.ERROR)).deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ModelBuildError(f"{api.name} does not load the plan on this GPU; build it here")
        self._context = self._engine.create_execution_context()
        self._stream = _checked(runtime, runtime.cudaStreamCreate())

    @property
    def memory(self) -> int:
        """Bytes of one execution context; each Triton instance has one."""
        return int(self._engine.device_memory_size_v2)

    def run(self, pixels: npt.NDArray[np.uint8]) -> Arrays:
        """Outputs by name for one batch.

        Raises:
            ModelBuildError: the shape is outside the plan's profile, or CUDA fails.
        """
        trt, cuda = self._trt, self._cuda
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        if not self._context.set_input_shape(inputs[0], pixels.shape):
            raise ModelBuildError(f"shape {list(pixels.shape)} is outside the plan's profile")
        hosts: Arrays = {inputs[0]: np.ascontiguousarray(pixels)}
        for name in set(names) - set(inputs):
            dtype = trt.nptype(self._engine.get_tensor_dtype(name))
            hosts[name] = np.empty(tuple(self._context.get_tensor_shape(name)), dtype)
        buffers = {name: _checked(cuda, cuda.cudaMalloc(max(1, array.nbytes))) for name, array in hosts.items()}
        try:
            for name, buffer in buffers.items():
                self._context.set_tensor_address(name, int(buffer))
            kind = cuda.cudaMemcpyKind
            self._copy(buffers[inputs[0]], hosts[inputs[0]].ctypes.data, hosts[inputs[0]].nbytes, kind, "HostToDevice")
            if not self._context.execute_async_v3(int(self._stream)):
                raise ModelBuildError(f"the plan fails for shape {list(pixels.shape)}")
            for name in set(names) - set(inputs):
                self._copy(hosts[name].ctypes.data, buffers[name], hosts[name].nbytes, kind, "DeviceToHost")
            _checked(cuda, cuda.cudaStreamSynchronize(self._stream))
        finally:
            for buffer in buffers.values():
                cuda.cudaFree(buffer)
        return {name: hosts[name] for name in names if name not in inputs}

    def _copy(self, target: Any, source: Any, size: int, kind: Any, way: str) -> None:
        direction = getattr(kind, f"cudaMemcpy{way}")
        _checked(self._cuda, self._cuda.cudaMemcpyAsync(target, source, size, direction, self._stream))
