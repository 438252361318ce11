"""The `tenants` and `limits` sections of security.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from moderation.access.principal import ANYBODY
from moderation.access.settings import Strict

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Profile = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
SHARES: Final[Mapping[str, float]] = {"low": 0.6, "normal": 0.85, "high": 1.0}
"""Share of `capacity` up to which each priority gets in: the last places are kept for those who matter most."""


class Tenant(Strict):
    """What one tenant gets; what is not given is not limited beyond the models' own limits.

    Attributes:
        profile: policy profile where a request names none.
        profiles: further profiles that its requests may name; empty: every one, unless `profile` is given.
        priority: who gets in when the server fills up.
        images_per_second: lasting rate; needs no `burst`, which is then one second's worth.
        burst: images at once after a pause.
        concurrency: images in work at a time.
        max_images: in one request.
        max_bytes, max_pixels, max_frames: of one image; only narrower than the preprocessor's own.
        deadline_ms: longest time of a request; only shorter than the model's own.
    """

    profile: Profile | None = None
    profiles: tuple[Profile, ...] = ()
    priority: Literal["low", "normal", "high"] = "normal"
    images_per_second: Positive | None = None
    burst: Count | None = None
    concurrency: Count | None = None
    max_images: Count | None = None
    max_bytes: Count | None = None
    max_pixels: Count | None = None
    max_frames: Count | None = None
    deadline_ms: Positive | None = None

    def image_limits(self) -> dict[str, str]:
        """Parameters for the preprocessor."""
        named = {name: getattr(self, name) for name in ("max_bytes", "max_pixels", "max_frames")}
        return {name: str(value) for name, value in named.items() if value is not None}

    @property
    def bucket(self) -> float:
        """Images that the token bucket holds when full; 0 without a rate."""
        if self.images_per_second is None:
            return 0.0
        return float(self.burst or max(1.0, self.images_per_second))


class Limits(Strict):
    """What all tenants share.

    Attributes:
        capacity: images in work at a time over all instances; beyond their share of it, tenants are refused at once.
        max_wait_s: the same for the time that the images in work will still take, by what images took lately. Below the
            usual deadline of 10 s: what waits longer would be answered too late.
    """

    capacity: Annotated[int, Field(ge=1, le=100_000)] = 64
    max_wait_s: Positive = 8.0


Tenants = dict[str, Tenant]


def tenant_of(tenants: Mapping[str, Tenant], name: str) -> str | None:
    """The entry that counts for a tenant: its own, else the one for anybody, else none."""
    return name if name in tenants else ANYBODY if ANYBODY in tenants else None
