"""Fitting the network to pictures in memory, with augmentation on the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from moderation.train.network import SIDE, ContentClassifier


@dataclass(frozen=True)
class Data:
    """Pictures [n, 256, 256, 3] UINT8 with their class index and source."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    sources: npt.NDArray[np.str_]

    def subset(self, mask: npt.NDArray[np.bool_]) -> Data:
        """The pictures where the mask is true."""
        return Data(self.pixels[mask], self.labels[mask], self.sources[mask])


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: batches.
        batch: pictures in one.
        rate: highest learning rate, one cycle (Smith and Topin, 2018).
        decay: weight decay of AdamW.
        smoothing: of labels.
        mix: share of batches in which pairs of pictures are mixed (Zhang et al., "mixup", 2018).
        seed: of everything random.
    """

    steps: int = 4000
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    smoothing: float = 0.05
    mix: float = 0.3
    seed: int = 7


def weights(data: Data) -> npt.NDArray[np.float64]:
    """Chance of each picture: classes alike; within a class, sources by the square root of their size.

    A large source would otherwise be all that a class is.
    """
    chance = np.zeros(len(data.labels))
    for label in np.unique(data.labels):
        of_class = data.labels == label
        names, counts = np.unique(data.sources[of_class], return_counts=True)
        shares = np.sqrt(counts) / np.sqrt(counts).sum()
        for name, count, share in zip(names, counts, shares, strict=True):
            chance[of_class & (data.sources == name)] = share / count
    return chance / chance.sum()


def augment(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A batch [n, 3, 256, 256], 0-1, cropped to 224 with changes of light, colour, sharpness and orientation."""
    n = len(pixels)
    scale = torch.from_numpy(rng.uniform(0.62, 1.0, (n, 2))).float()
    shift = (1 - scale) * torch.from_numpy(rng.uniform(-1, 1, (n, 2))).float()
    angle = torch.from_numpy(np.where(rng.random(n) < 0.3, rng.normal(0, 0.08, n), 0)).float()
    flip = torch.from_numpy(np.where(rng.random(n) < 0.3, -1.0, 1.0)).float()
    cosine, sine = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([flip * scale[:, 0] * cosine, -scale[:, 1] * sine, shift[:, 0]], 1),
            torch.stack([flip * scale[:, 0] * sine, scale[:, 1] * cosine, shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, [n, 3, SIDE, SIDE], align_corners=False)
    out = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    gain = torch.from_numpy(rng.uniform(0.7, 1.3, (n, 1, 1, 1))).float()
    tint = torch.from_numpy(rng.normal(1, 0.07, (n, 3, 1, 1))).float()
    mean = out.mean(dim=(1, 2, 3), keepdim=True)
    out = (out - mean) * torch.from_numpy(rng.uniform(0.6, 1.35, (n, 1, 1, 1))).float() + mean
    out = (out * gain * tint).clamp(1e-4, 1) ** torch.from_numpy(np.exp(rng.normal(0, 0.25, (n, 1, 1, 1)))).float()
    grey = torch.from_numpy(rng.random(n) < 0.15)
    out[grey] = out[grey].mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    negative = torch.from_numpy(rng.random(n) < 0.04)
    out[negative] = 1 - out[negative]
    if rng.random() < 0.25:  # the whole batch a little softer
        small = int(rng.integers(96, 200))
        out = functional.interpolate(functional.interpolate(out, small, mode="area"), SIDE, mode="bilinear")
    noise = torch.from_numpy(np.where(rng.random(n) < 0.2, rng.uniform(0, 0.06, n), 0)).float()
    return (out + torch.randn_like(out) * noise[:, None, None, None]).clamp(0, 1)


def to_batch(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """[n, h, w, 3] UINT8 to [n, 3, h, w], 0-1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def _moving_average(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average that forgets the untrained beginning quickly."""
    keep = min(0.998, (1 + int(count)) / (10 + int(count)))
    return average * keep + current * (1 - keep)


def fit(
    data: Data, plan: Plan, classes: int, on_step: Callable[[int, float, ContentClassifier], None] = lambda *_: None
) -> ContentClassifier:
    """Train from nothing; the same data, plan and machine give the same network.

    Args:
        data: pictures to learn from.
        plan: how.
        classes: how many there are.
        on_step: called with (step, loss, averaged network) now and then.

    Returns:
        The exponential moving average of the weights over the training.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    network = ContentClassifier(classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_moving_average, use_buffers=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, total_steps=plan.steps, pct_start=0.1)
    chance = weights(data)
    network.train()
    recent = math.nan
    for step in range(plan.steps):
        chosen = rng.choice(len(chance), plan.batch, p=chance)
        pixels = augment(to_batch(data.pixels[chosen]), rng).contiguous(memory_format=torch.channels_last)
        target = functional.one_hot(torch.from_numpy(data.labels[chosen]), classes).float()
        if rng.random() < plan.mix:
            share = float(rng.beta(0.4, 0.4))
            pixels = share * pixels + (1 - share) * pixels.flip(0)
            target = share * target + (1 - share) * target.flip(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = network(pixels)
        loss = functional.cross_entropy(scores.float(), target, label_smoothing=plan.smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        recent = loss.item() if math.isnan(recent) else 0.98 * recent + 0.02 * loss.item()
        on_step(step, recent, average.module)
    trained: Any = average.module
    return trained.eval()  # type: ignore[no-any-return]


@torch.inference_mode()
def scores(network: ContentClassifier, pixels: npt.NDArray[np.uint8], batch: int = 128) -> npt.NDArray[np.float32]:
    """Scores [n, classes] of pictures [n, h, w, 3], resized to what the network takes."""
    network.eval()
    parts = []
    for start in range(0, len(pixels), batch):
        part = functional.interpolate(to_batch(pixels[start : start + batch]), SIDE, mode="area")
        parts.append(network(part).float().numpy())
    return np.concatenate(parts)
