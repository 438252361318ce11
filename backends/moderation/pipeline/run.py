"""One item on its way through the stages: whom it calls, what is known, what is not, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy.typing as npt

from moderation import contract
from moderation.errors import DeadlineError
from moderation.images.views import View
from moderation.models.labels import Classes
from moderation.pipeline.release import Release

Array = npt.NDArray[Any]

STAGE_KEYS: Final = {
    contract.PREPROCESSOR: "preprocess",
    contract.CLASSIFIER: "classifier",
    contract.SAFETY: "safety",
    contract.SAFETY_CLASSIFIER: "safety_classifier",
    contract.OCR: "ocr",
    **dict.fromkeys(contract.READERS, "ocr"),
    contract.DECISION_LOGIC: "policy",
}
"""Names of the stages in `timings_ms` and in the metrics."""


def stage_of(model: str) -> str:
    """The stage whose failure a model's failure is: ocr-engine for the networks that it calls."""
    return contract.OCR if model in contract.READERS else model


_NONE: Final[Mapping[str, str]] = {}


class Call(Protocol):
    """Calls one version of one model; raises InputError or StageError."""

    def __call__(
        self,
        model: str,
        version: int,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        parameters: Mapping[str, str],
    ) -> Awaitable[dict[str, Array]]:
        """Outputs by name."""


@dataclass(frozen=True)
class Labels:
    """What the manifests say of the networks; no classes where the model is not there.

    Attributes:
        view: what the safety-classifier sees of a picture.
    """

    safety: Classes = field(default_factory=Classes)
    classifier: Classes = field(default_factory=Classes)
    safety_classifier: Classes = field(default_factory=Classes)
    view: View | None = None


@dataclass
class Run:
    """One item on its way: what is known, what is not, and how long it took.

    Attributes:
        deadline: `time.monotonic()` after which the caller no longer waits.
        cancelled: whether the caller has gone.
        subject: attributes of the caller, for the policy.
        image_limits: parameters that narrow what the preprocessor takes.
    """

    call: Call
    release: Release
    labels: Labels
    deadline: float
    cancelled: Callable[[], bool]
    subject: Mapping[str, str] = field(default_factory=dict)
    image_limits: Mapping[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    async def stage(
        self, model: str, inputs: Mapping[str, Array], outputs: Sequence[str], parameters: Mapping[str, str] = _NONE
    ) -> dict[str, Array]:
        """Call a stage, unless time is up.

        Raises:
            DeadlineError: before the call.
        """
        if time.monotonic() > self.deadline:
            raise DeadlineError(f"the deadline passed before {model}; raise `deadline_ms` or send less at once")
        if self.cancelled():
            raise DeadlineError(f"the caller cancelled before {model}")
        started = time.perf_counter()
        try:
            return await self.call(model, self.release.versions[model], inputs, outputs, parameters)
        finally:
            key = STAGE_KEYS[model]
            self.timings[key] = self.timings.get(key, 0.0) + (time.perf_counter() - started) * 1e3

    def source(self, model: str) -> str:
        """`model:version`, as evidence names it."""
        return f"{model}:{self.release.versions[model]}"
