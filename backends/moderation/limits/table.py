"""The counters that all processes of the entry model share: one small file in memory.

Every instance of the entry model is a process of its own. A quota must hold over all of them, so the counters lie in a
mapped file under a file lock: 10 to 20 µs for a request, where asking a model of one instance would take a BLS hop of
400 to 1,000 µs (tests/bench/guard.py). A process that dies leaves its images counted; they are taken off once somebody
would be refused because of them.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from moderation.errors import ConfigError, OverloadError
from moderation.limits.lock import FileLock

ROWS: Final = 128
"""Processes that can count at a time; two versions with 32 instances each are half of it."""
WAIT_S: Final = 0.1
"""Longest wait for the table. It is held for microseconds; longer means that its holder is stopped."""
_CELL: Final = 8
_NEWEST: Final = 0.1
"""Weight of the newest measurement in the mean cost of an image."""


class Table:
    """Images in work and token buckets of each tenant.

    Args:
        path: of the file; made when it is not there. One set of tenants, one path.
        tenants: how many.
        clock: seconds, the same in all processes.

    Raises:
        ConfigError: the file cannot be made, or all rows are taken.
    """

    def __init__(self, path: Path, tenants: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tenants = tenants
        floats = 2 * tenants + 1
        integers = (tenants + 1) + ROWS * (2 + tenants)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._lock = FileLock(self._descriptor, WAIT_S)
            with self._lock:
                size = (floats + integers) * _CELL
                if os.fstat(self._descriptor).st_size < size:
                    os.posix_fallocate(self._descriptor, 0, size)  # a hole that finds no room later is a SIGBUS
                memory = memoryview(mmap.mmap(self._descriptor, size))
        except (OSError, TimeoutError) as error:
            raise ConfigError(f"the table of quotas {path} cannot be used: {error}") from None
        self._floats = memory[: floats * _CELL].cast("d")
        self._integers = memory[floats * _CELL :].cast("q")
        self._debt: list[tuple[int, int, float]] = []
        with self._lock:
            self._row = self._claim(path)

    def enter(self, tenant: int, images: int, checks: Callable[[int, int, float, float], None]) -> int:
        """Count images as being in work, if the checks let them in.

        Args:
            tenant: index.
            images: how many.
            checks: called with (in work of all, in work of the tenant, bucket level or -1 when never used, seconds
                since it was written); raises OverloadError to refuse. Nothing changes then.

        Returns:
            Images in work then, these included.

        Raises:
            OverloadError: refused, or the table is held by a process that is stopped.
        """
        try:
            with self._lock:
                self._settle()
                try:
                    self._ask(tenant, checks)
                except OverloadError:
                    if not self._reap():
                        raise
                    self._ask(tenant, checks)
                self._add(self._row, tenant, images)
                return int(self._integers[self._tenants])
        except TimeoutError:
            raise OverloadError(
                "the table of quotas is held by a process that is stopped; try again", reason="table"
            ) from None

    def _ask(self, tenant: int, checks: Callable[[int, int, float, float], None]) -> None:
        stamp = self._floats[2 * tenant + 1]
        age = max(0.0, self._clock() - stamp)
        level = self._floats[2 * tenant] if stamp else -1.0
        checks(self._integers[self._tenants], self._integers[tenant], level, age)

    def fill(self, tenant: int, level: float) -> None:
        """Write the level of a bucket; only inside `checks`."""
        self._floats[2 * tenant] = level
        self._floats[2 * tenant + 1] = self._clock()

    @property
    def cost(self) -> float:
        """Seconds of the server that an image takes lately: a request's time by the images that shared it."""
        return float(self._floats[2 * self._tenants])

    def leave(self, tenant: int, images: int, cost: float) -> None:
        """Take images off and note what they cost; when the table cannot be had, it is done with the next call."""
        self._debt.append((tenant, images, cost))
        try:
            with self._lock:
                self._settle()
        except TimeoutError:
            return

    def in_work(self, tenant: int | None = None) -> int:
        """Images of a tenant, or of all, that are counted now."""
        return int(self._integers[self._tenants if tenant is None else tenant])

    def _settle(self) -> None:
        while self._debt:
            tenant, images, cost = self._debt.pop()
            self._add(self._row, tenant, -images)
            known = self.cost
            self._floats[2 * self._tenants] = cost if not known else known + _NEWEST * (cost - known)

    def _start(self, row: int) -> int:
        return self._tenants + 1 + row * (2 + self._tenants)

    def _add(self, row: int, tenant: int, images: int) -> None:
        self._integers[self._start(row) + 2 + tenant] += images
        self._integers[tenant] += images
        self._integers[self._tenants] += images

    def _claim(self, path: Path) -> int:
        self._reap()
        for row in range(ROWS):
            start = self._start(row)
            if self._integers[start] == 0:
                self._integers[start] = os.getpid()
                self._integers[start + 1] = _started(os.getpid())
                return row
        raise ConfigError(f"{path}: {ROWS} processes use this table already; start fewer instances")

    def _reap(self) -> bool:
        """Take off what dead processes left; whether there was any."""
        found = False
        for row in range(ROWS):
            start = self._start(row)
            pid = self._integers[start]
            if pid == 0 or _started(pid) == self._integers[start + 1]:
                continue
            for tenant in range(self._tenants):
                if left := self._integers[start + 2 + tenant]:
                    self._add(row, tenant, -left)
                    found = True
            self._integers[start] = 0
        return found


def _started(pid: int) -> int:
    """When a living process was started, in clock ticks after boot; 0 when there is none. Tells reused ids apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in ("Z", "X") else int(fields[19])
