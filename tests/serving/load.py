"""Clients that ask without pause, and a protocol of what they got."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from moderation.client import Client
from moderation.errors import ModerationError
from moderation.samples import EXPECTED, render

SAMPLES = render()
NAMES = ("threat.jpg", "sunset.png", "scam.webp", "notice.jpg")
_SILENCE: Final = re.compile(
    r"no answer from|Socket closed|[Cc]onnection (reset|refused)|failed to connect|DEADLINE_EXCEEDED|recvmsg"
)


@dataclass(frozen=True)
class Outcome:
    """One request.

    Attributes:
        at: when it ended, `time.monotonic()`.
        name: of the sample.
        decision: of the reply, or `error`.
        unknown: stages without a signal.
        detail: the error's sentence.
    """

    at: float
    name: str
    decision: str
    unknown: tuple[str, ...] = ()
    detail: str = ""

    @property
    def unanswered(self) -> bool:
        """No reply of any kind: the connection broke, or the client's patience ended."""
        return self.decision == "error" and bool(_SILENCE.search(self.detail))

    @property
    def right(self) -> bool:
        """The documented decision with all stages."""
        return self.decision == EXPECTED[self.name] and not self.unknown

    @property
    def wrong(self) -> bool:
        """A decision that the picture does not have, unless a missing stage made it a person's to look at."""
        return self.decision not in ("error", EXPECTED[self.name]) and not (self.unknown and self.decision == "review")


@dataclass
class Protocol:
    """What all clients got."""

    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0

    def since(self, moment: float) -> list[Outcome]:
        """Outcomes after a moment."""
        return [o for o in list(self.outcomes) if o.at > moment]

    @property
    def wrong(self) -> list[Outcome]:
        """Outcomes that must never be."""
        return [o for o in self.outcomes if o.wrong]

    def unanswered(self, moment: float) -> int:
        """Requests without any reply since a moment."""
        return sum(o.unanswered for o in self.since(moment))

    def noticed(self, moment: float) -> float:
        """Seconds from a moment to the first reply that shows it; 0 when none did."""
        return next((o.at - moment for o in self.since(moment) if not o.right), 0.0)

    def settled(self, moment: float) -> float:
        """Seconds from a moment to the last reply that was not right."""
        return max((o.at - moment for o in self.since(moment) if not o.right), default=0.0)

    def healthy(self, moment: float, number: int = 8) -> bool:
        """Whether the last replies after a moment are all right."""
        last = self.since(moment)[-number:]
        return len(last) == number and all(o.right for o in last)


def ask(client: Client, name: str, **more: Any) -> Outcome:
    """One request as an outcome."""
    try:
        (result,) = client.moderate([SAMPLES[name]], **more)
    except ModerationError as error:
        return Outcome(time.monotonic(), name, "error", detail=error.message)
    return Outcome(time.monotonic(), name, result["decision"], tuple(result["unknown"]))


def ask_once(url: str, name: str, **more: Any) -> Outcome:
    """One request on a connection of its own."""
    with Client(url) as client:
        return ask(client, name, **more)


@contextmanager
def load(*urls: str, timeout_s: float = 30.0, headers: dict[str, str] | None = None) -> Iterator[Protocol]:
    """A client for each address that asks until the end of the block."""
    protocol, stop = Protocol(), threading.Event()

    def run(number: int, url: str) -> None:
        while not stop.is_set():
            with Client(url, timeout_s=timeout_s, headers=headers) as client:
                for name in (*NAMES[number % 4 :], *NAMES[: number % 4]):
                    protocol.sent += 1
                    outcome = ask(client, name)
                    protocol.outcomes.append(outcome)
                    if outcome.decision == "error":
                        stop.wait(0.05)
                        break  # as a client does: a new connection after an error
                    if stop.is_set():
                        break

    threads = [threading.Thread(target=run, args=(number, url)) for number, url in enumerate(urls)]
    for thread in threads:
        thread.start()
    try:
        yield protocol
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
