"""A rolling upgrade of two pods under load, as the chart makes it: what callers notice.

    python tests/bench/rolling.py     # 6 minutes on 2 cores

Real servers behind a real HAProxy that never retries. Then the same without the chart's precautions, one at a time, so
that it shows what each is for.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from deploy.chart import Values  # noqa: E402
from moderation import contract  # noqa: E402
from moderation.launcher.run import REPOSITORY  # noqa: E402
from serving.conftest import wait_until  # noqa: E402
from serving.load import SAMPLES  # noqa: E402
from serving.pods import LATE_S, Pod, Stopped, delete, pod  # noqa: E402
from serving.proxy import Proxy, proxy  # noqa: E402
from serving.traffic import Traffic  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "rolling.md"
CALM_S = 20.0
"""Load before and after the upgrade."""
AFTERWARDS_S = 5.0
FOREVER: Values = {"drain": {"grpcConnectionSeconds": 0}}


@dataclass
class Upgrade:
    """Pods that come and go behind one proxy, and what it took."""

    folder: Path
    between: Proxy
    stack: ExitStack
    events: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def start(self, repository: Path, values: Values) -> Pod:
        """A new pod that is ready by its probe."""
        place = self.folder / f"pod{next(self.numbers)}"
        place.mkdir()
        began = time.monotonic()
        found = self.stack.enter_context(pod(place, values, f"--repository={repository}"))
        wait_until(found.ready, 120)
        self.events.append(f"| {place.name} starts | {time.monotonic() - began:.1f} | |")
        return found

    def replace(self, old: Pod, repository: Path, values: Values, *, drain: bool = True) -> tuple[Pod, Stopped]:
        """One step of a rolling update: a pod more, ready, then one less."""
        new = self.start(repository, values)
        self.between.add(new.running)
        stopped = delete(old, self.between, drain=drain)
        self.events.append(f"| a pod goes | {stopped.drain_s:.1f} | {stopped.stop_s:.1f} |")
        assert stopped.code == 0
        return new, stopped


def times(traffic: Traffic, since: float, until: float) -> str:
    """Milliseconds of the answers that were asked for in a span: median and 95th percentile."""
    taken = [(answered - sent) * 1e3 for sent, answered, _ in traffic.results if since <= sent < until]
    return f"{median(taken):.0f} / {quantiles(taken, n=20)[-1]:.0f}"


def losses(callers: dict[str, Traffic], before: Sequence[tuple[int, int]]) -> str:
    """Failures of all ways since the counts before, by way, and the most frequent reason."""
    parts, reasons = [], Counter[str]()
    for (way, traffic), (answered, failed) in zip(callers.items(), before, strict=True):
        new = traffic.failures[failed:]
        parts.append(f"{len(new)} of {len(new) + len(traffic.results) - answered}")
        reasons.update(f"{way}: {reason.partition('answered ')[2] or reason}"[:110] for reason in new)
    (reason, _), *_ = reasons.most_common(1) or [("", 0)]
    return " | ".join([*parts, reason.replace("|", "/")])


def counts(callers: dict[str, Traffic]) -> list[tuple[int, int]]:
    """Answers and failures so far, by way."""
    return [(len(traffic.results), len(traffic.failures)) for traffic in callers.values()]


def measure(folder: Path) -> list[str]:
    """The lines of the report."""
    newer = Path(shutil.copytree(REPOSITORY, folder / "newer"))
    policies = newer / contract.DECISION_LOGIC
    (policies / "1").rename(policies / "2")
    with proxy(folder) as between, ExitStack() as stack, ExitStack() as load:
        upgrade = Upgrade(folder, between, stack)
        with ThreadPoolExecutor(2) as pool:
            pods = list(pool.map(lambda _: upgrade.start(REPOSITORY, {}), range(2)))
        for first in pods:
            between.add(first.running)
        ways = {"HTTP": between.http, "gRPC": between.grpc, "gRPC by connection": between.service}
        callers = {
            way: load.enter_context(Traffic(url, SAMPLES["sunset.png"], "a caption", 1, 8, 0.05))
            for way, url in ways.items()
        }
        began = time.time()
        time.sleep(CALM_S)
        changing = time.time()
        new = [upgrade.replace(old, newer, {})[0] for old in pods]
        changed = time.time()
        time.sleep(CALM_S)
        ended = time.time()
        rows = [
            f"| {way} | {len(traffic.results) + len(traffic.failures)} | {len(traffic.failures)} | "
            + " | ".join(times(traffic, *span) for span in ((began, changing), (changing, changed), (changed, ended)))
            + " |"
            for way, traffic in callers.items()
        ]
        print(*rows, *upgrade.events, sep="\n", flush=True)
        contrasts = []
        before = counts(callers)
        kept, _ = upgrade.replace(new[0], newer, FOREVER, drain=False)
        time.sleep(AFTERWARDS_S)
        contrasts.append(f"| SIGTERM at once, no preStop | {losses(callers, before)} |")
        before = counts(callers)
        _, stopped = upgrade.replace(kept, newer, {})
        time.sleep(AFTERWARDS_S)
        contrasts.append(f"| connections of gRPC that never end ({stopped.said}) | {losses(callers, before)} |")
        load.close()
    return [
        "| way in | requests | failures | ms before, p50 / p95 | during | after |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"The proxy learns {LATE_S:.0f} s late that a pod goes. HTTP and gRPC are balanced by request, `by connection`",
        "as a Service does. New pods start on the same cores that answer, hence the times during the upgrade.",
        "",
        "| event | s until ready, or of the drain | s from SIGTERM to the end |",
        "|---|---|---|",
        *upgrade.events,
        "",
        "The same without one of the chart's precautions, one pod replaced; failures by way in:",
        "",
        "| what | HTTP | gRPC | gRPC by connection | most frequent |",
        "|---|---|---|---|---|",
        *contrasts,
    ]


def main() -> None:
    """Measure and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(Path(folder))
    head = f"# A rolling upgrade under load\n\n{describe()}\n\nRerun: `make bench-rolling`.\n"
    RESULTS.write_text("\n".join((head, *lines)) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
