"""The limit: the pipeline's own work in bare processes, one per core, with nothing around it.

    python tests/bench/compare/bare.py      # started by the benchmark; reads pictures from standard input

Protocol: a length (4 bytes, little-endian) and a picture; the answer is a length and RESULT as JSON, with `cpu_s`, the
CPU seconds of the stages that every server of these networks has to do: decoding, networks, reading of text.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.compare.local import Local
from moderation import contract
from moderation.launcher.run import REPOSITORY


def read_block(stream: IO[bytes]) -> bytes | None:
    """One block, or None at the end."""
    head = stream.read(4)
    return stream.read(struct.unpack("<I", head)[0]) if len(head) == 4 else None


def write_block(stream: IO[bytes], data: bytes) -> None:
    stream.write(struct.pack("<I", len(data)) + data)
    stream.flush()


def main() -> None:
    """Answer until the input ends."""
    with tempfile.TemporaryDirectory() as folder:
        local = Local(REPOSITORY, Path(folder))
        write_block(sys.stdout.buffer, b"ready")
        while (picture := read_block(sys.stdin.buffer)) is not None:
            local.cpu.clear()
            result = local.moderate(picture)
            cpu = sum(seconds for stage, seconds in local.cpu.items() if stage != contract.DECISION_LOGIC)
            write_block(sys.stdout.buffer, json.dumps({**result, "cpu_s": cpu}).encode())


if __name__ == "__main__":
    main()
