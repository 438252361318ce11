"""One line of the log and how it hangs on the line before it.

    {"seq": 7, "time": "2026-05-04T10:11:12.131415Z", "kind": "decision", "commit": "…", "prev": "…", "hash": "…",
     "body": {…}, "salt": "…"}

`commit` is SHA-256 over salt and body, `hash` is SHA-256 over seq, time, kind, commit and prev. Without the random salt
somebody could guess an erased body and test the guess. Text is written in ASCII with escapes: whatever OCR or a caller
puts into a field, a record stays one line and sends no control characters to a terminal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from moderation.errors import InputError

GENESIS: Final = "0" * 64
"""`prev` of the first record."""
Kind = Literal["decision", "segment", "checkpoint", "loss", "clock", "erasure"]
KINDS: Final = ("decision", "segment", "checkpoint", "loss", "clock", "erasure")
SIGNED: Final = ("segment", "checkpoint")


@dataclass(frozen=True)
class Record:
    """One parsed line.

    Attributes:
        body: None when it was erased; a string when it is sealed.
    """

    seq: int
    time: str
    kind: str
    commit: str
    prev: str
    hash: str
    body: Any
    salt: str | None

    @property
    def erased(self) -> bool:
        """Whether the body was taken away on request."""
        return self.body is None

    def fault(self) -> str | None:
        """Why the record does not hold together, or None."""
        if self.kind not in KINDS:
            return f"kind {self.kind!r} is unknown"
        if self.hash != chain(self.seq, self.time, self.kind, self.commit, self.prev):
            return "its hash does not fit its content"
        if not self.erased and commitment(self.salt or "", canonical(self.body)) != self.commit:
            return "its body was changed"
        if self.erased and self.salt is not None:
            return "its body is gone but its salt is not"
        return None

    def line(self) -> bytes:
        """As it stands in the file."""
        return canonical(self.__dict__) + b"\n"

    def without_body(self) -> Record:
        """The record after an erasure."""
        return Record(self.seq, self.time, self.kind, self.commit, self.prev, self.hash, None, None)


def canonical(value: Any) -> bytes:
    """The one way a value is written: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def commitment(salt: str, body: bytes) -> str:
    """Digest that stands for a body."""
    return hashlib.sha256(salt.encode() + b"\n" + body).hexdigest()


def chain(seq: int, time: str, kind: str, commit: str, prev: str) -> str:
    """Hash of a record."""
    return hashlib.sha256(f"{seq}\n{time}\n{kind}\n{commit}\n{prev}".encode()).hexdigest()


def make(seq: int, time: str, kind: Kind, body: Mapping[str, Any] | str, prev: str) -> Record:
    """A new record at the end of the chain."""
    salt = os.urandom(16).hex()
    commit = commitment(salt, canonical(body))
    return Record(seq, time, kind, commit, prev, chain(seq, time, kind, commit, prev), body, salt)


def parse(line: bytes) -> Record:
    """A line as a record; whether it is sound is `Record.fault`'s to say.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(line)
        record = Record(**found)
    except (ValueError, TypeError, RecursionError):
        raise InputError("is not a record", reason="bad_record") from None
    texts = (record.time, record.kind, record.commit, record.prev, record.hash)
    if type(record.seq) is not int or not all(isinstance(text, str) for text in texts):
        raise InputError("has a field of the wrong type", reason="bad_record")
    return record


def signed_text(seq: int, head: str) -> bytes:
    """What a checkpoint's signature covers."""
    return f"moderation-audit\n{seq}\n{head}".encode()
