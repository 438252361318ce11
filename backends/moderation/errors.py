"""Every error this product raises, as one tree, and the one table that maps it to Triton status codes.

    ModerationError
    ├── InputError            the caller's bytes, tensors or parameters            INVALID_ARG
    ├── AccessError           who the caller is, or what the caller may            INVALID_ARG
    ├── DeadlineError         the request's own time is used up                    UNAVAILABLE
    ├── OverloadError         no capacity now, try again later                     UNAVAILABLE
    ├── AuditError            a decision could not be put on record                UNAVAILABLE
    ├── StageError            a composing model failed                             INTERNAL
    ├── ServerError           a client got no decision from the server             UNAVAILABLE
    └── ConfigError           a file or setting of the operator                    INTERNAL
        ├── PolicyError       a policy file (all its faults at once)
        ├── RoutesError       a routes file (all its faults at once)
        ├── ExpressionError   an expression of a policy cannot be read
        ├── ModelBuildError   a model cannot be built or verified
        └── LaunchError       the server cannot be started on this machine
            └── AbortedError  a signal ended it while it started; another start may succeed

Messages follow one style: what was wrong, the value seen, the limit or the allowed values, and the remedy.
They never carry image bytes, recognised text, tokens or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Scalar = int | float | str


class ModerationError(Exception):
    """Base of the tree.

    Args:
        message: one sentence for the person who has to act on it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> str:
        """Triton status code name, from the one table below."""
        return triton_code(self)

    def as_item(self) -> dict[str, Scalar | None]:
        """The error object of one item in a batch: code, message, limit, value."""
        return {"code": self.code, "message": self.message, "limit": None, "value": None}


class InputError(ModerationError):
    """The caller sent something that is refused.

    Args:
        message: names the fault, the value and what is allowed.
        reason: short slug in snake_case; the label of the `bad input` metric, so the set stays small.
        limit: the limit that was broken, if there is one.
        value: the value that broke it.
    """

    def __init__(self, message: str, *, reason: str, limit: Scalar | None = None, value: Scalar | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.limit = limit
        self.value = value

    def as_item(self) -> dict[str, Scalar | None]:
        """As the base class, with the limit and the value filled in."""
        return {"code": self.code, "message": self.message, "limit": self.limit, "value": self.value}

    def as_fault(self) -> dict[str, Scalar | None]:
        """The error as data between models; `from_fault` makes it an error again."""
        return {**self.as_item(), "reason": self.reason}

    @classmethod
    def from_fault(cls, fault: Mapping[str, Any]) -> InputError:
        """The error that `as_fault` wrote."""
        return cls(fault["message"], reason=fault["reason"], limit=fault["limit"], value=fault["value"])


class AccessError(ModerationError):
    """The caller is not known, or may not do this.

    Triton has no status of its own for that (HTTP 401, 403); the message starts with `unauthenticated:` or
    `permission denied:`.

    Args:
        message: says what is missing, never the token.
        reason: short slug; the label of the `denied` metric.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeadlineError(ModerationError):
    """The request's deadline passed before its answer was ready."""


class OverloadError(ModerationError):
    """There is no capacity, or none left of the caller's quota, for this request now.

    Args:
        message: what is used up, and when to try again.
        reason: short slug; the label of the `limited` metric.
    """

    def __init__(self, message: str, *, reason: str = "capacity") -> None:
        super().__init__(message)
        self.reason = reason


class AuditError(ModerationError):
    """A decision could not be put on record, and none leaves without that."""


class StageError(ModerationError):
    """A composing model did not answer."""


class ServerError(ModerationError):
    """A client got no decision from the server."""


class ConfigError(ModerationError):
    """A file or a setting of the operator is wrong."""


class PolicyError(ConfigError):
    """A policy file is refused; `faults` holds every fault found, not only the first.

    Args:
        message: the summary and all faults, one per line.
        faults: one line each: path, value, what is allowed.
    """

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class RoutesError(ConfigError):
    """A routes file is refused.

    Args:
        file: the file.
        faults: one line each: line, path, value, what is allowed.
    """

    def __init__(self, file: object, faults: tuple[str, ...]) -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n  ".join((f"{file}: {count} in the routes:", *faults)))
        self.faults = faults


class ExpressionError(ConfigError):
    """An expression of a policy cannot be read.

    Args:
        message: what stands there, what was expected.
        at: offset of the character in the expression.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


class ModelBuildError(ConfigError):
    """A model artefact cannot be fetched, built or verified."""


class LaunchError(ConfigError):
    """tritonserver cannot be started on this machine."""


class AbortedError(LaunchError):
    """A signal ended tritonserver while it started; another start may succeed.

    Rarely, its own race over a lock in shared memory does while models load
    (https://github.com/triton-inference-server/server/issues/8882).
    """


# The most specific class wins. Names are those of TRITONSERVER_Error_Code; UNKNOWN is never used.
_CODES: Final[dict[type[ModerationError], str]] = {
    InputError: "INVALID_ARG",
    AccessError: "INVALID_ARG",
    DeadlineError: "UNAVAILABLE",
    OverloadError: "UNAVAILABLE",
    AuditError: "UNAVAILABLE",
    StageError: "INTERNAL",
    ServerError: "UNAVAILABLE",
    ConfigError: "INTERNAL",
    ModerationError: "INTERNAL",
}


def triton_code(error: BaseException) -> str:
    """Name of the Triton status code for an exception; `INTERNAL` for anything that is not ours."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return "INTERNAL"
