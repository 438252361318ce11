"""Reading bodies again, and taking them away when a person asks for it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderation.audit import segments
from moderation.audit.keys import Seal
from moderation.audit.log import Log
from moderation.audit.record import Record, canonical
from moderation.errors import AuditError, ConfigError


@dataclass(frozen=True)
class Erased:
    """What an erasure did."""

    records: int
    segments: int


def opened(record: Record, seal: Seal | None) -> Mapping[str, Any] | None:
    """Body of a decision; None when it was erased.

    Raises:
        ConfigError: it is sealed and no key is given, or the wrong one.
    """
    if record.body is None:
        return None
    if isinstance(record.body, str):
        if seal is None:
            raise ConfigError("the log is sealed; give its key with --encryption-key")
        body: Mapping[str, Any] = json.loads(seal.open(record.body))
        return body
    found: Mapping[str, Any] = record.body
    return found


def decisions(folder: Path, seal: Seal | None) -> Iterator[tuple[Record, Mapping[str, Any]]]:
    """Decisions of a log with their bodies, oldest first; erased ones are left out.

    Raises:
        InputError: a line is no record.
        ConfigError: see `opened`.
    """
    for number in segments.numbers(folder):
        for record in segments.records(segments.path_of(folder, number)):
            if record.kind == "decision" and (body := opened(record, seal)) is not None:
                yield record, body


def erase(log: Log, seal: Seal | None, matches: Callable[[Mapping[str, Any]], bool]) -> Erased:
    """Take away the bodies of matching decisions, in a log that may be written at the same time.

    The open segment is closed first; closed ones nobody writes to. Each is replaced as a whole, so a crash leaves it as
    it was or done. The erasure itself goes on record before the first body goes, with a number and no name.

    Raises:
        AuditError: another erasure is at work, or the disk does not take it.
        ConfigError: see `opened`.
    """
    descriptor = os.open(log.folder / "erase.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AuditError("another erasure is at work on this log") from None
        closed = log.rotate()
        found = {
            number: hits
            for number in segments.numbers(log.folder)
            if number < closed and (hits := _matching(segments.path_of(log.folder, number), seal, matches))
        }
        total = sum(len(hits) for hits in found.values())
        if total:
            _, segment, size = log.append([("erasure", {"records": total, "segments": sorted(found)})])
            log.sync(segment, size)
        for number, hits in found.items():
            _rewrite(segments.path_of(log.folder, number), hits)
        return Erased(total, len(found))
    finally:
        os.close(descriptor)


def _matching(path: Path, seal: Seal | None, matches: Callable[[Mapping[str, Any]], bool]) -> set[int]:
    return {
        record.seq
        for record in segments.records(path)
        if record.kind == "decision" and (body := opened(record, seal)) is not None and matches(body)
    }


def _rewrite(path: Path, seqs: set[int]) -> None:
    temporary = path.with_suffix(".tmp")
    stat = path.stat()
    with temporary.open("wb") as file:
        for record in segments.records(path):
            file.write((record.without_body() if record.seq in seqs else record).line())
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # retention counts from the last record
    temporary.replace(path)


def export_line(record: Record, body: Mapping[str, Any]) -> str:
    """A decision as one line of JSON for other programs: the body with its place in the chain."""
    return canonical({"seq": record.seq, "time": record.time, "hash": record.hash, **body}).decode()
