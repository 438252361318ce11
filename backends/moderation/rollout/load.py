"""How many items a server is at work on, counted over all instances of the entry model, which are processes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

SLOTS: Final = 1024
"""Instances that are told apart; those of one version and of the next each have their own."""


class LiveItems:
    """Items in work now. Each instance writes its own number and reads all of them; no lock is needed.

    Args:
        path: file that the instances share, made where it is not there.
        slot: of this instance; what a dead one left in it is forgotten.
    """

    def __init__(self, path: Path, slot: int) -> None:
        self.path = path
        with path.open("a+b") as file:
            os.posix_fallocate(file.fileno(), 0, SLOTS * 4)  # a hole that finds no room later is a SIGBUS
            self._counts = np.frombuffer(mmap.mmap(file.fileno(), SLOTS * 4), np.uint32)
        self._slot = slot % SLOTS
        self._counts[self._slot] = 0

    def __enter__(self) -> LiveItems:
        """One item more."""
        self._counts[self._slot] += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """One item less."""
        self._counts[self._slot] -= 1

    def total(self) -> int:
        """Items in work over all instances."""
        return int(self._counts.sum())

    def remove(self) -> None:
        """Take the file away: this instance ends. Others keep what they have open."""
        self.path.unlink(missing_ok=True)
