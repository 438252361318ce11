"""`--source` taken apart: `kind:target`, with options behind `?`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from moderation.errors import ModelBuildError

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "onnx": (),
    "torch": ("weights",),
    "timm": ("weights", "classes", "pretrained"),
    "hf": (),
    "url": (),
}
"""Options that each kind of source takes."""
FORMS: Final = (
    "onnx:FILE, torch:FILE, torch:PACKAGE.MODULE:FACTORY?weights=FILE, timm:NAME?pretrained, "
    "timm:NAME?weights=FILE&classes=N, hf:REPO@REVISION, hf:FOLDER, url:https://…#sha256=DIGEST"
)


@dataclass(frozen=True)
class Spec:
    """A source.

    Attributes:
        kind: a key of `OPTIONS`.
        target: what stands behind the colon, without options.
        options: by name; an option without a value is empty.
    """

    kind: str
    target: str
    options: Mapping[str, str]


def parse(text: str) -> Spec:
    """Read a source.

    Raises:
        ModelBuildError: no such kind or option, or nothing behind the colon; the forms are listed.
    """
    kind, colon, rest = text.partition(":")
    if kind not in OPTIONS or not colon or not rest:
        raise ModelBuildError(f"source `{text}` has none of the forms: {FORMS}")
    if kind == "url":
        return Spec(kind, rest, {})
    target, _, query = rest.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    if strangers := [name for name, _, _ in pairs if name not in OPTIONS[kind]]:
        allowed = ", ".join(OPTIONS[kind]) or "none"
        raise ModelBuildError(f"source `{text}`: no option {', '.join(strangers)} for {kind}; allowed: {allowed}")
    return Spec(kind, target, {name: value for name, _, value in pairs})
