"""The content-classifier's network: small, convolutional, made for one core."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

SIDE: Final = 224
WIDTHS: Final = (32, 64, 128, 256)
DEPTHS: Final = (1, 2, 4, 2)
_MEAN: Final = 0.5
_STD: Final = 0.25


class Block(nn.Module):
    """Depthwise 3×3, then a pointwise bottleneck twice as wide, around a skip (as in MobileNetV2 and ConvNeXt)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, 2 * width, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * width, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, h, w] to the same shape."""
        return x + self.body(x)


class ContentClassifier(nn.Module):
    """Pixels to class scores.

    Mean and maximum over the picture go into the last layer: the mean sees what kind of picture it is, the maximum a
    small code in a corner.

    Args:
        classes: how many.
        dropout: before the last layer.
    """

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, WIDTHS[0] // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0] // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTHS[0] // 2, WIDTHS[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
        ]
        for index, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            if index:
                layers += [nn.Conv2d(WIDTHS[index - 1], width, 2, stride=2, bias=False), nn.BatchNorm2d(width)]
            layers += [Block(width) for _ in range(depth)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * WIDTHS[-1]), nn.Dropout(dropout), nn.Linear(2 * WIDTHS[-1], classes)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB [n, 3, 224, 224], 0-1, to scores [n, classes]."""
        features = self.features((pixels - _MEAN) / _STD)
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return self.head(pooled)


class Served(nn.Module):
    """The network as Triton calls it: UINT8 pixels in, calibrated probabilities out.

    Args:
        network: trained.
        temperature: scores are divided by it (Guo et al., "On Calibration of Modern Neural Networks", 2017).
    """

    def __init__(self, network: ContentClassifier, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> Tensor:
        """UINT8 RGB [n, 224, 224, 3] to probabilities [n, classes]."""
        scores = self.network(pixels.permute(0, 3, 1, 2).float() / 255)
        return torch.softmax(scores / self.temperature, dim=1)
