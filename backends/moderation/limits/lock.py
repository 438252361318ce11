"""A lock between processes that no death can leave locked."""

from __future__ import annotations

import fcntl
import threading
import time
from types import TracebackType
from typing import Final

PAUSE_S: Final = 0.0002


class FileLock:
    """flock on an open file, and a lock between the threads of this process.

    The kernel drops it when its holder dies, so kill -9 hurts nobody. A holder that is stopped (SIGSTOP) keeps it: the
    wait is bounded.

    Args:
        descriptor: of a file opened by this process for this lock alone.
        wait_s: longest wait.

    Raises:
        TimeoutError: on entering, after `wait_s`.
    """

    def __init__(self, descriptor: int, wait_s: float) -> None:
        self._descriptor = descriptor
        self._wait_s = wait_s
        self._threads = threading.Lock()

    def __enter__(self) -> None:
        """Take it."""
        deadline = time.monotonic() + self._wait_s
        if not self._threads.acquire(timeout=self._wait_s):
            raise TimeoutError
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._threads.release()
                    raise TimeoutError from None
                time.sleep(PAUSE_S)
            except BaseException:
                self._threads.release()
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._threads.release()
