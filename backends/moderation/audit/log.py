"""Appends to the chain, from any number of processes.

Two file locks: `append` is held for a write, `sync` for a flush to disk. While one process flushes, others append; the
next flush then covers all of them at once (group commit). A kernel lock dies with its holder, so a process that is
killed at any point leaves a chain that goes on: a torn last line is cut, and whole lines that nobody had counted yet
are taken over.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from moderation.audit import segments
from moderation.audit.keys import SIGNING, Seal, Signer
from moderation.audit.record import GENESIS, Kind, Record, canonical, make, signed_text
from moderation.audit.settings import Audit
from moderation.audit.state import State
from moderation.errors import AuditError, ConfigError
from moderation.limits.lock import FileLock

CLOCK_JUMP_S: Final = 2.0
"""A wall clock that moves against the boot clock by more is put on record; adjustments by NTP stay far below."""
LOCK_S: Final = 5.0
"""Longest wait for another process; it writes for less than a millisecond and flushes as long as the disk takes."""


class Log:
    """The log of one folder; used by one thread of a process.

    Args:
        settings: of the log; `folder` is given.

    Raises:
        ConfigError: the folder or a key cannot be used.
    """

    def __init__(self, settings: Audit) -> None:
        if settings.folder is None:
            raise ConfigError("audit.folder is not given")
        self._settings = settings
        self.folder = settings.folder
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._append_lock = FileLock(self._open("append.lock", os.O_RDWR | os.O_CREAT), LOCK_S)
            self._sync_lock = FileLock(self._open("sync.lock", os.O_RDWR | os.O_CREAT), LOCK_S)
            self._state = State(self.folder / "state")
            with self._append_lock:  # one of the processes makes the key
                self._signer = Signer(settings.signing_key or self.folder / SIGNING)
        except (OSError, TimeoutError) as error:
            raise ConfigError(f"audit.folder {self.folder} cannot be used: {error}") from None
        self._seal = Seal(settings.encryption_key) if settings.encryption_key else None
        self._file = -1
        self._number = 0

    def _open(self, name: str, flags: int) -> int:
        return os.open(self.folder / name, flags | os.O_CLOEXEC, 0o600)

    def append(self, entries: Sequence[tuple[Kind, Mapping[str, Any]]]) -> tuple[list[Record], int, int]:
        """Put entries at the end of the chain, all of them or none.

        Returns:
            Their records, and what `sync` needs: segment and size.

        Raises:
            AuditError: they are not in the log.
        """
        try:
            with self._append_lock:
                self._follow()
                self._rotate_if_due()
                added = self._write(entries)
                if self._state.since_checkpoint >= self._settings.checkpoint_records:
                    self._checkpoint("checkpoint")
                return added, self._state.segment, self._state.size
        except TimeoutError:
            raise AuditError("the audit log is held by another process that does not go on") from None
        except OSError as error:
            raise AuditError(f"the audit log cannot be written: {error.strerror}") from None

    def sync(self, segment: int, size: int) -> None:
        """Return once everything up to this place is on disk; one flush serves all who wait.

        Raises:
            AuditError: the disk did not take it.
        """
        try:
            with self._sync_lock:
                with self._append_lock:
                    self._follow()
                    state = self._state
                    if state.segment > segment or state.synced >= size:
                        return  # somebody else's flush covered it
                    target, number = state.size, state.segment
                os.fdatasync(self._file)
                with self._append_lock:
                    self._state.read()
                    if self._state.segment == number:
                        self._state.synced = max(self._state.synced, target)
                        self._state.write()
        except TimeoutError:
            raise AuditError("the audit log is held by another process that does not go on") from None
        except OSError as error:
            raise AuditError(f"the audit log cannot be flushed: {error.strerror}") from None

    def rotate(self) -> int:
        """Close the open segment, so that all others can be rewritten or removed; the number of the new one."""
        with self._append_lock:
            self._follow()
            self._begin_segment()
            return int(self._state.segment)

    def close(self) -> None:
        """Sign what is not signed yet, and close the file."""
        with contextlib.suppress(OSError, TimeoutError, AuditError), self._append_lock:
            self._follow()
            if self._state.since_checkpoint:
                self._checkpoint("checkpoint")
                os.fdatasync(self._file)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # below: under the append lock

    def _follow(self) -> None:
        """Be where the others are: their segment, their end of the chain."""
        state = self._state
        state.read()
        if not state.valid:
            self._recover()
        if state.segment == 0:
            state.head, state.seq, state.offset = GENESIS, 0, _offset()
            self._begin_segment()
        if self._number != state.segment or not self._still_there():
            self._switch(state.segment)
        # begun by a process that died before it counted: the chain goes on in the segment that is counted
        segments.path_of(self.folder, state.segment + 1).unlink(missing_ok=True)
        actual = os.fstat(self._file).st_size
        if actual != state.size:  # a writer died between its write and its count
            self._recover()

    def _still_there(self) -> bool:
        try:
            return os.fstat(self._file).st_nlink > 0
        except OSError:
            return False

    def _switch(self, number: int) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = self._open(segments.path_of(self.folder, number).name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._number = number

    def _recover(self) -> None:
        """Find the end of the chain in the files themselves."""
        state = self._state
        found = segments.numbers(self.folder)
        state.segment, state.size, state.synced, state.seq, state.head = 0, 0, 0, 0, GENESIS
        state.since_checkpoint = 1
        state.begun = int(time.time())
        state.offset = _offset()
        for number in reversed(found):
            last, size = segments.last_sound(segments.path_of(self.folder, number))
            if state.segment == 0:
                state.segment, state.size = number, size
                self._switch(number)
                os.ftruncate(self._file, size)
            if last is not None:
                state.seq, state.head = last.seq, last.hash
                break
        if state.segment:
            os.fdatasync(self._file)
            state.synced = state.size
            state.write()

    def _rotate_if_due(self) -> None:
        state, settings = self._state, self._settings
        old = time.time() - state.begun > settings.segment_hours * 3600
        if state.size >= settings.segment_mb * 1024 * 1024 or (old and state.since_checkpoint):
            self._begin_segment()

    def _begin_segment(self) -> None:
        """A new file, whose first record signs everything before it."""
        state = self._state
        if state.segment and self._number == state.segment:
            os.fdatasync(self._file)
        self._switch(state.segment + 1)
        os.ftruncate(self._file, 0)  # leftovers of a process that died right here were never counted
        state.segment, state.size, state.synced = state.segment + 1, 0, 0
        state.begun = int(time.time())
        self._checkpoint("segment")
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._expire()

    def _checkpoint(self, kind: Kind) -> None:
        state = self._state
        signature = self._signer.sign(signed_text(state.seq, state.head))
        self._write([(kind, {"seq": state.seq, "head": state.head, "signature": signature})])
        state.since_checkpoint = 0
        state.write()

    def _write(self, entries: Sequence[tuple[Kind, Mapping[str, Any]]]) -> list[Record]:
        """Write records with one call; on a fault the file is as before."""
        state = self._state
        seq, head, offset, asked = state.seq, state.head, _offset(), len(entries)
        first = entries[0][0] == "segment"  # nothing comes before it in its file: the next record looks at the clock
        moved = 0.0 if first else offset - state.offset
        if abs(moved) > CLOCK_JUMP_S:
            entries = [("clock", {"jump_s": round(moved, 3)}), *entries]
        added: list[Record] = []
        for kind, body in entries:
            seq += 1
            sealed = self._seal.close(canonical(body)) if self._seal and kind == "decision" else body
            record = make(seq, _now(), kind, sealed, head)
            head = record.hash
            added.append(record)
        data = b"".join(record.line() for record in added)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, state.size)
            raise
        state.size += len(data)
        state.seq, state.head = seq, head
        state.offset = state.offset if first else offset
        state.since_checkpoint += len(added)
        state.write()
        return added[-asked:]

    def _expire(self) -> None:
        """Remove segments older than the retention time; the signed first record of the next one anchors it."""
        days = self._settings.retention_days
        if days is None:
            return
        for number in segments.numbers(self.folder):
            path = segments.path_of(self.folder, number)
            if number >= self._state.segment or time.time() - path.stat().st_mtime < days * 86400:
                return
            path.unlink()


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _offset() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
