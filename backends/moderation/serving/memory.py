"""What a request held is free soon after it, also when it failed.

The error of a branch of the pipeline and the frames that it went through refer to each other, and these frames hold
pixels, which lie in shared memory. Only Python's cycle collector frees them, and it looks at everything rarely: the
more objects have lived long, the rarer. Those of the start are taken out of its sight, which makes a look cheap
(measured: below 0.1 ms instead of 12), and then it looks once a second.
"""

from __future__ import annotations

import gc
import resource
import time
from pathlib import Path
from typing import Final

EVERY_S: Final = 1.0
DECODER_BYTES: Final = 2 << 30
"""What decoding may take on top of a process: three times the largest picture that is accepted, with its copies."""


def confine(extra: int) -> None:
    """Refuse this process more memory from now on, so that a decoder that wants it fails and not the machine.

    Shared memory does not count.

    Args:
        extra: bytes on top of what it has.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    bound = int(status["VmData"].split()[0]) * 1024 + extra
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


class Sweeper:
    """Frees what requests left, at most once in `EVERY_S`; made at the end of a backend's `initialize`."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        self._last = time.monotonic()

    def sweep(self) -> None:
        """Called after requests, once their frames are gone."""
        now = time.monotonic()
        if now - self._last >= EVERY_S:
            self._last = now
            gc.collect()
