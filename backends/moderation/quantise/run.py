"""From a folder of pictures to ranges beside a manifest, or to the reason why the network stays in FP32."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from moderation import contract
from moderation.errors import ModelBuildError
from moderation.models import store
from moderation.models.build import CHARACTERS_FILE, full_precision
from moderation.models.store import Entry
from moderation.quantise import pictures, ranges
from moderation.quantise.apply import apply
from moderation.quantise.calibrate import calibrate
from moderation.quantise.judge import Answer, Delta, Network, characters_of, judge
from moderation.quantise.relax import passes, relax
from moderation.serving.network import OpenVinoNetwork

PICTURES: Final = {contract.TEXT_DETECTOR: 80, contract.TEXT_RECOGNIZER: 80}
"""Pictures that are looked at, held-out ones included; they have many pixels or many lines."""
MOST: Final = 400
HELD_OUT: Final = 4
"""Every fourth picture is kept for the judgement."""
RANKED: Final = 40
"""Most samples on which single activations are compared."""
_LINES: Final = re.compile(r"^(int8|full_precision):.*\n(?:[ ]+.*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        entry: the network.
        deltas: distances to FP32 on held-out pictures.
        written: the file with the ranges; None when the network stays in FP32.
    """

    entry: Entry
    deltas: list[Delta]
    written: Path | None


def quantise(repository: Path, model: str, version: str, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Measure, judge, and write what follows into the version's folder.

    Args:
        repository: the tree's model_repository.
        model: the role.
        version: which of its versions.
        folder: pictures like those that will be moderated.
        say: called with each step's name.

    Raises:
        ModelBuildError: no such network, no pictures, or NNCF is not installed; nothing is written then.
    """
    found = {(e.model, e.version): e for e in store.entries(repository)}
    if (model, version) not in found:
        raise ModelBuildError(f"no network `{model}:{version}`; allowed: {', '.join(e.name for e in found.values())}")
    entry = found[model, version]
    chosen = pictures.choose(folder, PICTURES.get(model, MOST))
    detect = _detector(found) if model == contract.TEXT_RECOGNIZER else None
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        say("full precision")
        graph = full_precision(entry, scratch, lambda *_: None)
        say("pictures")
        held = chosen[HELD_OUT - 1 :: HELD_OUT]
        seen = [path for path in chosen if path not in set(held)]
        measure, compare = ([*pictures.samples(part, model, entry.manifest, detect)] for part in (seen, held))
        if not measure:
            raise ModelBuildError(f"no picture of {folder} gives this network anything to look at")
        say(f"calibrate on {len(measure)} samples")
        characters = characters_of(scratch, CHARACTERS_FILE) or characters_of(entry.folder, CHARACTERS_FILE)

        def distances(samples: list[pictures.Pixels], made: ranges.Ranges) -> list[Delta]:
            small = graph.clone()
            apply(small, made)
            return judge(model, entry.manifest, full, compiled(small), samples, characters)

        made = calibrate(graph, measure, f"{len(measure)} samples of {len(seen)} pictures")
        full = _remembered(compiled(graph))
        say(f"compare on {len(compare)} samples")
        few = measure[:: -(-len(measure) // RANKED)]
        made, deltas = relax(made, lambda r: distances(few, r), lambda r: distances(compare, r))
    home = entry.manifest_path.parent
    if passes(deltas):
        ranges.save(made, home / ranges.FILE)
        _note(entry.manifest_path, f"int8: {ranges.FILE}")
        return Outcome(entry, deltas, home / ranges.FILE)
    (home / ranges.FILE).unlink(missing_ok=True)
    reason = "INT8 is too far from FP32: " + ", ".join(delta.text() for delta in deltas if not delta.passes)
    _note(entry.manifest_path, f"full_precision: '{reason}'")
    return Outcome(entry, deltas, None)


def _note(manifest: Path, line: str) -> None:
    """One line at the end of a manifest, in the place of what it said before; the rest stays as people wrote it."""
    fresh = manifest.with_name(f".{manifest.name}.new")
    fresh.write_text(
        _LINES.sub("", manifest.read_text(encoding="utf-8")).rstrip("\n") + f"\n{line}\n", encoding="utf-8"
    )
    fresh.replace(manifest)


def _detector(found: dict[tuple[str, str], Entry]) -> Callable[[pictures.Pixels], pictures.Pixels]:
    versions = [e for (model, _), e in found.items() if model == contract.TEXT_DETECTOR and e.state() == "built"]
    if not versions:
        raise ModelBuildError("text-detector is not built; it finds the lines: moderation models build text-detector")
    network = OpenVinoNetwork(max(versions, key=lambda e: int(e.version)).folder, threads=1)
    return lambda pixels: np.asarray(network.infer({"PIXELS": pixels})["PROBABILITY"][0], np.uint8)


def _remembered(network: Network) -> Network:
    """Each answer is computed once; it is asked for as often as something is compared with it."""
    known: dict[int, Answer] = {}

    def run(sample: npt.NDArray[np.uint8]) -> Answer:
        if id(sample) not in known:  # the samples outlive this
            known[id(sample)] = network(sample)
        return known[id(sample)]

    return run


def compiled(graph: Any) -> Network:
    """A graph as a function of one sample, on all cores, computed in the precision of the graph."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}
    request = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def run(sample: npt.NDArray[np.uint8]) -> Answer:
        request.infer({0: sample})
        return {port.any_name: np.array(request.get_tensor(port).data) for port in request.model_outputs}

    return run
