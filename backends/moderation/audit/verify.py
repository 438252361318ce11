"""Whether a log is whole: every record sound, every link in place, every signature that of the key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from moderation.audit import segments
from moderation.audit.keys import Verifier
from moderation.audit.record import GENESIS, SIGNED, Record, parse, signed_text
from moderation.errors import InputError

MAX_FAULTS: Final = 20
"""Shown at most: one broken link is enough to mistrust a log."""


@dataclass
class Report:
    """What was found.

    Attributes:
        faults: `file:line: sentence`, the first ones.
        records, decisions, erased, lost, clock_jumps: counted.
        first, last: sequence numbers of the first and last record, 0 in an empty log.
        head: hash of the last record.
        signed: sequence number up to which a signature covers the chain.
    """

    faults: list[str] = field(default_factory=list)
    records: int = 0
    decisions: int = 0
    erased: int = 0
    lost: int = 0
    clock_jumps: int = 0
    first: int = 0
    last: int = 0
    head: str = GENESIS
    signed: int = 0
    segments: int = 0


def verify(folder: Path, public_key: Path, receipts: dict[int, str] | None = None) -> Report:
    """Read the whole log and check it.

    Args:
        folder: of the log.
        public_key: of the key that signs it; keep a copy elsewhere, as whoever rewrites a log exchanges its key.
        receipts: hash by sequence number, as RESULT or an earlier run gave them: finds a log that was cut or rewritten
            together with its key.

    Raises:
        ConfigError: the key cannot be used.
    """
    check = _Check(Verifier(public_key), receipts or {})
    for number in segments.numbers(folder):
        path = segments.path_of(folder, number)
        check.segment(path)
        for line, raw in segments.lines(path):
            check.line(f"{path.name}:{line}", raw)
    return check.end()


class _Check:
    def __init__(self, key: Verifier, receipts: dict[int, str]) -> None:
        self.report = Report()
        self._key = key
        self._receipts = dict(receipts)
        self._declared = 0
        self._fresh = False
        self._number = 0

    def segment(self, path: Path) -> None:
        found = self.report
        if found.segments and int(path.stem) != self._number + 1:
            self._fault(path.name, f"segment {self._number + 1} is missing")
        self._number = int(path.stem)
        found.segments += 1
        self._fresh = True

    def line(self, place: str, raw: bytes) -> None:
        if not raw.endswith(b"\n"):
            self._fault(place, "the line is torn: a crash left it, or it is being written just now")
            return
        try:
            record = parse(raw)
        except InputError as error:
            self._fault(place, error.message)
            return
        say: Callable[[str], None] = lambda text: self._fault(place, text)  # noqa: E731 - bound to the place
        if fault := record.fault():
            say(fault)
        if self._fresh and record.kind != "segment":
            say("the first record of a segment does not sign what was before it")
        self._link(record, say)
        self._count(record, say)
        self._fresh = False

    def _link(self, record: Record, say: Callable[[str], None]) -> None:
        report = self.report
        if report.records == 0:
            report.first = record.seq  # older segments may be gone: the signed first record anchors this one
            if record.seq == 1 and record.prev != GENESIS:
                say("the first record does not start a chain")
        elif record.seq != report.last + 1:
            say(f"seq is {record.seq} after {report.last}: records are missing or out of order")
        elif record.prev != report.head:
            say("it does not hang on the record before it: that one was changed, or records were exchanged")
        wanted = self._receipts.pop(record.seq, None)
        if wanted is not None and wanted != record.hash:
            say("its hash differs from the receipt: the log was rewritten")

    def _count(self, record: Record, say: Callable[[str], None]) -> None:
        report = self.report
        report.records += 1
        report.decisions += record.kind == "decision"
        report.erased += record.erased
        body = record.body if isinstance(record.body, dict) else {}
        if record.kind in SIGNED:
            self._signature(record, body, say)
        elif record.kind == "loss":
            report.lost += _number(body, "records")
        elif record.kind == "clock":
            report.clock_jumps += 1
        elif record.kind == "erasure":
            self._declared += _number(body, "records")
        report.last, report.head = record.seq, record.hash

    def _signature(self, record: Record, body: dict[str, Any], say: Callable[[str], None]) -> None:
        text = signed_text(_number(body, "seq"), str(body.get("head")))
        if not self._key.fits(str(body.get("signature")), text):
            say("its signature is not that of the key")
        elif (body.get("seq"), body.get("head")) != (record.seq - 1, record.prev):
            say("it signs another place of the chain")
        else:
            self.report.signed = record.seq

    def _fault(self, place: str, text: str) -> None:
        if len(self.report.faults) < MAX_FAULTS:
            self.report.faults.append(f"{place}: {text}")

    def end(self) -> Report:
        report = self.report
        if report.erased > self._declared and report.first <= 1:
            self._fault("the log", f"{report.erased} bodies are gone and erasure records name {self._declared}")
        for seq in sorted(self._receipts):
            if seq >= report.first:
                self._fault("the log", f"record {seq} of a receipt is missing: the end was cut off")
        return report


def _number(body: dict[str, Any], key: str) -> int:
    value = body.get(key)
    return value if type(value) is int else -1
