"""Who sees which version: weighted rendezvous hashing.

Each version draws a number for each caller, the same whenever it is asked, and the smallest number divided by its
weight wins. Raising a version's weight can only bring callers to it: whoever saw it goes on to see it. The draw has the
version in it, so that the callers who see one release first are not always the same. (Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", 1998; with weights: Schindelhauer and Schomaker, 2005.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Final

_BITS: Final = 53
"""What a float holds without rounding."""


def position(salt: str, key: str) -> float:
    """A number in (0, 1), uniform over keys, independent for different salts."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / (1 << _BITS)


def choose(weights: Mapping[int, float], salt: str, key: str) -> int:
    """A version, with a chance in proportion to its weight.

    Args:
        weights: by version, 0 or more, one of them above 0.
        salt: another salt deals every key anew.
        key: the caller; the same key gets the same version as long as the weights stay.
    """
    alive = [version for version, weight in weights.items() if weight > 0]
    if len(alive) == 1:
        return alive[0]
    return min(alive, key=lambda version: (-math.log(position(f"{salt}\0{version}", key)) / weights[version], version))
