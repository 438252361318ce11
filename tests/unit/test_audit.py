"""The audit log: a chain that many processes write, that no crash breaks and no change escapes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.access.principal import Principal
from moderation.audit import log as log_module
from moderation.audit import segments
from moderation.audit.decision import decision
from moderation.audit.erase import decisions, erase
from moderation.audit.keys import PUBLIC, SIGNING, Seal
from moderation.audit.log import Log
from moderation.audit.record import parse
from moderation.audit.settings import Audit
from moderation.audit.verify import Report, verify
from moderation.audit.writer import Writer
from moderation.errors import AuditError, ConfigError

SPAWN = multiprocessing.get_context("spawn")
RESULT: dict[str, Any] = {
    "decision": "block",
    "severity": 6,
    "reasons": [{"rule": "threats", "action": "block", "severity": 6, "triggered_by": "ocr_text", "message": "secret"}],
    "text": [{"text": "what the picture says"}],
    "image": {"sha256": "a" * 64, "pdq": "b" * 64, "format": "jpeg", "width": 4, "height": 3, "bytes": 9},
    "versions": {"ocr-engine": "1"},
    "unknown": [],
}


def opened(folder: Path, **more: Any) -> Log:
    return Log(Audit(**{"mode": "required", "folder": folder / "log", "checkpoint_records": 10, **more}))


def body(subject: str = "user-1") -> dict[str, Any]:
    return decision(Principal("acme", "client", "issuer"), subject, "id", RESULT, 12.34)


def add(log: Log, count: int = 1, subject: str = "user-1") -> None:
    for _ in range(count):
        _, segment, size = log.append([("decision", body(subject))])
    log.sync(segment, size)


def checked(folder: Path, receipts: dict[int, str] | None = None) -> Report:
    return verify(folder / "log", folder / "log" / PUBLIC, receipts)


def newest(folder: Path) -> Path:
    return segments.path_of(folder / "log", segments.numbers(folder / "log")[-1])


def test_a_log_verifies_and_is_signed(tmp_path: Path) -> None:
    """Promise: records hang together, and every so many of them a signature covers all before it."""
    log = opened(tmp_path)
    add(log, 25)
    log.close()
    report = checked(tmp_path)
    assert (report.faults, report.decisions, report.signed) == ([], 25, report.last)


def test_a_record_says_who_what_and_why_and_shows_no_content(tmp_path: Path) -> None:
    """Promise: caller, digests, decision, rules, versions and time are there; text and picture are not."""
    add(opened(tmp_path))
    ((record, found),) = decisions(tmp_path / "log", None)
    assert found["reasons"] == [{"rule": "threats", "action": "block", "severity": 6, "triggered_by": "ocr_text"}]
    assert (found["tenant"], found["client"], found["subject"], found["latency_ms"]) == (
        "acme",
        "client",
        "user-1",
        12.3,
    )
    assert record.time.endswith("Z")
    raw = newest(tmp_path).read_text()
    assert "what the picture says" not in raw
    assert '"message"' not in raw


def test_files_are_private(tmp_path: Path) -> None:
    """Promise: nobody but the server's user reads the log or the key."""
    add(opened(tmp_path))
    for path in (newest(tmp_path), tmp_path / "log" / SIGNING):
        assert path.stat().st_mode & 0o077 == 0


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _write(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(_lines(path))))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [*rows[:5], rows[5].replace(b"block", b"allow"), *rows[6:]], "its body was changed"),
        (lambda rows: [*rows[:5], *rows[6:]], "records are missing"),
        (lambda rows: [*rows[:5], rows[6], rows[5], *rows[7:]], "out of order"),
        (lambda rows: [*rows[:5], rows[5], *rows[5:]], "out of order"),
        (lambda rows: [*rows[:5], b"{}\n", *rows[6:]], "is not a record"),
        (lambda rows: [*rows[:5], rows[5][:40]], "torn"),
        (lambda rows: rows[1:], "does not sign what was before it"),
        (lambda rows: [*rows[:-1], _forged(rows[-1])], "not that of the key"),
        (lambda rows: [*rows[:5], _emptied(rows[5]), *rows[6:]], "1 bodies are gone and erasure records name 0"),
    ],
    ids=["changed", "removed", "exchanged", "repeated", "garbage", "torn", "first removed", "forged", "emptied"],
)
def test_changes_are_found(tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], sentence: str) -> None:
    """Promise: whatever is done to the files, `verify` says where and what."""
    log = opened(tmp_path)
    add(log, 15)
    log.close()
    _write(newest(tmp_path), change)
    assert any(sentence in fault for fault in checked(tmp_path).faults), checked(tmp_path).faults


def _forged(line: bytes) -> bytes:
    from moderation.audit.record import make

    record = parse(line)
    return make(record.seq, record.time, "checkpoint", {**record.body, "signature": "00" * 64}, record.prev).line()


def _emptied(line: bytes) -> bytes:
    return parse(line).without_body().line()


