"""Who gets in: the rules over the shared table."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from moderation.errors import OverloadError
from moderation.limits.settings import SHARES, Limits, Tenant
from moderation.limits.table import Table

_EPSILON: Final = 1e-9


class Admission:
    """Quotas of all tenants, over all processes.

    Args:
        tenants: by name.
        limits: what they share.
        folder: where the table lies; the same for every process of one server.

    Raises:
        ConfigError: the table cannot be used.
    """

    def __init__(self, tenants: Mapping[str, Tenant], limits: Limits, folder: Path) -> None:
        self._limits = limits
        self._tenants = dict(tenants)
        self._index = {name: number for number, name in enumerate(sorted(tenants))}
        # other tenants, other table: instances of a reload count apart from those that they replace
        digest = hashlib.sha256("\0".join(sorted(tenants)).encode()).hexdigest()[:12]
        self._table = Table(folder / f"quotas-{digest}", len(self._index))

    def enter(self, name: str, images: int) -> Callable[[], None]:
        """Let a request in.

        Args:
            name: of an entry of `tenants`.
            images: in the request.

        Returns:
            What to call when it is done.

        Raises:
            OverloadError: reason `capacity`, `concurrency` or `rate`; nothing is counted then.
        """
        tenant, index = self._tenants[name], self._index[name]

        def checks(all_in_work: int, own: int, level: float, age: float) -> None:
            self._room(tenant, all_in_work, images)
            _concurrency(tenant, own, images)
            if tenant.images_per_second is not None:
                self._table.fill(index, draw(tenant.bucket, tenant.images_per_second, level, age, images))

        crowd = self._table.enter(index, images, checks)
        started = time.monotonic()

        def leave() -> None:
            shared = max(crowd, self._table.in_work())
            self._table.leave(index, images, (time.monotonic() - started) / shared)

        return leave

    def in_work(self) -> int:
        """Images in work now, over all tenants and processes."""
        return self._table.in_work()

    def _room(self, tenant: Tenant, in_work: int, images: int) -> None:
        share = SHARES[tenant.priority]
        room = int(self._limits.capacity * share)
        if in_work + images > room:
            raise OverloadError(
                f"the server is full for priority `{tenant.priority}` ({room} images at a time); try again later",
                reason="capacity",
            )
        wait = in_work * self._table.cost
        if wait > self._limits.max_wait_s * share:
            raise OverloadError(
                f"the server is busy: {in_work} images are in work, about {wait:.1f} s; priority `{tenant.priority}` "
                f"waits {self._limits.max_wait_s * share:.1f} s at most. Try again later",
                reason="capacity",
            )


def _concurrency(tenant: Tenant, own: int, images: int) -> None:
    if tenant.concurrency is not None and own + images > tenant.concurrency:
        raise OverloadError(
            f"{own} images of this tenant are in work and {images} more asked for; the quota is "
            f"{tenant.concurrency} at a time. Wait for answers",
            reason="concurrency",
        )


def draw(size: float, rate: float, level: float, age: float, images: int) -> float:
    """Level of a token bucket after taking images out of it.

    Args:
        size: tokens it holds when full.
        rate: tokens a second that flow in.
        level: when it was last written; below 0: never, so it is full.
        age: seconds since.
        images: tokens to take.

    Raises:
        OverloadError: reason `rate`; too few are in it.
    """
    now = size if level < 0 else min(size, level + age * rate)
    if now + _EPSILON < images:
        if images > size:
            hint = f"a request of this tenant may have {int(size)} images at most"
        else:
            hint = f"try again in {(images - now) / rate:.1f} s"
        raise OverloadError(f"the quota of {rate:g} images a second is used up; {hint}", reason="rate")
    return max(0.0, now - images)
