"""The drain before a stop: a pod goes on serving until nobody sends it anything any more.

When a pod is told to stop, endpoints and proxies learn of it at the same time or later than the pod does. A server
that stops at once refuses what they still send. So the stop waits: some seconds in any case, then until no request came
for a while, and no longer than a limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from moderation.contract import ENTRY
from moderation.deploy.scrape import Page, fetch
from moderation.errors import ConfigError, ServerError

POLL_S: Final = 0.25


@dataclass(frozen=True)
class Drained:
    """How a drain ended: after how long, and whether it became quiet."""

    seconds: float
    quiet: bool


def requests(page: Page) -> float:
    """Requests that the entry model has been sent so far, waiting ones included."""
    names = "nv_inference_request_success", "nv_inference_request_failure", "nv_inference_pending_request_count"
    return sum(page.total(name, model=ENTRY) for name in names)


def drain(
    count: Callable[[], float | None],
    *,
    at_least_s: float,
    quiet_s: float,
    at_most_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Drained:
    """Wait until the server may be stopped.

    Args:
        count: requests so far; None when the server does not answer, which is as quiet as it gets.
        at_least_s: shortest wait.
        quiet_s: time without a new request that counts as quiet.
        at_most_s: longest wait.
        clock: monotonic seconds.
        sleep: waits some seconds.

    Raises:
        ConfigError: the shortest wait is above the longest.
    """
    if at_least_s > at_most_s:
        raise ConfigError(f"at least {at_least_s:g} s of drain is above at most {at_most_s:g} s; raise the second")
    started = since = clock()
    seen = count()
    while (now := clock()) - started < at_most_s:
        current = count()
        if current != seen:
            seen, since = current, now
        if now - started >= at_least_s and (now - since >= quiet_s or current is None):
            return Drained(now - started, quiet=True)
        sleep(POLL_S)
    return Drained(clock() - started, quiet=False)


def counter(metrics_url: str) -> Callable[[], float | None]:
    """`count` for `drain` from a metrics page."""

    def count() -> float | None:
        try:
            return requests(fetch(metrics_url))
        except ServerError:
            return None

    return count