def test_a_cut_end_is_found_with_a_receipt(tmp_path: Path) -> None:
    """Promise: a log cut off behind its last signature is whole by itself; a receipt from outside finds it."""
    log = opened(tmp_path)
    add(log, 9)
    added, _, _ = log.append([("decision", body())])
    receipt = {added[0].seq: added[0].hash}
    _write(newest(tmp_path), lambda rows: rows[:8])
    assert checked(tmp_path).faults == []
    assert "the end was cut off" in checked(tmp_path, receipt).faults[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_escapes(tmp_path: Path, data: st.DataObject) -> None:
    """Promise: one bit changed anywhere in the log is found."""
    folder = tmp_path / str(time.monotonic_ns())
    log = opened(folder)
    add(log, 3)
    log.close()
    path = newest(folder)
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 6))
    path.write_bytes(raw)
    assert checked(folder).faults, (place, bytes(raw))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=50), min_size=1, max_size=4))
def test_any_text_stays_inside_its_field(tmp_path: Path, texts: list[str]) -> None:
    """Promise: newlines, control characters and quotes of a caller forge nothing: one line each, ASCII only."""
    folder = tmp_path / str(time.monotonic_ns())
    log = opened(folder)
    for text in texts:
        log.append([("decision", body(text))])
    rows = _lines(newest(folder))
    assert len(rows) == 1 + len(texts)
    assert all(31 < byte < 127 for row in rows for byte in row[:-1])
    assert [found["subject"] for _, found in decisions(folder / "log", None)] == texts


def write(folder: Path, count: int) -> None:
    log = opened(folder, segment_mb=0.02)
    for number in range(count):
        _, segment, size = log.append([("decision", body(f"user-{number}"))])
        if number % 10 == 0:
            log.sync(segment, size)


