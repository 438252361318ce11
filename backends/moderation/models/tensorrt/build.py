"""The recipe for plans: operate, FP16, TensorRT's builder, compare with the FP32 graph, store with metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from moderation.models import store
from moderation.models.build import Progress, Recipe, operated
from moderation.models.manifest import Manifest
from moderation.models.store import Entry, Target
from moderation.models.tensorrt import api as apis
from moderation.models.tensorrt import device, engine, parity, record
from moderation.models.tensorrt.prepare import PIXELS, prepare
from moderation.models.tensorrt.shapes import Profile, profile, read_config

PLAN_FILE: Final = "model.plan"
ENGINE: Final = "tensorrt"
STEPS: Final = ("fetch", "operate", "precision", "plan", "compare", "store")
MEMORY_MIB: Final = 16384
"""What the builder and one execution context may use at most; the largest network needs less than half of it."""
_CODE: Final = (
    "surgery.py",
    *(f"tensorrt/{name}" for name in ("build.py", "engine.py", "prepare.py", "shapes.py")),
)
_COMPARED: Final = 2
"""Pictures that outputs are compared on; of the usual size."""


@dataclass(frozen=True)
class Place:
    """With what and for which GPU plans are built."""

    api: apis.Api
    gpu: device.Gpu | None

    @property
    def gpu_name(self) -> str:
        """For people and for the record."""
        return self.gpu.name if self.gpu else record.NO_GPU

    @property
    def serves(self) -> bool:
        """Whether Triton can load what is built here."""
        return self.api.flavour == apis.SERVED and self.gpu is not None


def here() -> Place:
    """The TensorRT and the GPU of this machine.

    Raises:
        ModelBuildError: TensorRT is not installed.
    """
    return Place(apis.find(), device.find())


def target(place: Place) -> Target:
    """Where plans for a place lie: each kind of GPU and each TensorRT has folders of its own."""
    gpu = place.gpu.tag if place.gpu else "no-gpu"
    return Target(ENGINE, place.api.name, _CODE, f"{gpu}-{place.api.tag}", lambda p, m: repr(_profile(p, m)))


def recipe(place: Place, memory_mib: int = MEMORY_MIB, say: Callable[[str], None] = lambda _line: None) -> Recipe:
    """How plans are built.

    Args:
        place: from `here`.
        memory_mib: MiB that the builder and one execution context may use.
        say: told in a sentence why a plan that is there is built again.
    """

    def write(entry: Entry, scratch: Path, progress: Progress) -> None:
        shapes = _profile(entry.manifest_path, entry.manifest)
        if reason := record.why_not(entry, place.api.name, place.gpu_name, shapes):
            say(reason)
        model = operated(entry, scratch, progress)
        progress(entry.name, "precision")
        graph = prepare(model, half=True).SerializeToString()
        progress(entry.name, "plan")
        # TensorRT for RTX measures nothing and has no cache
        served = place.api.flavour == apis.SERVED
        timing = store.root() / "timing" / f"{target(place).device}.cache" if served else None

        def fraction(done: float) -> None:
            progress(entry.name, f"plan {done:.0%}")

        plan = engine.build(place.api, graph, shapes, timing, memory_mib << 20, fraction)
        (scratch / PLAN_FILE).write_bytes(plan)
        progress(entry.name, "compare")
        exact = model.SerializeToString()
        pixels = parity.pictures((shapes.usual[1], shapes.usual[2]), _COMPARED)
        context = 0
        found: Mapping[str, npt.NDArray[Any]]
        if place.gpu:
            runner = device.PlanRunner(place.api, plan)
            context, found = runner.memory, runner.run(pixels)
        else:
            found = run_graph(graph, pixels)
        parity.check(entry.model, run_graph(exact, pixels), found)
        progress(entry.name, "store")
        record.Record(
            tensorrt=place.api.name,
            gpu=place.gpu_name,
            compute_capability=place.gpu.capability if place.gpu else "",
            onnx=hashlib.sha256(exact).hexdigest(),
            precision="fp16",
            profile=shapes,
            context_bytes=context,
            parity="plan" if place.gpu else "graph",
        ).write(scratch)

    return Recipe(target(place), STEPS, write)


def run_graph(graph: bytes, pixels: npt.NDArray[np.uint8]) -> Mapping[str, npt.NDArray[Any]]:
    """Outputs of a serialised ONNX graph on the CPU, by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {PIXELS: pixels}), strict=True))


def _profile(path: Path, manifest: Manifest) -> Profile:
    """The shapes of one network version, from the config.pbtxt beside its versions."""
    model = path.parent.parent
    return profile(read_config(model / "config.pbtxt"), manifest.size(model.name))
