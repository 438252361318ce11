"""Versions that look on: they see a sample of the items after these were answered, and what they say is only counted.

A shadow repeats nothing that it need not: it takes the answers of the stages that it shares with the version that
answered, calls its own version of one stage, and asks the policy again. It works in a thread of its own, one item at a
time, and only while few items are in work; what has to wait too long, or finds the queue full, is dropped.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from moderation.errors import ModerationError
from moderation.pipeline.items import Item
from moderation.pipeline.moderate import moderate
from moderation.pipeline.run import Call, Run, stage_of
from moderation.rollout.answer import Answer, Recorder
from moderation.rollout.load import LiveItems
from moderation.rollout.plan import Plan
from moderation.rollout.router import Router
from moderation.serving.executor import use_wide_executor

WAITING: Final = 4
"""Items that wait at most, in each instance; each holds its picture's views, some MB."""
PATIENCE_S: Final = 1.0
"""How long an item waits for a quiet moment before it is dropped."""
_LOOK_S: Final = 0.005
DIFFERS: Final = "shadow differs:"
"""Begins the log line of an item that a shadow would have decided otherwise."""
ERROR: Final = "error"
"""Instead of a shadow's decision: it gave no answer."""


@dataclass(frozen=True)
class Seen:
    """What a shadow said of one item, beside what the caller was told.

    Attributes:
        dropped: why it said nothing: `full` or `busy`; None where it spoke.
    """

    model: str
    version: int
    request_id: str
    live: str
    shadow: str
    dropped: str | None = None

    @property
    def differs(self) -> bool:
        """Whether the caller would have been told otherwise."""
        return self.dropped is None and self.live != self.shadow

    def line(self) -> str:
        """For the log, without quotes, which Triton would escape; a caller's id cannot break out of its field."""
        return (
            f"{DIFFERS} model={self.model} version={self.version} live={self.live} shadow={self.shadow} "
            f"request_id={quote(self.request_id, safe='')}"
        )


@dataclass(frozen=True)
class _Job:
    item: Item
    answer: Answer
    model: str
    version: int
    subject: Mapping[str, str]
    request_id: str


class Shadows:
    """The shadows of one instance of the entry model.

    Args:
        router: says what a run needs.
        call: calls a version of a stage.
        live: items in work.
        most: items in work up to which a shadow starts.
        seen: called with each outcome, from any thread.
        deadline_s: longest work on one item.
    """

    def __init__(
        self,
        router: Router,
        call: Call,
        live: LiveItems,
        most: int,
        seen: Callable[[Seen], None],
        deadline_s: float,
    ) -> None:
        self._router, self._call, self._live, self._most = router, call, live, most
        self._seen, self._deadline_s = seen, deadline_s
        self._jobs: queue.Queue[_Job] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None

    def offer(self, item: Item, answer: Answer, subject: Mapping[str, str], request_id: str) -> None:
        """Let the shadows of an answered item's plan see it, when there is time. Returns at once."""
        for model, version in answer.plan.shadows:
            job = _Job(item, answer, model, version, subject, request_id)
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                self._tell(job, "", "full")
        if answer.plan.shadows and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if self._quiet():
                self._tell(job, asyncio.run(self._decide(job)), None)
            else:
                self._tell(job, "", "busy")

    def _quiet(self) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while self._live.total() > self._most:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    async def _decide(self, job: _Job) -> str:
        use_wide_executor()
        plan = Plan({**job.answer.plan.versions, job.model: job.version})
        release, labels = self._router.parts(plan)
        call = Recorder(self._call, job.answer.answers)
        deadline = time.monotonic() + self._deadline_s
        try:
            result = await moderate(job.item, Run(call, release, labels, deadline, lambda: False, job.subject))
        except ModerationError:
            return ERROR
        return ERROR if stage_of(job.model) in result["unknown"] else str(result["decision"])

    def _tell(self, job: _Job, decision: str, dropped: str | None) -> None:
        live: Any = job.answer.result["decision"]
        self._seen(Seen(job.model, job.version, job.request_id, str(live), decision, dropped))
