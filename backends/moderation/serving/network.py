"""A compiled network on OpenVINO, as the CPU engine backend runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from moderation.errors import ConfigError
from moderation.models import record

MODEL_FILE: Final = "model.xml"
PRECISIONS: Final = ("auto", "f32")
"""`f32` gives the same scores on every processor; `auto` lets OpenVINO compute in bfloat16 where the processor has it,
and scores move by up to 0.02. Measured on the default networks: 1.5-1.6 times as fast on an AMD EPYC, 1.3-1.5 times as
slow on a Xeon that has the instructions without AMX."""


class OpenVinoNetwork:
    """One compiled network with its own threads and one inference request.

    Args:
        folder: version folder with `model.xml` and `model.bin`.
        threads: threads of this instance. OpenVINO would pin the single thread of every process to the same core, so
            pinning is off (measured: two pinned instances share one core).
        precision: one of `PRECISIONS`.
        rows: sizes of batches that are computed, see `parts`; none: a batch is computed as it comes. Every new shape
            costs the time of several runs (measured: 40-100 ms), and a dynamic batcher makes batches of every size.

    Raises:
        ConfigError: not built, changed since it was built, or no such precision or sizes.
    """

    def __init__(self, folder: Path, threads: int, precision: str = "f32", rows: Sequence[int] = ()) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f"parameter precision is `{precision}`; allowed: {', '.join(PRECISIONS)}")
        if rows and min(rows) != 1:
            raise ConfigError(f"parameter rows is `{','.join(map(str, rows))}`; 1 and greater sizes are expected")
        self._rows = tuple(sorted(rows, reverse=True))
        path = folder / MODEL_FILE
        if not path.is_file():
            raise ConfigError(f"no {MODEL_FILE} in {folder}; build it with `moderation models build`")
        record.check(folder)
        compiled = ov.Core().compile_model(
            path,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "ENABLE_CPU_PINNING": False,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                **({"INFERENCE_PRECISION_HINT": precision} if precision != "auto" else {}),
            },
        )
        self._request = compiled.create_infer_request()
        self.inputs = [port.any_name for port in compiled.inputs]
        self.outputs = [port.any_name for port in compiled.outputs]

    def infer(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run one batch.

        Args:
            inputs: by name, batch first.

        Returns:
            Outputs by name; copies, so the next call cannot change them.
        """
        if not self._rows:
            return self._run(inputs)
        count = len(next(iter(inputs.values())))
        found, start = [], 0
        for size in parts(count, self._rows):
            found.append(self._run({name: value[start : start + size] for name, value in inputs.items()}))
            start += size
        return found[0] if len(found) == 1 else {n: np.concatenate([f[n] for f in found]) for n in self.outputs}

    def _run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self._request.infer(inputs, share_inputs=True)
        return {name: np.array(self._request.get_tensor(name).data) for name in self.outputs}


def parts(count: int, sizes: Sequence[int]) -> list[int]:
    """A batch as a sum of a few sizes, the greatest first.

    Args:
        count: of the batch.
        sizes: descending; the last is 1.
    """
    found: list[int] = []
    for size in sizes:
        found += [size] * (count // size)
        count %= size
    return found
