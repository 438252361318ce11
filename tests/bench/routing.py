"""What knowing the kind of picture spares: the pipeline as it is against the same without gates.

    python tests/bench/routing.py        # needs the real images in ../shared/data; 6 minutes on 2 cores

Two servers, one with the gates of `pipeline.yaml` and one without any; perf_analyzer measures them in turn with
the same pictures, at two requests at a time.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.compare.pictures import Pictures  # noqa: E402
from bench.machine import describe  # noqa: E402 - the path comes first
from moderation import contract  # noqa: E402
from moderation.client import Address  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from moderation.perf.analyzer import Load, PerfAnalyzer  # noqa: E402
from moderation.perf.inputs import write_input_data  # noqa: E402
from moderation.perf.target import Target  # noqa: E402
from moderation.pipeline.release import FILE  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402

DATA: Final = ROOT.parent / "shared" / "data"
PICTURES: Final = 30
ROUNDS: Final = 2
SECONDS: Final = 15


def without_gates(folder: Path) -> Path:
    """A copy of the repository whose release spares nothing."""
    copy = folder / "repository"
    shutil.copytree(REPOSITORY, copy)
    path = copy / contract.ENTRY / "1" / FILE
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**document, "gates": {}}))
    return copy


def main() -> None:
    """Measure and write the report."""
    lines = ["| pictures | with gates, images/s | without | ratio, each round |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        analyzer = PerfAnalyzer(folder)

        def measure(server: Running, data: Path) -> float:
            target = Target(Address.parse(server.grpc))
            return analyzer.measure(target, contract.ENTRY, data, Load("concurrency", 2), SECONDS).rate

        sets = {mix: Pictures(DATA, PICTURES).files(mix) for mix in ("photos", "texts", "mixed")}
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            launched(folder / "a") as gated,
            launched(folder / "b", "--repository", str(without_gates(folder))) as plain,
        ):
            for name, pictures in sets.items():
                data = folder / f"{name}.json"
                write_input_data(pictures, data)
                measure(gated, data)  # compiles each shape once
                measure(plain, data)
                rounds = [(measure(gated, data), measure(plain, data)) for _ in range(ROUNDS)]
                ratios = [a / b for a, b in rounds]
                each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                lines.append(
                    f"| {name} | {median(a for a, _ in rounds):.2f} | {median(b for _, b in rounds):.2f} | "
                    f"**{median(ratios):.2f}** ({each}) |"
                )
                print(lines[-1], flush=True)
    head = (
        f"# What the kind of picture spares\n\n{describe()}\n\nRerun: `python tests/bench/routing.py`. A run looks at "
        f"{SECONDS} seconds: rows of about one picture a second rest on few pictures and say little.\n"
    )
    (Path(__file__).parent / "results" / "routing.md").write_text(head + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
