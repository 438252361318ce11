"""How long the pipeline is without a stage after its Python processes were killed.

    python tests/bench/heal.py      # 2 minutes

Every process of a model gets SIGKILL at once; the clock stops when a request gets its full decision again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation import contract  # noqa: E402
from serving.conftest import launched, stubs, wait_until  # noqa: E402
from serving.test_operations import decided  # noqa: E402

ROUNDS = 3


def main() -> None:
    """Measure and write the report."""
    lines = ["| model | seconds until full decisions again, median | each round |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, launched(Path(folder)) as server:
        for model in contract.MODELS:
            if model == contract.SAFETY_CLASSIFIER:
                continue  # no version is shipped
            times = []
            for _ in range(ROUNDS):
                wait_until(lambda: len(stubs(server, model)) == server.control.instances(model), 30)  # noqa: B023
                for stub in stubs(server, model):
                    stub.kill()
                started = time.monotonic()
                wait_until(lambda: decided(server, "notice.jpg"), 60)
                times.append(time.monotonic() - started)
            lines.append(f"| {model} | {median(times):.2f} | {', '.join(f'{t:.2f}' for t in times)} |")
            print(lines[-1], flush=True)
    head = f"# Healing after kill -9\n\n{describe()}\n\nRerun: `python tests/bench/heal.py`.\n"
    (Path(__file__).parent / "results" / "heal.md").write_text(head + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
