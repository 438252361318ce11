"""The `audit` section of security.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from moderation.access.settings import Strict


class Audit(Strict):
    """What is kept of decisions.

    Attributes:
        mode: `none`; `best_effort` (written soon after the reply, a loss is counted); `required` (on disk before the
            reply, or no reply).
        folder: where the segments lie.
        segment_mb: size at which a new segment is begun.
        segment_hours: age at which it is.
        checkpoint_records: records between two signed checkpoints.
        retention_days: segments whose last record is older are removed; None keeps all.
        signing_key: Ed25519 private key (PEM); made beside the log when it is not there.
        encryption_key: file with a key of 32 bytes in base64; bodies are then sealed with AES-256-GCM.
    """

    mode: Literal["none", "best_effort", "required"] = "none"
    folder: Path | None = None
    segment_mb: Annotated[float, Field(gt=0, le=4096)] = 64.0
    segment_hours: Annotated[float, Field(gt=0)] = 24.0
    checkpoint_records: Annotated[int, Field(ge=1)] = 1000
    retention_days: Annotated[float, Field(gt=0)] | None = None
    signing_key: Path | None = None
    encryption_key: Path | None = None

    @model_validator(mode="after")
    def _folder(self) -> Audit:
        if self.mode != "none" and self.folder is None:
            raise ValueError(f"mode `{self.mode}` needs a `folder`")
        return self
