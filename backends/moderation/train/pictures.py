"""How to draw a picture of each class."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from moderation.train.charts import chart
from moderation.train.codes import code_2d
from moderation.train.drawing import Grounds, Picture
from moderation.train.figures import illustration
from moderation.train.memes import meme
from moderation.train.pages import document
from moderation.train.photos import photo
from moderation.train.screens import screenshot

GENERATORS: Final[dict[str, Callable[[random.Random, Grounds], Picture]]] = {
    "photo": photo,
    "document": document,
    "screenshot": screenshot,
    "chart": chart,
    "illustration": illustration,
    "meme": meme,
    "code_2d": code_2d,
}
"""Synthetic pictures by class; those of photos are parts of given ones."""
