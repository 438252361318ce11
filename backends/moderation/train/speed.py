"""How fast the exported network is on one core, in full precision and in INT8, and whether INT8 says the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

CALIBRATION: Final = 300
"""Pictures that NNCF sees to find the ranges of activations (its own default)."""
_RUNS: Final = 200


@dataclass(frozen=True)
class Speed:
    """Milliseconds of one picture on one core (median), and the share of pictures to which INT8 gives the same kind."""

    fp32_ms: float
    int8_ms: float
    agreement: float

    def text(self) -> str:
        """One sentence."""
        return (
            f"One core, batch 1: {self.fp32_ms:.2f} ms in FP32, {self.int8_ms:.2f} ms in INT8 (NNCF); INT8 names the "
            f"same kind for {self.agreement:.1%} of the held-out pictures."
        )


def measure(path: Path, calibrate: npt.NDArray[np.uint8], judge: npt.NDArray[np.uint8]) -> Speed:
    """Compile the ONNX file with OpenVINO as it is and quantised.

    Args:
        path: network with UINT8 input [n, side, side, 3].
        calibrate: pictures [n, side, side, 3] that the network learned from.
        judge: pictures to compare answers on.
    """
    import nncf
    import openvino as ov

    model = ov.convert_model(path)
    data = nncf.Dataset([picture[np.newaxis] for picture in calibrate[:CALIBRATION]])
    small = nncf.quantize(model, data, subset_size=CALIBRATION, preset=nncf.QuantizationPreset.MIXED)
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = [ov.Core().compile_model(form, "CPU", settings) for form in (model, small)]
    said = [np.concatenate([form(picture[np.newaxis])[0] for picture in judge]).argmax(axis=1) for form in compiled]
    times = [_time(form, judge[:1]) for form in compiled]
    return Speed(times[0], times[1], float((said[0] == said[1]).mean()))


def _time(compiled: Any, picture: npt.NDArray[np.uint8]) -> float:
    def once() -> float:
        started = time.perf_counter()
        compiled(picture)
        return (time.perf_counter() - started) * 1e3

    return median(once() for _ in range(_RUNS))
