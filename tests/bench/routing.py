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

from bench.machine import describe  # noqa: E402 - the path comes first
from bench.pipeline import DATA, PICTURES, measure, pictures_of_text  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from moderation.perf.inputs import write_input_data  # noqa: E402
from moderation.pipeline.release import FILE  # noqa: E402
from serving.conftest import launched  # noqa: E402

ROUNDS: Final = 2
WINDOW_S: Final = 5


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
        photos, texts = sorted((DATA / "people_photos" / "people").iterdir()), pictures_of_text(DATA / "ocr")
        sets = {"photos": photos[:PICTURES], "texts": texts, "half and half": photos[: PICTURES // 2] + texts[::2]}
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            launched(folder / "a") as gated,
            launched(folder / "b", "--repository", str(without_gates(folder))) as plain,
        ):
            for name, pictures in sets.items():
                data = folder / f"{name.replace(' ', '-')}.json"
                write_input_data(pictures, data)
                measure(gated, data, 2, WINDOW_S)  # compiles each shape once
                measure(plain, data, 2, WINDOW_S)
                rounds = [
                    (measure(gated, data, 2, WINDOW_S)["rate"], measure(plain, data, 2, WINDOW_S)["rate"])
                    for _ in range(ROUNDS)
                ]
                ratios = [a / b for a, b in rounds]
                each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                lines.append(
                    f"| {name} | {median(a for a, _ in rounds):.2f} | {median(b for _, b in rounds):.2f} | "
                    f"**{median(ratios):.2f}** ({each}) |"
                )
                print(lines[-1], flush=True)
    head = (
        f"# What the kind of picture spares\n\n{describe()}\n\nRerun: `python tests/bench/routing.py`. A run looks at "
        f"{3 * WINDOW_S} seconds: rows of about one picture a second rest on few pictures and say little.\n"
    )
    (Path(__file__).parent / "results" / "routing.md").write_text(head + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
