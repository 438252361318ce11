"""What quantisation measured in one network: `int8.json` beside its manifest.

Calibration takes minutes, pictures and NNCF; what comes of it is a few hundred numbers. They are kept as data, as
TensorRT keeps a calibration cache, so that a build takes seconds, needs neither, and gives the same bytes everywhere.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from moderation.errors import ModelBuildError
from moderation.models.labels import Strict

FILE: Final = "int8.json"
Numbers = Annotated[list[float], Field(min_length=1)]


class Activation(Strict):
    """Values between two layers, in 256 levels from `low` to `high`: one number each, or one for each channel.

    Attributes:
        source: `NODE:OUTPUT` whose values these are.
        into: `NODE:INPUT` that read them.
        low: smallest value; with several numbers they lie along axis 1.
        high: greatest value.
    """

    source: str
    into: Annotated[list[str], Field(min_length=1)]
    low: Numbers
    high: Numbers


class Weights(Strict):
    """Constants in 255 levels around 0, whose ends follow from the constants themselves.

    Attributes:
        into: `NODE:INPUT` that reads them.
        axis: along which every slice has a range of its own (output channels); None: one range for all.
        spread: the ends are this many times the greatest constant. NNCF takes 2 in the first layer, so that sums of
            two products fit 16 bits on processors without VNNI.
    """

    into: str
    axis: int | None = None
    spread: float = 1.0


class Bias(Strict):
    """What is added to a layer instead of its own bias, so that its mean output stays what it was in FP32.

    Attributes:
        into: `NODE:INPUT` that reads it.
        values: one for each channel.
    """

    into: str
    values: Numbers


class Ranges(Strict):
    """Everything a build needs.

    Attributes:
        graph: `fingerprint` of the FP32 graph that this fits.
        made_with: tool and pictures, for people.
    """

    graph: str
    made_with: str
    activations: list[Activation]
    weights: list[Weights]
    biases: list[Bias] = Field(default_factory=list)


def load(path: Path) -> Ranges:
    """Read ranges.

    Raises:
        ModelBuildError: not there, or not such a file.
    """
    try:
        return Ranges.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBuildError(f"{path} cannot be read: {type(error).__name__}") from None
    except (ValueError, ValidationError) as error:
        raise ModelBuildError(f"{path} holds no ranges of a network: {' '.join(str(error).split())[:300]}") from None


def save(ranges: Ranges, path: Path) -> None:
    """One entry a line, so that two versions can be compared."""
    document = ranges.model_dump(exclude_none=True)
    lines = [f' "{key}": {json.dumps(document[key])}' for key in ("graph", "made_with")]
    for key in ("activations", "weights", "biases"):
        rows = ",\n".join(f"  {json.dumps(row)}" for row in document[key])
        lines.append(f' "{key}": [\n{rows}\n ]' if rows else f' "{key}": []')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def fingerprint(model: Any) -> str:
    """A digest of the layers of a network and of what reads what; weights do not count."""
    total = hashlib.sha256()
    for node in model.get_ordered_ops():
        edges = [str(node.input_value(i).get_node().get_friendly_name()) for i in range(node.get_input_size())]
        total.update(f"{node.get_friendly_name()} {node.get_type_name()} {edges}\n".encode())
    return total.hexdigest()[:16]
