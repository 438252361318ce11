"""Types of values in expressions, and the signals with their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol


@dataclass(frozen=True)
class Kind:
    """A type.

    Attributes:
        name: `bool`, `whole number`, `number`, `text`, `null`, `list`, `record`, `attributes`, `attribute`, or `any`
            after a fault, so that one fault is reported once.
        item: type of a list's items.
        members: types of a record's members.
        domain: which names this text can be, where that is known: `label`, `content type` or `format`.
    """

    name: str
    item: Kind | None = None
    members: Mapping[str, Kind] = field(default_factory=dict, hash=False)
    domain: str = ""

    def is_number(self) -> bool:
        """Whether it can be compared with numbers."""
        return self.name in ("whole number", "number")


BOOL: Final = Kind("bool")
INT: Final = Kind("whole number")
DOUBLE: Final = Kind("number")
TEXT: Final = Kind("text")
NULL: Final = Kind("null")
ANY: Final = Kind("any")
ATTRIBUTE: Final = Kind("attribute")
LABEL: Final = Kind("text", domain="label")
CONTENT_TYPE: Final = Kind("text", domain="content type")
FORMAT: Final = Kind("text", domain="format")


def list_of(item: Kind) -> Kind:
    """The type of a list."""
    return Kind("list", item=item)


def record(**members: Kind) -> Kind:
    """The type of an object with known members."""
    return Kind("record", members=members)


SIGNALS: Final[Mapping[str, Kind]] = {
    "labels": list_of(record(name=LABEL, score=DOUBLE, frame=INT, source=TEXT)),
    "content_type": record(name=CONTENT_TYPE, score=DOUBLE),
    "text": TEXT,
    "lines": list_of(record(text=TEXT, score=DOUBLE, frame=INT)),
    "caption": TEXT,
    "codes": list_of(record(format=TEXT, text=TEXT, frame=INT)),
    "image": record(
        sha256=TEXT, pdq=TEXT, pdq_quality=INT, format=FORMAT, bytes=INT, width=INT, height=INT, frames=INT
    ),
    "subject": Kind("attributes"),
}
"""Names that an expression may use. `text` is all recognised lines, joined by line breaks."""
FUNCTIONS: Final = {
    "label": ('label("nudity/explicit")', "the best score of a label or of one below it, 0 when it was not found"),
    "count": ('count("person/face", 0.5)', "how many findings of a label or below it have at least this score"),
    "rule": ('rule("known-scams")', "whether another rule of this profile matches"),
    "hits": ('hits("contact-details")', "how many different things another rule of this profile found"),
    "size": ("size(codes)", "length of a text or a list"),
    "has": ("has(subject.tier)", "whether the caller sent an attribute"),
}
"""Functions: how each is called, and what it gives."""
METHODS: Final = ("contains", "startsWith", "endsWith", "size")
MODALITIES: Final = {
    "labels": "pixels",
    "label": "pixels",
    "count": "pixels",
    "content_type": "pixels",
    "text": "ocr_text",
    "lines": "ocr_text",
    "caption": "caption",
    "codes": "code",
    "image": "image",
    "subject": "subject",
    "rule": "combination",
    "hits": "combination",
}
"""Where each signal comes from, as `triggered_by` says it."""


class Names(Protocol):
    """Declared names of labels and content types; `moderation.taxonomy.Taxonomy` is one."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Declared labels."""

    @property
    def content_types(self) -> Mapping[str, str]:
        """Declared content types."""

    def knows(self, name: str) -> bool:
        """Whether a name of either sort is declared or custom."""

    def suggest(self, name: str) -> str | None:
        """The declared name that an unknown one most likely means."""


@dataclass(frozen=True)
class Vocabulary:
    """What an expression may name.

    Attributes:
        names: labels and content types.
        formats: values of image.format.
        rules: ids that rule() and hits() may name: rules of the profile that are no expressions.
        suggest: ` did you mean` for a name among allowed ones.
    """

    names: Names
    formats: Iterable[str]
    rules: Iterable[str]
    suggest: Callable[[object, Iterable[str]], str]

    def has(self, domain: str, name: str) -> bool:
        """Whether a name is a `label` or a `content type`; models of one's own bring custom ones."""
        other = self.names.content_types if domain == "label" else self.names.labels
        return self.names.knows(name) and name not in other
