"""Encoded bytes to everything the pipeline needs of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from moderation.images.codes import find_codes
from moderation.images.decode import Decoded, decode
from moderation.images.hashing import pdq, sha256
from moderation.images.limits import Limits
from moderation.images.views import View


@dataclass(frozen=True)
class PreprocessConfig:
    """Limits and views, from a model's parameters."""

    limits: Limits = field(default_factory=Limits)
    safety: View = field(default_factory=lambda: View(320, 320, letterbox=True))
    classifier: View = field(default_factory=lambda: View(224, 224, letterbox=False, through=256))

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> PreprocessConfig:
        """Read `Limits` by their names, `safety_view` and `classifier_view`.

        Raises:
            ConfigError: a value is not in its form or range.
        """
        default = cls()
        views = {
            name: View.parse(f"{name}_view", parameters[f"{name}_view"]) if f"{name}_view" in parameters else view
            for name, view in (("safety", default.safety), ("classifier", default.classifier))
        }
        return cls(Limits.from_parameters(parameters), **views)

    def narrowed(self, parameters: Mapping[str, object]) -> PreprocessConfig:
        """The same with the limits of one request; see `Limits.narrowed`."""
        limits = self.limits.narrowed(parameters)
        return self if limits is self.limits else replace(self, limits=limits)


@dataclass(frozen=True)
class Preprocessed:
    """The preprocessor's answer.

    Attributes:
        safety: [frames, 320, 320, 3] UINT8 RGB.
        classifier: [frames, 224, 224, 3] UINT8 RGB.
        text: [frames, h, w, 3] UINT8 RGB, longer side at most `Limits.max_side`.
        info: facts for RESULT and for mapping boxes back: sha256, pdq, pdq_quality, format, bytes, width, height,
            frames, frames_examined, frame_indexes; codes (see `images.codes`) in pixels of the full picture, each with
            the examined `frame` that it is in.
    """

    safety: npt.NDArray[np.uint8]
    classifier: npt.NDArray[np.uint8]
    text: npt.NDArray[np.uint8]
    info: dict[str, Any]


def preprocess(data: bytes, config: PreprocessConfig) -> Preprocessed:
    """Check, decode, hash and fit one encoded image.

    Raises:
        InputError: the image is refused; `reason` is the slug of why.
    """
    decoded = decode(data, config.limits)
    digest, quality = pdq(decoded.frames[0])
    return Preprocessed(
        np.stack([config.safety.apply(frame) for frame in decoded.frames]),
        np.stack([config.classifier.apply(frame) for frame in decoded.frames]),
        np.stack(decoded.frames),
        {
            "sha256": sha256(data),
            "pdq": digest,
            "pdq_quality": quality,
            "format": decoded.format,
            "bytes": len(data),
            "width": decoded.width,
            "height": decoded.height,
            "frames": decoded.frame_count,
            "frames_examined": len(decoded.frames),
            "frame_indexes": decoded.indexes,
            "codes": _codes(decoded),
        },
    )


def _codes(decoded: Decoded) -> list[dict[str, Any]]:
    """Codes of every examined frame; one that stands still is reported once, at its first frame."""
    found: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for index, frame in enumerate(decoded.frames):
        scale = decoded.width / frame.shape[1], decoded.height / frame.shape[0]
        for code in find_codes(frame):
            name = code["format"], code["text"]
            if index and name in seen:
                continue
            seen.add(name)
            quad = [[round(x * scale[0], 1), round(y * scale[1], 1)] for x, y in code["quad"]]
            found.append({**code, "quad": quad, "frame": index})
    return found
