"""Which shapes a plan takes: the optimisation profile that follows from a network's config.pbtxt.

The batch goes from 1 to `max_batch_size`, optimised for the middle preferred size. Sides that the configuration fixes
are fixed; open ones have their range in the parameter `shapes`: smallest, usual and largest height×width.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation.errors import ModelBuildError

PARAMETER: Final = "shapes"
_SHAPES: Final = re.compile(r"(\d+)x(\d+) (\d+)x(\d+) (\d+)x(\d+)")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """Shapes of `PIXELS`, [batch, height, width, 3]: smallest, the one that kernels are chosen for, largest."""

    smallest: Shape
    usual: Shape
    largest: Shape

    def holds(self, shape: Shape) -> bool:
        """Whether the plan takes this shape."""
        return len(shape) == len(self.smallest) and all(
            low <= side <= high for low, side, high in zip(self.smallest, shape, self.largest, strict=True)
        )


def read_config(path: Path) -> Any:
    """A config.pbtxt as Triton's ModelConfig.

    Raises:
        ModelBuildError: not there, or not such a file; with the line.
    """
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except OSError as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    except text_format.ParseError as error:
        raise ModelBuildError(f"{path} is no model configuration: {error}") from None


def profile(config: Any, size: tuple[int, int]) -> Profile:
    """The optimisation profile of a network.

    Args:
        config: its ModelConfig.
        size: height and width of this version of the network, -1 where any is taken; from the manifest.

    Raises:
        ModelBuildError: naming the setting, its value and what is expected.
    """
    name = config.name
    (pixels,) = config.input
    fixed = [own if side == -1 else side for side, own in zip(pixels.dims[:2], size, strict=True)]
    if -1 in fixed:
        text = config.parameters[PARAMETER].string_value if PARAMETER in config.parameters else ""
        found = _SHAPES.fullmatch(text)
        if found is None:
            raise ModelBuildError(
                f"{name}: parameter {PARAMETER} is `{text}`; expected three sizes as height×width, smallest, usual and "
                "largest, such as `48x96 48x320 48x3840`: the network takes any size, a plan only a range"
            )
        numbers = list(map(int, found.groups()))
        sides = [(numbers[i], numbers[i + 1]) for i in (0, 2, 4)]
    else:
        sides = [(fixed[0], fixed[1])] * 3
    for axis, side in enumerate(fixed):
        chosen = [pair[axis] for pair in sides]
        if not 0 < chosen[0] <= chosen[1] <= chosen[2] or (side != -1 and set(chosen) != {side}):
            raise ModelBuildError(
                f"{name}: parameter {PARAMETER} gives {', '.join(map(str, chosen))} for the "
                f"{'height' if axis == 0 else 'width'}; expected {side if side != -1 else 'ascending sizes'}"
            )
    preferred = sorted(config.dynamic_batching.preferred_batch_size)
    batch = config.max_batch_size
    wrong = [size for size in preferred if not 1 <= size <= batch]
    if batch < 1 or wrong:
        raise ModelBuildError(
            f"{name}: preferred_batch_size {', '.join(map(str, wrong)) or 'none'} does not fit max_batch_size {batch}"
        )
    batches = (1, preferred[len(preferred) // 2] if preferred else batch, batch)
    return Profile(*((count, *pair, 3) for count, pair in zip(batches, sides, strict=True)))
