"""A client that keeps sending while something happens to the server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any

from moderation.client import Client
from moderation.errors import ModerationError


class Traffic:
    """Sends one picture again and again from several callers, for the time of the block.

    Attributes:
        results: (when it was sent, when answered, RESULT) of every answer, in seconds since 1970.
        failures: what came instead of an answer.
        seconds: time of each answer.
    """

    def __init__(self, url: str, image: bytes, caption: str, threads: int = 2, callers: int = 40, pause_s: float = 0.0):
        self.results: list[tuple[float, float, dict[str, Any]]] = []
        self.failures: list[str] = []
        self.seconds: list[float] = []
        self._url, self._image, self._caption, self._pause = url, image, caption, pause_s
        self._callers = callers
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number, threads)) for number in range(threads)]

    def _send(self, first: int, step: int) -> None:
        clients = [Client(self._url, headers={"x-subject": f"caller-{n}"}) for n in range(self._callers)]
        number = first
        while not self._stop.is_set():
            sent, started = time.time(), time.monotonic()
            try:
                (result,) = clients[number % self._callers].moderate([self._image], [self._caption])
                self.seconds.append(time.monotonic() - started)
                self.results.append((sent, time.time(), result))
            except ModerationError as error:
                self.failures.append(error.message)
            number += step
            self._stop.wait(self._pause)
        for client in clients:
            client.close()

    def versions(self, model: str, since: float = 0.0) -> Counter[str]:
        """Answers by the version that gave them, of requests sent since a moment; `none`: the stage gave no signal."""
        return Counter(result["versions"].get(model, "none") for sent, _, result in self.results if sent >= since)

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
