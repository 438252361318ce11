"""Which encodings are accepted, and a name for the common ones that are not."""

from __future__ import annotations

from typing import Final

from moderation.errors import InputError

ACCEPTED: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
PILLOW_FORMATS: Final = (*ACCEPTED, "DIB")
"""DIB is a BMP without its file header."""

# First bytes, offset first: the formats' own specifications.
_OTHERS: Final = (
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftyp", "an ISO media file (video or HEIF)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML or SVG"),
    (0, b"<!DOCTYPE", "HTML"),
    (0, b"<html", "HTML"),
    (0, b"data:", "a data: URL; send the bytes, or base64 alone in IMAGE_B64"),
)


def unsupported(data: bytes) -> InputError:
    """The refusal of bytes that no accepted format claims; names what they seem to be."""
    allowed = ", ".join(ACCEPTED)
    for offset, magic, name in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return InputError(
                f"the image is {name}; accepted formats are {allowed}",
                reason="unsupported_format",
                limit=allowed,
                value=name,
            )
    return InputError(
        f"the bytes are no image in an accepted format ({allowed}); check that the file itself was sent, "
        "not its name or a base64 text (that goes into IMAGE_B64)",
        reason="unsupported_format",
        limit=allowed,
    )


def is_jpeg(data: bytes) -> bool:
    """Whether the bytes start like a JPEG."""
    return data[:3] == b"\xff\xd8\xff"
