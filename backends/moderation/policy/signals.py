"""What the pipeline found out about one image: the input of a decision, checked.

A JSON object with these members; a member that is missing or null counts as *unknown*, never as "nothing found":

- `profile`: name of a policy profile, null for the default one;
- `labels`: `[{"name", "score", "box", "source", "frame"}]`, hierarchical names (`nudity/explicit/buttocks`), scores
  0-1, box x1, y1, x2, y2 in pixels of the full upright image or null, source `stage:version`;
- `content_type`: `{"name", "score"}`;
- `text`: `[{"text", "score", "quad", "frame"}]`, recognised lines in reading order, quad four x, y corners;
- `caption`: text that came with the image, null when there is none (the one member where null is an answer);
- `codes`: `[{"format", "text", "quad", "frame"}]`, decoded QR and bar codes;
- `image`: `{"sha256", "pdq", "pdq_quality", "format", "bytes", "width", "height", "frames"}`: digests in hex, quality
  0-100; a member that is missing is unknown;
- `subject`: attributes of the caller, such as forwarded headers: text, numbers or booleans by name;
- `unknown`: names of the stages that gave no signal.

Further members are not looked at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from moderation import contract
from moderation.errors import InputError

MISSING = "missing"
NOT_A_SCORE = "not a score from 0 to 1"
SCORE_SLACK = 1e-3
"""FP16 networks overshoot 0 and 1 by rounding (half a unit in the last place at 1.0 is 2^-11)."""
Attribute = str | int | float | bool
_HASH = re.compile(r"[0-9a-f]{64}")
IMAGE_TEXTS = ("sha256", "pdq", "format")
IMAGE_NUMBERS = ("pdq_quality", "bytes", "width", "height", "frames")
_NAMES = {dict: "object", list: "array", str: "string", float: "number", int: "number", bool: "boolean"}


@dataclass(frozen=True)
class Label:
    """A finding in pixels."""

    name: str
    score: float
    source: str
    frame: int = 0
    box: list[float] | None = None


@dataclass(frozen=True)
class Line:
    """A recognised line of text."""

    text: str
    score: float
    frame: int = 0
    quad: list[list[float]] | None = None


@dataclass(frozen=True)
class Code:
    """A decoded QR or bar code."""

    format: str
    text: str
    frame: int = 0
    quad: list[list[float]] | None = None


@dataclass
class Signals:
    """Checked signals.

    Attributes:
        codes: None when nobody looked for codes.
        image: digests, format and sizes that are known.
        unknown: the causes for each stage that has no usable signal.
    """

    profile: str | None = None
    labels: list[Label] = field(default_factory=list)
    content_type: Label | None = None
    text: list[Line] = field(default_factory=list)
    caption: str = ""
    codes: list[Code] | None = None
    image: dict[str, str | int] = field(default_factory=dict)
    subject: dict[str, Attribute] = field(default_factory=dict)
    unknown: dict[str, set[str]] = field(default_factory=dict)

    def lost(self, stage: str, cause: str) -> None:
        """Note that a stage gave nothing usable."""
        self.unknown.setdefault(stage, set()).add(cause)


def parse(document: Mapping[str, Any]) -> Signals:
    """Check one signals document.

    Raises:
        InputError: reason `bad_signals`; the message names the path of the member that has the wrong type.
    """
    if not isinstance(document, Mapping):
        _refuse("signals", document, "an object")
    signals = Signals()
    profile = document.get("profile")
    if profile is not None:
        signals.profile = _text(profile, "profile")
    for i, stage in enumerate(_array(document.get("unknown"), "unknown") or ()):
        signals.lost(_name(stage, f"unknown[{i}]"), MISSING)
    _labels(signals, document.get("labels"))
    _content_type(signals, document.get("content_type"))
    _lines(signals, document.get("text"))
    caption = document.get("caption")
    if caption is not None:
        signals.caption = _text(caption, "caption")
    _codes(signals, document.get("codes"))
    _image(signals, document.get("image"))
    _subject(signals, document.get("subject"))
    return signals


def _labels(signals: Signals, found: Any) -> None:
    items = _array(found, "labels")
    if items is None:
        signals.lost(contract.SAFETY, MISSING)
        return
    for i, item in enumerate(items):
        path = f"labels[{i}]"
        entry = _object(item, path)
        name = _name(_member(entry, "name", path), f"{path}.name")
        source = _name(entry.get("source", contract.SAFETY), f"{path}.source")
        score = _score(entry, path)
        if score is None:
            signals.lost(source.partition(":")[0] or contract.SAFETY, NOT_A_SCORE)
            continue
        box = entry.get("box")
        corners = None if box is None else _numbers(box, f"{path}.box", 4)
        signals.labels.append(Label(name, score, source, _frame(entry, path), corners))


def _content_type(signals: Signals, found: Any) -> None:
    if found is None:
        signals.lost(contract.CLASSIFIER, MISSING)
        return
    entry = _object(found, "content_type")
    name = _name(_member(entry, "name", "content_type"), "content_type.name")
    score = _score(entry, "content_type")
    if score is None:
        signals.lost(contract.CLASSIFIER, NOT_A_SCORE)
        return
    signals.content_type = Label(name, score, _name(entry.get("source", contract.CLASSIFIER), "content_type.source"))


def _lines(signals: Signals, found: Any) -> None:
    items = _array(found, "text")
    if items is None:
        signals.lost(contract.OCR, MISSING)
        return
    for i, item in enumerate(items):
        if line := _usual_line(item):
            signals.text.append(line)
            continue
        path = f"text[{i}]"
        entry = _object(item, path)
        text = _text(_member(entry, "text", path), f"{path}.text")
        score = _score(entry, path)
        if score is None:
            signals.lost(contract.OCR, NOT_A_SCORE)
        # A line whose score is broken is still read: what it says may be listed.
        signals.text.append(Line(text, 1.0 if score is None else score, _frame(entry, path), _quad(entry, path)))


def _usual_line(item: Any) -> Line | None:
    """A line as the pipeline sends it, without the care that anything else needs: a page has many."""
    if type(item) is not dict:
        return None
    text, score, frame, quad = item.get("text"), item.get("score"), item.get("frame", 0), item.get("quad")
    if type(text) is not str or type(score) is not float or not 0 <= score <= 1 or type(frame) is not int:
        return None
    if quad is None:
        return Line(text, score, frame, None)
    corners = _usual_quad(quad)
    return Line(text, score, frame, corners) if corners else None


def _usual_quad(quad: Any) -> list[list[float]] | None:
    try:
        (a, b), (c, d), (e, f), (g, h) = quad
    except (TypeError, ValueError):
        return None
    numbers = {type(a), type(b), type(c), type(d), type(e), type(f), type(g), type(h)} == {float}
    # a sum is finite only if all parts are
    return [[a, b], [c, d], [e, f], [g, h]] if numbers and math.isfinite(a + b + c + d + e + f + g + h) else None


def _codes(signals: Signals, found: Any) -> None:
    items = _array(found, "codes")
    if items is None:
        return
    signals.codes = []
    for i, item in enumerate(items):
        path = f"codes[{i}]"
        entry = _object(item, path)
        kind = _name(_member(entry, "format", path), f"{path}.format")
        text = _text(_member(entry, "text", path), f"{path}.text")
        signals.codes.append(Code(kind, text, _frame(entry, path), _quad(entry, path)))


def _image(signals: Signals, found: Any) -> None:
    if found is None:
        return
    facts = _object(found, "image")
    for key in IMAGE_TEXTS:
        if facts.get(key) is not None:
            text = _text(facts[key], f"image.{key}")
            if key == "format":
                signals.image[key] = text
            elif _HASH.fullmatch(text.lower()):  # what is no hash is unknown, and not a hash that nothing equals
                signals.image[key] = text.lower()
    for key in IMAGE_NUMBERS:
        value = facts.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(f"image.{key}", value, "a whole number")
        signals.image[key] = value


def _subject(signals: Signals, found: Any) -> None:
    if found is None:
        return
    for name, value in _object(found, "subject").items():
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue  # an attribute that is no value is one that was not sent
        if not isinstance(value, str | int | float):
            _refuse(f"subject.{name[:64]!a}", value, "text, a number or a boolean")
        signals.subject[name] = value


def _quad(entry: Mapping[str, Any], path: str) -> list[list[float]] | None:
    quad = entry.get("quad")
    if quad is None:
        return None
    corners = _array(quad, f"{path}.quad")
    if corners is None or len(corners) != 4:
        _refuse(f"{path}.quad", quad, "4 corners")
    points = [_numbers(corner, f"{path}.quad[{i}]", 2) for i, corner in enumerate(corners)]
    finite = [point for point in points if point is not None]
    return finite if len(finite) == 4 else None


def _refuse(path: str, value: Any, wanted: str) -> NoReturn:
    seen = "null" if value is None else f"a JSON {_NAMES.get(type(value), type(value).__name__)}"
    raise InputError(f"SIGNALS: {path} is {seen}; {wanted} is expected", reason="bad_signals", value=path)


def _member(entry: Mapping[str, Any], key: str, path: str) -> Any:
    if key not in entry:
        raise InputError(f"SIGNALS: {path}.{key} is missing", reason="bad_signals", value=f"{path}.{key}")
    return entry[key]


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(path, value, "an object")
    return value


def _array(value: Any, path: str) -> list[Any] | None:
    if value is not None and not isinstance(value, list):
        _refuse(path, value, "an array")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        _refuse(path, value, "a string")
    return value


def _name(value: Any, path: str) -> str:
    """Text that goes into the verdict: printable, so that the verdict is always valid UTF-8."""
    text = _text(value, path)
    if not text or not text.isprintable():
        raise InputError(f"SIGNALS: {path} is empty or not printable text", reason="bad_signals", value=path)
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # whole numbers above 1e308
        return math.inf


def _score(entry: Mapping[str, Any], path: str) -> float | None:
    """A probability, clipped of rounding; None when it is not one (NaN, infinite, outside 0-1, null)."""
    value = _member(entry, "score", path)
    if value is None:
        return None  # how some encoders write NaN
    if not _is_number(value):
        _refuse(f"{path}.score", value, "a number")
    score = _float(value)
    if not -SCORE_SLACK <= score <= 1 + SCORE_SLACK:  # false for NaN too
        return None
    return min(max(score, 0.0), 1.0)


def _frame(entry: Mapping[str, Any], path: str) -> int:
    frame = entry.get("frame", 0)
    if not isinstance(frame, int) or isinstance(frame, bool):
        _refuse(f"{path}.frame", frame, "a whole number")
    return frame


def _numbers(value: Any, path: str, count: int) -> list[float] | None:
    """Coordinates; None when one of them is not finite (the finding counts, its place is not known)."""
    items = _array(value, path)
    if items is None or len(items) != count or not all(map(_is_number, items)):
        _refuse(path, value, f"{count} numbers")
    numbers = [_float(item) for item in items]
    return numbers if all(map(math.isfinite, numbers)) else None
