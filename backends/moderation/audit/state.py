"""The end of the chain, shared by all writing processes: a page of mapped memory beside the segments."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Final

_SIZE: Final = 4096
_FORMAT: Final = struct.Struct("<8s36s qqqqqq d 32s")
_CHECK: Final = struct.Struct("<L")
_MAGIC: Final = b"audit-1\0"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class State:
    """Where the chain ends. Read and written under the log's lock only.

    Attributes:
        segment: number of the open segment, 0 before the first.
        size: bytes of it that hold complete records.
        synced: bytes of it that are on disk.
        seq: of the last record.
        since_checkpoint: records after the last signature.
        begun: when the open segment was begun, Unix seconds.
        offset: wall clock minus boot clock at the last record; a change is a jump of the wall clock.
        head: hash of the last record.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < _SIZE:
                os.ftruncate(descriptor, _SIZE)
            self._memory = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        self._boot = _BOOT.read_bytes()[:36]
        self.read()

    def read(self) -> None:
        """Take over what another process wrote."""
        raw = self._memory[: _FORMAT.size]
        (check,) = _CHECK.unpack_from(self._memory, _FORMAT.size)
        magic, boot, *numbers, offset, head = _FORMAT.unpack(raw)
        self.valid = magic == _MAGIC and boot == self._boot and check == zlib.crc32(raw)
        self.segment, self.size, self.synced, self.seq, self.since_checkpoint, self.begun = numbers
        self.offset, self.head = offset, head.hex()

    def write(self) -> None:
        """Show it to the others. A process that dies in the middle leaves a wrong checksum, and the files are read."""
        numbers = (self.segment, self.size, self.synced, self.seq, self.since_checkpoint, self.begun)
        packed = _FORMAT.pack(_MAGIC, self._boot, *numbers, self.offset, bytes.fromhex(self.head))
        packed += _CHECK.pack(zlib.crc32(packed))
        self._memory[: len(packed)] = packed
        self.valid = True