def test_processes_write_one_chain(tmp_path: Path) -> None:
    """Promise: four processes at once, over many segments: one chain, nothing lost."""
    opened(tmp_path, segment_mb=0.02).close()
    processes = [SPAWN.Process(target=write, args=(tmp_path, 100)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    report = checked(tmp_path)
    assert (report.faults, report.decisions) == ([], 400)
    assert report.segments > 5


def write_for_ever(folder: Path, ready: Any) -> None:
    log = opened(folder, segment_mb=0.01)
    while True:
        log.append([("decision", body())] * 7)
        ready.set()


def test_killed_writers_break_nothing(tmp_path: Path) -> None:
    """Promise: kill -9 in the middle of writing, again and again: the chain goes on and verifies."""
    for _ in range(6):
        ready = SPAWN.Event()
        processes = [SPAWN.Process(target=write_for_ever, args=(tmp_path, ready)) for _ in range(2)]
        for process in processes:
            process.start()
        assert ready.wait(60)
        time.sleep(0.05)
        for process in processes:
            process.kill()
            process.join(10)
        add(opened(tmp_path, segment_mb=0.01))
    report = checked(tmp_path)
    assert report.faults == []
    assert report.decisions > 6


def test_a_torn_line_is_cut_after_a_crash(tmp_path: Path) -> None:
    """Promise: what a power failure leaves of the last line goes; whole lines are kept and counted on."""
    log = opened(tmp_path)
    add(log, 3)
    log.close()
    with newest(tmp_path).open("ab") as file:
        file.write(b'{"body":{"half')
    (tmp_path / "log" / "state").unlink()  # as after a restart of the machine
    add(opened(tmp_path))
    report = checked(tmp_path)
    assert (report.faults, report.decisions) == ([], 4)


def test_a_stopped_writer_holds_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: a process stopped while it has the lock means an error in words after a bounded wait."""
    monkeypatch.setattr(log_module, "LOCK_S", 0.2)
    log = opened(tmp_path)
    ready = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(AuditError, match="held by another process"):
        add(log)
    process.kill()
    process.join(10)
    add(log)


def hold(folder: Path, ready: Any) -> None:
    log = opened(folder)
    with log._append_lock:
        ready.set()
        time.sleep(60)


def test_a_full_disk_is_an_error_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: when the disk takes no more, the caller hears it, the file is as before, and it goes on with room."""
    log = opened(tmp_path)
    add(log)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 100:
            return real(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    before = newest(tmp_path).read_bytes()
    monkeypatch.setattr(os, "write", lambda d, data: full(d, data) if data[:1] == b"{" else _no_space())
    with pytest.raises(AuditError, match="No space left"):
        add(log)
    monkeypatch.undo()
    assert newest(tmp_path).read_bytes() == before
    add(log)
    assert checked(tmp_path).faults == []


def _no_space() -> int:
    raise OSError(28, "No space left on device")


def test_a_jump_of_the_clock_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: a wall clock that is set back or forth leaves a record with its step; order is that of `seq`."""
    log = opened(tmp_path)
    add(log)
    real = time.time
    for step in (-7200.0, 86400.0):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        add(log)
    monkeypatch.undo()
    paths = [segments.path_of(tmp_path / "log", number) for number in segments.numbers(tmp_path / "log")]
    found = [json.loads(row) for path in paths for row in _lines(path)]
    steps = [row["body"]["jump_s"] for row in found if row["kind"] == "clock"]
    assert steps == pytest.approx([-7200, 7200 + 86400], abs=1)
    assert checked(tmp_path).clock_jumps == 2


def test_segments_rotate_and_expire(tmp_path: Path) -> None:
    """Promise: a full segment is followed by the next; old ones go after the retention time, and it verifies."""
    log = opened(tmp_path, segment_mb=0.01, retention_days=1)
    add(log, 60)
    numbers = segments.numbers(tmp_path / "log")
    assert len(numbers) > 3
    for number in numbers[:2]:
        os.utime(segments.path_of(tmp_path / "log", number), (time.time() - 2 * 86400,) * 2)
    log.rotate()
    assert segments.numbers(tmp_path / "log")[0] == numbers[2]
    report = checked(tmp_path)
    assert report.faults == []
    assert report.first > 1


def test_a_person_is_forgotten_and_the_chain_stays(tmp_path: Path) -> None:
    """Promise: after an erasure no trace of the person is left, others are untouched, and every link verifies."""
    log = opened(tmp_path, segment_mb=0.01)
    for number in range(30):
        add(log, 1, "jane" if number % 3 == 0 else "john")
    done = erase(log, None, lambda found: found["subject"] == "jane")
    add(log, 2, "john")
    assert done.records == 10
    assert b"jane" not in b"".join(p.read_bytes() for p in (tmp_path / "log").iterdir())
    assert [found["subject"] for _, found in decisions(tmp_path / "log", None)] == ["john"] * 22
    report = checked(tmp_path)
    assert (report.faults, report.erased, report.decisions) == ([], 10, 32)


def test_a_sealed_log_shows_nothing_without_its_key(tmp_path: Path) -> None:
    """Promise: with an encryption key bodies are unreadable, verify without it, and open and purge with it."""
    from base64 import b64encode

    (tmp_path / "key").write_bytes(b64encode(os.urandom(32)))
    (tmp_path / "other").write_bytes(b64encode(os.urandom(32)))
    log = opened(tmp_path, encryption_key=tmp_path / "key")
    add(log, 3, "jane")
    assert b"jane" not in newest(tmp_path).read_bytes()
    assert b"acme" not in newest(tmp_path).read_bytes()
    assert checked(tmp_path).faults == []
    with pytest.raises(ConfigError, match="sealed"):
        list(decisions(tmp_path / "log", None))
    with pytest.raises(ConfigError, match="another key"):
        list(decisions(tmp_path / "log", Seal(tmp_path / "other")))
    seal = Seal(tmp_path / "key")
    assert [found["subject"] for _, found in decisions(tmp_path / "log", seal)] == ["jane"] * 3
    assert erase(log, seal, lambda found: found["subject"] == "jane").records == 3
    assert list(decisions(tmp_path / "log", seal)) == []
    assert checked(tmp_path).faults == []


def test_the_writer_gathers_and_waits_for_the_disk(tmp_path: Path) -> None:
    """Promise: a record's future is done once it is on disk; many at once share flushes (group commit)."""
    log = opened(tmp_path)
    flushes = 0
    real = log.sync

    def counted(segment: int, size: int) -> None:
        nonlocal flushes
        flushes += 1
        real(segment, size)

    log.sync = counted  # type: ignore[method-assign]
    writer = Writer(log, durable=True)
    waits = [writer.put(body(f"user-{n}")) for n in range(300)]
    records = [wait.result(30) for wait in waits]
    writer.close()
    assert [r.seq for r in records] == sorted(r.seq for r in records)
    assert flushes < 150
    assert checked(tmp_path).decisions == 300


def test_losses_are_counted_and_the_chain_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise: what the disk did not take is counted, its callers hear it, and the next record follows a `loss`."""
    log = opened(tmp_path)
    writer = Writer(log, durable=False)
    writer.put(body()).result(30)
    monkeypatch.setattr(log_module.Log, "_write", lambda *_: _no_space())
    with pytest.raises(AuditError, match="No space left"):
        writer.put(body()).result(30)
    assert (writer.take_lost(), writer.take_lost()) == (1, 0)
    monkeypatch.undo()
    writer.put(body()).result(30)
    writer.close()
    report = checked(tmp_path)
    assert (report.faults, report.decisions, report.lost) == ([], 2, 1)


def test_what_cannot_be_used_is_said_at_start(tmp_path: Path) -> None:
    """Promise: a folder or key that does not work stops the start with its name."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file"):
        Log(Audit(mode="required", folder=tmp_path / "file"))
    with pytest.raises(ConfigError, match="signing key"):
        opened(tmp_path, signing_key=tmp_path / "file")
    with pytest.raises(ConfigError, match="AES-256 needs 32"):
        opened(tmp_path, encryption_key=tmp_path / "file")
