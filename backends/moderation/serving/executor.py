"""A wide thread pool for BLS calls.

Triton runs `async_exec` in asyncio's default executor, which has `min(32, cores + 4)` threads: on two cores the seventh
concurrent call of an instance would wait for the first.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

THREADS: Final = 64


class _LastingExecutor(ThreadPoolExecutor):
    """Survives the end of an event loop: Triton makes a new loop for every execute call and shuts its executor down."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Keep the threads; they end with the process."""


_EXECUTOR: Final = _LastingExecutor(THREADS, thread_name_prefix="bls")


def use_wide_executor() -> None:
    """Make the running event loop use the wide pool."""
    asyncio.get_running_loop().set_default_executor(_EXECUTOR)
