"""A handful of pictures with a known decision, drawn here so that nothing has to be shipped or downloaded."""

from moderation.samples.render import EXPECTED, render

__all__ = ["EXPECTED", "render"]
