"""Candidates to labelled boxes."""

from __future__ import annotations

import numpy as np
import pytest

from moderation.errors import StageError
from moderation.models.labels import Label
from moderation.safety.decode import decode

LABELS = [Label(raw="B", name="a/b"), Label(raw="D", name="c/d", weight=0.5), Label(raw="E", name=None)]


def rows(*values: tuple[float, float, float, float, float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    table = np.zeros((300, 6), np.float32)
    table[: len(values)] = values
    return table


def test_boxes_are_in_the_picture_s_own_pixels() -> None:
    """Promise: the view is the picture's longer side; boxes end at its edges."""
    (found,) = decode(rows((32, 16, 64, 400, 0.9, 0)), LABELS, 640, 480)
    assert found == {"name": "a/b", "score": 0.9, "box": [64.0, 32.0, 128.0, 480.0]}


def test_overlaps_leave_the_best() -> None:
    """Promise: non-maximum suppression keeps the best of boxes that cover the same place, over all classes."""
    found = decode(
        rows((10, 10, 50, 50, 0.9, 0), (11, 11, 51, 51, 0.8, 1), (200, 200, 250, 250, 0.5, 1)), LABELS, 320, 320
    )
    assert [(f["name"], f["score"]) for f in found] == [("a/b", 0.9), ("c/d", 0.25)]


def test_a_class_that_means_nothing_hides_nothing() -> None:
    """Promise: a class that the mapping gives no name is left out before overlaps are removed."""
    (found,) = decode(rows((10, 10, 50, 50, 0.9, 2), (11, 11, 51, 51, 0.8, 0)), LABELS, 320, 320)
    assert (found["name"], found["score"]) == ("a/b", 0.8)


def test_weak_candidates_are_nothing() -> None:
    """Promise: below the library's own threshold nothing is reported."""
    assert decode(rows((10, 10, 50, 50, 0.24, 0)), LABELS, 320, 320) == []


@pytest.mark.parametrize("row", [(0, 0, 9, 9, float("nan"), 0), (float("inf"), 0, 9, 9, 0.9, 0), (0, 0, 9, 9, 0.9, 3)])
def test_a_sick_detector_is_noticed(row: tuple[float, float, float, float, float, float]) -> None:
    """Promise: NaN, infinity and unknown classes are a failed stage, never "nothing found"."""
    with pytest.raises(StageError):
        decode(rows(row), LABELS, 320, 320)
