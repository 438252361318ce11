"""Fitting the network to pictures in memory, with augmentation on the batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from moderation.train.network import SIDE, ContentClassifier, imagenet_file, load_imagenet

Stages = tuple[tuple[int, float], ...]
STAGES: Final[Stages] = ((128, 0.5), (160, 0.3), (SIDE, 0.2))
"""Picture side and share of the steps: small pictures teach most for a fifth of the cost (as in progressive resizing,
Howard, DAWNBench 2018), full size at the end teaches what the network is used on."""
FINE_STAGES: Final[Stages] = ((160, 0.6), (SIDE, 0.4))
"""The same for a training that goes on from given weights."""
_STORED: Final = 160
"""Side up to which batches come from pictures shrunk once and for all."""
_HEAD: Final = 4.0
"""How much faster the head learns, which begins with nothing, than what has seen ImageNet."""
WATCH_EVERY: Final = 200
"""Steps between looks at the watched sources, at full size."""


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
        rate: highest learning rate, one cycle (Smith and Topin, 2018); the head has a higher one.
        decay: weight decay of AdamW.
        smoothing: of labels.
        mix: share of batches in which pairs of pictures are mixed (Zhang et al., "mixup", 2018).
        seed: of everything random.
        patience: looks at the watched sources without a better loss before training stops early.
    """

    steps: int = 900
    batch: int = 64
    rate: float = 6e-4
    decay: float = 0.05
    smoothing: float = 0.05
    mix: float = 0.3
    seed: int = 7
    patience: int = 4


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


def augment(pixels: Tensor, rng: np.random.Generator, side: int = SIDE) -> Tensor:
    """A batch [n, 3, h, w], 0-1, cropped to `side` with changes of light, colour, sharpness and orientation."""
    n = len(pixels)
    scale = torch.from_numpy(rng.uniform(0.62, 1.0, (n, 2))).float()
    shift = (1 - scale) * torch.from_numpy(rng.uniform(-1, 1, (n, 2))).float()
    angle = torch.from_numpy(np.where(rng.random(n) < 0.3, rng.normal(0, 0.08, n), 0)).float()
    angle = angle + torch.from_numpy(np.where(rng.random(n) < 0.08, rng.uniform(-math.pi, math.pi, n), 0)).float()
    flip = torch.from_numpy(np.where(rng.random(n) < 0.3, -1.0, 1.0)).float()
    cosine, sine = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([flip * scale[:, 0] * cosine, -scale[:, 1] * sine, shift[:, 0]], 1),
            torch.stack([flip * scale[:, 0] * sine, scale[:, 1] * cosine, shift[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, [n, 3, side, side], align_corners=False)
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
        small = int(rng.integers(side * 3 // 7, side * 8 // 9))
        out = functional.interpolate(functional.interpolate(out, small, mode="area"), side, mode="bilinear")
    noise = torch.from_numpy(np.where(rng.random(n) < 0.2, rng.uniform(0, 0.06, n), 0)).float()
    return (out + torch.randn_like(out) * noise[:, None, None, None]).clamp(0, 1)


def to_batch(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """[n, h, w, 3] UINT8 to [n, 3, h, w], 0-1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def _moving_average(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Exponential moving average that forgets the untrained beginning quickly."""
    keep = min(0.998, (1 + int(count)) / (10 + int(count)))
    return average * keep + current * (1 - keep)


def shrink(pixels: npt.NDArray[np.uint8], side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Pictures [n, h, w, 3] with a smaller side, by averaging areas."""
    import cv2

    return np.stack([cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pixels])


def _side(step: int, steps: int, stages: Stages) -> int:
    """Picture side of a step."""
    done = 0.0
    for side, share in stages:
        done += share
        if step < round(done * steps):
            return side
    return stages[-1][0]


class _Watch:
    """Early stopping: keeps the network that did best on sources that it does not learn from."""

    def __init__(self, data: Data | None, patience: int) -> None:
        self._data, self._patience = data, patience
        self._best, self._worse = math.inf, 0
        self.kept: Any = None

    def look(self, network: Any) -> bool:
        """Whether to stop."""
        if self._data is None:
            return False
        found = torch.from_numpy(scores(network, self._data.pixels))
        each = functional.cross_entropy(found, torch.from_numpy(self._data.labels), reduction="none")
        labels = self._data.labels
        loss = float(np.mean([each[torch.from_numpy(labels == label)].mean().item() for label in np.unique(labels)]))
        if loss < self._best:
            self._best, self._worse, self.kept = loss, 0, copy.deepcopy(network)
        else:
            self._worse += 1
        return self._worse >= self._patience


def _optimizer(network: ContentClassifier, plan: Plan) -> tuple[Any, Any]:
    """AdamW and one cycle of its rate, higher for the head."""
    head = {id(parameter) for parameter in network.head.parameters()}
    body = [parameter for parameter in network.parameters() if id(parameter) not in head]
    groups = [{"params": body, "lr": plan.rate}, {"params": network.head.parameters(), "lr": plan.rate * _HEAD}]
    optimizer = torch.optim.AdamW(groups, weight_decay=plan.decay)
    highest = [plan.rate, plan.rate * _HEAD]
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=plan.steps, pct_start=0.1)


def fit(
    data: Data,
    plan: Plan,
    classes: int,
    on_step: Callable[[int, float, ContentClassifier], None] = lambda *_: None,
    watch: Data | None = None,
    stages: Stages = STAGES,
    start: Mapping[str, Any] | None = None,
) -> ContentClassifier:
    """Train from ImageNet's or from given weights; the same data, plan and machine give the same network.

    Args:
        data: pictures to learn from.
        plan: how.
        classes: how many there are.
        on_step: called with (step, loss, averaged network) after each step.
        stages: picture sides and their shares of the steps.
        start: weights of another training to go on from, instead of those that know ImageNet.
        watch: pictures of other sources; training at full size stops when they no longer gain.

    Raises:
        ConfigError: there is no `start`, and the package with ImageNet's weights is missing.

    Returns:
        The exponential moving average of the weights; with `watch`, as it was when `watch` did best.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    network = ContentClassifier(classes)
    if start is not None:
        network.load_state_dict(start)
    else:
        load_imagenet(network, torch.load(imagenet_file(), weights_only=True))
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_moving_average, use_buffers=True)
    optimizer, schedule = _optimizer(network, plan)
    chance = weights(data)
    watched = _Watch(watch, plan.patience)
    small = shrink(data.pixels, _STORED)
    recent = math.nan
    for step in range(plan.steps):
        network.train()
        side = _side(step, plan.steps, stages)
        chosen = rng.choice(len(chance), plan.batch, p=chance)
        stored = small if side <= small.shape[1] else data.pixels
        pixels = augment(to_batch(stored[chosen]), rng, side).contiguous(memory_format=torch.channels_last)
        target = functional.one_hot(torch.from_numpy(data.labels[chosen]), classes).float()
        if rng.random() < plan.mix:
            share = float(rng.beta(0.4, 0.4))
            pixels = share * pixels + (1 - share) * pixels.flip(0)
            target = share * target + (1 - share) * target.flip(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(pixels)
        loss = functional.cross_entropy(found.float(), target, label_smoothing=plan.smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        recent = loss.item() if math.isnan(recent) else 0.98 * recent + 0.02 * loss.item()
        on_step(step, recent, average.module)
        last = step + 1 == plan.steps
        if side == SIDE and (last or (step + 1) % WATCH_EVERY == 0) and watched.look(average.module):
            break
    trained: Any = watched.kept or average.module
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
