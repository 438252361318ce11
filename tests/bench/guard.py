"""What access, limits and audit cost a request.

    python tests/bench/guard.py     # 3 minutes

First each part by itself, then the whole server with and without them, side by side: requests in turn to both.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from bench.machine import describe  # noqa: E402 - the path comes first
from moderation.access.principal import Principal  # noqa: E402
from moderation.access.settings import Access, Issuer  # noqa: E402
from moderation.access.tokens import Verifier  # noqa: E402
from moderation.audit.decision import decision  # noqa: E402
from moderation.audit.log import Log  # noqa: E402
from moderation.audit.settings import Audit  # noqa: E402
from moderation.audit.writer import Writer  # noqa: E402
from moderation.client import Client  # noqa: E402
from moderation.limits.admission import Admission  # noqa: E402
from moderation.limits.settings import Limits, Tenant  # noqa: E402
from serving.conftest import Running, launched  # noqa: E402
from serving.load import SAMPLES  # noqa: E402
from tokens import AUDIENCE, ISSUER, Provider, bearer  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "guard.md"
REQUESTS = 120
RESULT = {
    "decision": "block",
    "severity": 6,
    "reasons": [{"rule": "threats", "action": "block", "severity": 6, "triggered_by": "ocr_text"}] * 3,
    "image": {"sha256": "a" * 64, "pdq": "b" * 64, "format": "JPEG", "width": 640, "height": 400},
    "versions": {f"model-{n}": "1" for n in range(7)},
    "unknown": [],
}


def micro(work: Callable[[], object], laps: int) -> str:
    """Microseconds of one call: median and 95th percentile."""
    times = []
    for _ in range(laps):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e6)
    return f"{median(times):.0f} | {quantiles(times, n=20)[-1]:.0f}"


def parts(folder: Path) -> Iterator[str]:
    """Rows of each part by itself."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        provider = Provider(folder / f"{algorithm}.json", algorithm)
        provider.add("a")
        issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks=provider.publish())
        check = Verifier(Access(mode="required", issuers=(issuer,)))
        fresh = [bearer(provider.token(jti=str(n))) for n in range(300)]
        one, supply = fresh[0], iter(fresh)
        yield f"| token, {algorithm}, first time | {micro(lambda: check.identify(next(supply)), 300)} |"  # noqa: B023
        yield f"| token, {algorithm}, known | {micro(lambda: check.identify(one), 3000)} |"  # noqa: B023
    gate = Admission({"a": Tenant(images_per_second=1e9, concurrency=99)}, Limits(), folder)
    yield f"| quota: in and out | {micro(lambda: gate.enter('a', 1)(), 5000)} |"
    body = decision(Principal("acme", "client", ISSUER), "user", "id", RESULT, 100.0)
    log = Log(Audit(mode="required", folder=folder / "log"))
    yield f"| audit: record appended | {micro(lambda: log.append([('decision', body)]), 1000)} |"

    def durable() -> None:
        _, segment, size = log.append([("decision", body)])
        log.sync(segment, size)

    yield f"| audit: record on disk, one at a time | {micro(durable, 200)} |"
    writer = Writer(Log(Audit(mode="required", folder=folder / "log2")), durable=True)
    with ThreadPoolExecutor(16) as pool:
        started = time.perf_counter()
        list(pool.map(lambda _: writer.put(body).result(30), range(2000)))
        each = (time.perf_counter() - started) / 2000 * 1e6
    writer.close()
    yield f"| audit: record on disk, 16 at a time (group commit), each | {each:.0f} | |"


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, tuple[Running, dict[str, str]]]]:
    """The server without and with everything."""
    provider = Provider(folder / "jwks.json")
    provider.add("a")
    provider.publish()
    settings = {
        "access": {"mode": "required", "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "jwks": "jwks.json"}]},
        "tenants": {"acme": {"images_per_second": 1000, "concurrency": 100}},
        "audit": {"mode": "required", "folder": "audit"},
    }
    (folder / "security.yaml").write_text(yaml.safe_dump(settings))
    with ExitStack() as stack:
        (folder / "plain").mkdir()
        (folder / "guarded").mkdir()
        plain = stack.enter_context(launched(folder / "plain"))
        guarded = stack.enter_context(launched(folder / "guarded", f"--security={folder / 'security.yaml'}"))
        yield {"nothing": (plain, {}), "token, quota, audit on disk": (guarded, bearer(provider.token(exp=9e9)))}


def whole(folder: Path) -> Iterator[str]:
    """Rows of the whole server, one request at a time, in turn."""
    with servers(folder) as found, ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(running.grpc, headers=headers))
            for name, (running, headers) in found.items()
        }
        times: dict[str, list[float]] = {name: [] for name in clients}
        for lap in range(REQUESTS + 10):
            for name, client in clients.items():
                started = time.perf_counter()
                client.moderate([SAMPLES["sunset.png"]])
                if lap >= 10:
                    times[name].append((time.perf_counter() - started) * 1e3)
        for name, taken in times.items():
            yield f"| {name} | {median(taken):.1f} | {quantiles(taken, n=20)[-1]:.1f} |"


def main() -> None:
    """Measure and write the report."""
    with tempfile.TemporaryDirectory() as folder:
        first = ["| part | µs, median | 95 % |", "|---|---|---|", *parts(Path(folder))]
        second = ["| one request at a time with | ms, median | 95 % |", "|---|---|---|", *whole(Path(folder))]
    head = f"# What access, limits and audit cost\n\n{describe()}\n\nRerun: `make bench-guard`.\n"
    RESULTS.write_text("\n".join((head, *first, "", *second)) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
