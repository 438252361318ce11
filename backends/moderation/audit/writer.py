"""Between the requests of one process and the log: a thread that writes what has gathered."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from moderation.audit.log import Log
from moderation.audit.record import Kind, Record
from moderation.errors import AuditError

WAITING: Final = 10_000
"""Records that wait in memory at most; when the disk takes none for so long, further ones are lost and counted."""
GATHER: Final = 500
"""Records written with one call at most."""
CLOSE_S: Final = 5.0
"""Time at the end of a process for what still waits."""

_Entry = tuple[Mapping[str, Any], "Future[Record]"]


class Writer:
    """Puts decisions on record.

    Args:
        log: of this process; used by the writer's thread only.
        durable: whether a record counts only once it is on disk.
    """

    def __init__(self, log: Log, *, durable: bool) -> None:
        self._log = log
        self._durable = durable
        self._queue: queue.Queue[_Entry | None] = queue.Queue(WAITING)
        self._lost = 0
        self._unreported = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def put(self, body: Mapping[str, Any]) -> Future[Record]:
        """Hand over the body of a decision.

        Returns:
            Its record, once written; an AuditError when it is lost.
        """
        future: Future[Record] = Future()
        future.set_running_or_notify_cancel()  # a caller that stops waiting does not take the record back
        try:
            self._queue.put_nowait((body, future))
        except queue.Full:
            self._lose(1)
            future.set_exception(AuditError(f"{WAITING} audit records wait for the disk; no more are taken"))
        return future

    def take_lost(self) -> int:
        """Records lost since the last call, for the metric."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def _lose(self, number: int) -> None:
        with self._lock:
            self._lost += number
            self._unreported += number

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, more = [first], True
            while more and len(batch) < GATHER:
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
                if entry is None:
                    more = False
                else:
                    batch.append(entry)
            self._commit(batch)
            if not more:
                break

    def _commit(self, batch: list[_Entry]) -> None:
        with self._lock:
            unreported = self._unreported
        entries: list[tuple[Kind, Mapping[str, Any]]] = [("decision", body) for body, _ in batch]
        if unreported:  # the chain itself says that records are missing before this one
            entries.insert(0, ("loss", {"records": unreported}))
        try:
            records, segment, size = self._log.append(entries)
            if self._durable:
                self._log.sync(segment, size)
        except Exception as error:
            self._lose(len(batch))
            known = (
                error if isinstance(error, AuditError) else AuditError(f"the audit log failed: {type(error).__name__}")
            )
            for _, future in batch:
                future.set_exception(known)
            return
        with self._lock:
            self._unreported -= unreported
        for (_, future), record in zip(batch, records[-len(batch) :], strict=True):
            future.set_result(record)

    def close(self) -> None:
        """Write what waits, sign the end and stop."""
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._log.close()
