"""What an image may be before anything of it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from moderation.errors import ConfigError, InputError

NARROWED: Final = ("max_bytes", "max_pixels", "max_frames")
"""Limits that a request may carry for its tenant."""


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked on the header, so that a bomb costs nothing.

    Attributes:
        max_bytes: size of the encoded file.
        max_pixels: width × height of one frame.
        max_frames: frames or pages of one file.
        max_animation_pixels: pixels that must be decoded to reach the last examined frame.
        max_scans: passes over a JPEG's picture; encoders write 10 or so for a progressive one.
        max_aspect: longer side ÷ shorter side.
        examined_frames: frames of an animation that are looked at, evenly spaced, the first always.
        max_side: longer side of the pixels that the networks get; larger images are reduced to it.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    max_frames: int = 2_000
    max_animation_pixels: int = 400_000_000
    max_scans: int = 100
    max_aspect: int = 100
    examined_frames: int = 4
    max_side: int = 2000

    def __post_init__(self) -> None:  # noqa: D105 - the class says what is allowed
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ConfigError(f"parameter {field.name} is {getattr(self, field.name)}; it must be 1 or more")

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Limits:
        """Limits from a model's `parameters`; what is not named keeps its default.

        Raises:
            ConfigError: a value is not a whole number of 1 or more.
        """
        values: dict[str, int] = {}
        for field in fields(cls):
            text = parameters.get(field.name)
            if text is None:
                continue
            try:
                values[field.name] = int(text)
            except ValueError:
                raise ConfigError(f"parameter {field.name} is `{text}`; a whole number is expected") from None
        return cls(**values)

    def narrowed(self, parameters: Mapping[str, object]) -> Limits:
        """These limits, made narrower where a request's parameters say so; they never get wider.

        Raises:
            InputError: reason `bad_limit`; a parameter is no whole number of 1 or more.
        """
        values: dict[str, int] = {}
        for name in NARROWED:
            if name in parameters:
                text = str(parameters[name])
                if not text.isdecimal() or int(text) < 1:
                    raise InputError(f"parameter {name} must be a whole number of 1 or more", reason="bad_limit")
                values[name] = min(int(text), getattr(self, name))
        return replace(self, **values) if values else self

    def check_bytes(self, size: int) -> None:
        """Refuse an empty or too large file.

        Raises:
            InputError: reason `empty` or `too_many_bytes`.
        """
        if size == 0:
            raise InputError("the image is empty (0 bytes)", reason="empty", limit=1, value=0)
        if size > self.max_bytes:
            raise InputError(
                f"the image has {size} bytes; at most {self.max_bytes} are accepted",
                reason="too_many_bytes",
                limit=self.max_bytes,
                value=size,
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame that is too large or too thin.

        Raises:
            InputError: reason `no_pixels`, `too_many_pixels` or `aspect_ratio`.
        """
        if width < 1 or height < 1:
            raise InputError(
                f"the header says {width} x {height} pixels; both sides must be 1 or more",
                reason="no_pixels",
                limit=1,
                value=min(width, height),
            )
        if width * height > self.max_pixels:
            raise InputError(
                f"the image has {width} x {height} = {width * height} pixels; at most {self.max_pixels} are accepted",
                reason="too_many_pixels",
                limit=self.max_pixels,
                value=width * height,
            )
        aspect = max(width, height) / min(width, height)
        if aspect > self.max_aspect:
            raise InputError(
                f"the image is {width} x {height}, {aspect:.0f} times longer than wide; "
                f"at most {self.max_aspect} times are accepted",
                reason="aspect_ratio",
                limit=self.max_aspect,
                value=round(aspect, 1),
            )

    def check_scans(self, scans: int) -> None:
        """Refuse a JPEG that is gone over too often.

        Args:
            scans: counted no further than just beyond `max_scans`.

        Raises:
            InputError: reason `too_many_scans`.
        """
        if scans > self.max_scans:
            raise InputError(
                f"the JPEG has more than {self.max_scans} scans; save it again",
                reason="too_many_scans",
                limit=self.max_scans,
                value=scans,
            )

    def check_frames(self, frames: int, last: int, width: int, height: int) -> None:
        """Refuse an animation that has too many frames or costs too much to decode.

        Args:
            frames: how many the file has.
            last: index of the last frame that will be examined.
            width: of one frame.
            height: of one frame.

        Raises:
            InputError: reason `too_many_frames`.
        """
        if frames > self.max_frames:
            raise InputError(
                f"the image has {frames} frames; at most {self.max_frames} are accepted",
                reason="too_many_frames",
                limit=self.max_frames,
                value=frames,
            )
        work = (last + 1) * width * height
        if last and work > self.max_animation_pixels:
            raise InputError(
                f"decoding {last + 1} frames of {width} x {height} means {work} pixels; "
                f"at most {self.max_animation_pixels} are accepted",
                reason="too_many_frames",
                limit=self.max_animation_pixels,
                value=work,
            )
