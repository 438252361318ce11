"""Synthetic charts: plots in many styles, and diagrams of boxes and arrows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from PIL import Image

from moderation.train.diagrams import diagram
from moderation.train.drawing import Grounds, Picture, vivid, word, words


def chart(rng: random.Random, grounds: Grounds) -> Picture:
    """Plots in many styles by matplotlib, and diagrams of boxes and arrows."""
    return diagram(rng) if rng.random() < 0.5 else plot(rng)


def plot(rng: random.Random) -> Picture:
    """Axes in one of matplotlib's styles."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    numbers = np.random.default_rng(rng.getrandbits(32))
    styles = [s for s in plt.style.available if not s.startswith("_")]
    with plt.style.context(rng.choice(["default", *styles])):
        rows, columns = rng.choice(((1, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 3)))
        size = (rng.uniform(3, 8), rng.uniform(2.5, 6))
        figure, axes = plt.subplots(rows, columns, figsize=size, dpi=rng.randint(60, 110), squeeze=False)
        for axis in axes.flat:
            _draw_axis(axis, rng, numbers)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        plt.close(figure)
    return Image.fromarray(pixels)


def _draw_axis(axis: Any, rng: random.Random, numbers: np.random.Generator) -> None:
    kind = rng.choice(("line", "line", "bar", "hbar", "scatter", "hist", "area", "pie", "box", "heat", "stack", "step"))
    count = rng.randint(4, 40)
    x = np.arange(count)
    series = rng.randint(1, 4)
    values = numbers.normal(0, 1, (series, count)).cumsum(axis=1) * rng.uniform(0.5, 20)
    match kind:
        case "line" | "step":
            for row in values:
                axis.plot(
                    x,
                    row,
                    marker=rng.choice((None, None, "o", "s", "^")),
                    label=word(rng),
                    drawstyle="steps" if kind == "step" else None,
                )
        case "bar":
            axis.bar(
                x[:12],
                np.abs(values[0])[:12],
                color=[np.array(vivid(rng)) / 255 for _ in x[:12]] if rng.random() < 0.3 else None,
            )
        case "hbar":
            axis.barh([word(rng) + str(i) for i in range(min(count, 10))], np.abs(values[0])[:10])
        case "scatter":
            for row in values:
                axis.scatter(
                    numbers.normal(0, 1, count), row, s=rng.randint(5, 80), alpha=rng.uniform(0.4, 1), label=word(rng)
                )
        case "hist":
            axis.hist(numbers.normal(0, 1, 300), bins=rng.randint(6, 40))
        case "area":
            axis.fill_between(x, values[0], alpha=rng.uniform(0.3, 1))
        case "pie":
            axis.pie(np.abs(values[0][:6]) + 0.1, labels=[word(rng) for _ in range(min(6, count))])
        case "box":
            axis.boxplot(numbers.normal(0, 1, (30, rng.randint(2, 8))))
        case "heat":
            axis.imshow(
                numbers.random((rng.randint(4, 14), rng.randint(4, 14))),
                cmap=rng.choice(("viridis", "magma", "Blues", "coolwarm")),
            )
        case "stack":
            axis.stackplot(x, np.abs(values))
    if rng.random() < 0.6:
        axis.set_title(words(rng, rng.randint(1, 4)))
    if rng.random() < 0.6:
        axis.set_xlabel(word(rng))
        axis.set_ylabel(word(rng))
    if kind in ("line", "scatter", "step") and rng.random() < 0.5:
        axis.legend()
    if rng.random() < 0.3:
        axis.grid(True)
    if rng.random() < 0.1:
        axis.axis("off")
