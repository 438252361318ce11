"""The signals of one picture as rules look at them: what is there, and what is lost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from moderation import contract
from moderation.policy import signals as facts
from moderation.policy.expression.values import Partial, Scope, Unknown

_NO_LABELS: Final = frozenset(
    (contract.PREPROCESSOR, contract.CLASSIFIER, contract.OCR, contract.TEXT_DETECTOR, contract.TEXT_RECOGNIZER)
)
"""Stages that find no labels; any other stage that is unknown may have found some."""
_NOTHING: Final[frozenset[str]] = frozenset()


class Look:
    """What a picture's signals say. `lost` asks what a rule needs: `labels`, `content_type`, `ocr_text`, `code`,
    or `image.<member>`."""

    def __init__(self, signals: facts.Signals, needs: Iterable[str]) -> None:
        self.signals = signals
        self._lost: dict[str, frozenset[str]] = {}
        for need in needs:
            if self.lost(need) == {contract.PREPROCESSOR}:
                # what a rule needs and the preprocessor did not give is an unknown signal, too
                signals.lost(contract.PREPROCESSOR, facts.MISSING)

    def lost(self, need: str) -> frozenset[str]:
        """The stages whose missing signal a rule would need; empty when all is there."""
        if need not in self._lost:
            self._lost[need] = self._find_lost(need)
        return self._lost[need]

    def lost_of(self, needs: Iterable[str]) -> frozenset[str]:
        """The same for several needs."""
        return _NOTHING.union(*(self.lost(need) for need in needs))

    def _find_lost(self, need: str) -> frozenset[str]:
        unknown = self.signals.unknown
        if need == "labels":
            return frozenset(stage for stage in unknown if stage not in _NO_LABELS)
        if need == "content_type":
            return frozenset(stage for stage in (contract.CLASSIFIER,) if stage in unknown)
        if need == "ocr_text":
            return frozenset(stage for stage in (contract.OCR,) if stage in unknown)
        there = self.signals.codes is not None if need == "code" else need[len("image.") :] in self.signals.image
        return _NOTHING if there else frozenset((contract.PREPROCESSOR,))

    @cached_property
    def pages(self) -> list[list[facts.Line]]:
        """Recognised lines of each frame, in reading order."""
        frames: dict[int, list[facts.Line]] = {}
        for line in self.signals.text:
            frames.setdefault(line.frame, []).append(line)
        return [frames[frame] for frame in sorted(frames)]

    def scope(self, rules: dict[str, int | Unknown]) -> Scope:
        """The signals for expressions; `rules` counts what each rule that is no expression found."""
        found = self.signals
        kind = found.content_type
        labels = [{"name": x.name, "score": x.score, "frame": x.frame, "source": x.source} for x in found.labels]
        lines = [{"text": x.text, "score": x.score, "frame": x.frame} for x in found.text]
        codes = [{"format": x.format, "text": x.text, "frame": x.frame} for x in found.codes or ()]
        text = "\n".join(line.text for line in found.text)
        text_lost = self.lost("ocr_text")
        values: dict[str, Any] = {
            "labels": self._list(labels, "labels"),
            "content_type": {"name": kind.name, "score": kind.score} if kind else Unknown(self._kind_lost()),
            "text": Unknown(text_lost) if text_lost else text,
            "lines": self._list(lines, "ocr_text"),
            "caption": found.caption,
            "codes": self._list(codes, "code"),
            "image": {
                key: found.image[key] if key in found.image else Unknown(self.lost(f"image.{key}"))
                for key in (*facts.IMAGE_TEXTS, *facts.IMAGE_NUMBERS)
            },
            "subject": found.subject,
        }
        return Scope(values, [(x.name, x.score) for x in found.labels], self.lost("labels"), rules)

    def _kind_lost(self) -> frozenset[str]:
        return self.lost("content_type") or frozenset((contract.CLASSIFIER,))

    def _list(self, items: list[Any], need: str) -> list[Any] | Partial:
        lost = self.lost(need)
        return Partial(items, lost) if lost else items
