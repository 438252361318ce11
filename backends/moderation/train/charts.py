"""Synthetic charts: plots in many styles, and diagrams of boxes and arrows."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from moderation.train.drawing import Grounds, Picture, colour, font, vivid, word, words


def chart(rng: random.Random, grounds: Grounds) -> Picture:
    """Plots in many styles by matplotlib, and diagrams of boxes and arrows."""
    return _diagram(rng) if rng.random() < 0.4 else plot(rng)


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


def _diagram(rng: random.Random) -> Picture:
    """Boxes joined by arrows: flow charts, architectures, graphs."""
    size = (rng.randint(400, 1100), rng.randint(300, 900))
    back = (255, 255, 255) if rng.random() < 0.8 else colour(rng, 220, 255)
    sheet = Image.new("RGB", size, back)
    draw = ImageDraw.Draw(sheet)
    columns, rows = rng.randint(2, 6), rng.randint(2, 6)
    fills = [rng.choice([back, colour(rng, 150, 255), vivid(rng)]) for _ in range(rng.randint(1, 3))]
    ink, round_ = rng.choice([(0, 0, 0), (60, 60, 60), vivid(rng)]), rng.choice((0, 0, 8, 99))
    line = rng.randint(1, 4)
    cell = size[0] / columns, size[1] / rows
    face = font(rng, int(min(cell) / rng.uniform(5, 9)))
    boxes = []
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.3:
                continue
            w, h = cell[0] * rng.uniform(0.4, 0.8), cell[1] * rng.uniform(0.3, 0.7)
            cx, cy = (column + 0.5) * cell[0], (row + 0.5) * cell[1]
            boxes.append((cx, cy, w, h))
    for (ax, ay, *_), (bx, by, *_) in zip(boxes, boxes[1:] + boxes[:1], strict=True):
        if rng.random() < 0.75:
            corner = (bx, ay) if rng.random() < 0.6 else (ax, ay)
            draw.line([(ax, ay), corner, (bx, by)], fill=ink, width=line)
            angle = math.atan2(by - corner[1], bx - corner[0])
            tip = ((corner[0] + bx) / 2, (corner[1] + by) / 2)
            wings = [(tip[0] - 10 * math.cos(angle + d), tip[1] - 10 * math.sin(angle + d)) for d in (0.5, -0.5)]
            draw.polygon([tip, *wings], fill=ink)
    for cx, cy, w, h in boxes:
        area = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        if round_ == 99:
            draw.ellipse(area, fill=rng.choice(fills), outline=ink, width=line)
        else:
            draw.rounded_rectangle(area, round_, fill=rng.choice(fills), outline=ink, width=line)
        label = words(rng, rng.randint(1, 2))
        draw.text((cx - min(w / 2, face.getlength(label) / 2), cy - face.size / 2), label, font=face, fill=ink)
    return sheet
