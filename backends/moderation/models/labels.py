"""What the classes of a network mean: its raw names mapped to names of the taxonomy, as data that is checked first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from moderation import contract
from moderation.errors import StageError
from moderation.taxonomy import Taxonomy
from moderation.taxonomy.taxonomy import is_custom

_SLACK = 1e-3
"""Rounding of FP16 and bfloat16 around 0 and 1."""


class Strict(BaseModel):
    """No unknown keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Label(Strict):
    """One class of a network.

    Attributes:
        raw: the network's own name for it.
        name: what it is in the taxonomy; null says outright that it means nothing (`normal`, `neutral`).
        weight: what its score is multiplied by, above 0 and at most 1: less than 1 for a class that only partly means
            the name.
    """

    raw: Annotated[str, Field(min_length=1)]
    name: str | None
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0


def faults_of(labels: Sequence[Label], model: str) -> list[str]:
    """What is wrong with the labels of a model, one sentence each.

    Label names must be in the taxonomy; a content-classifier has content types, every other network has none.
    """
    taxonomy = Taxonomy.load()
    faults = [f"raw name `{raw}` is there {n} times" for raw, n in Counter(x.raw for x in labels).items() if n > 1]
    for index, label in enumerate(labels):
        place = f"labels[{index}] ({label.raw}): "
        kinds = model == contract.CLASSIFIER
        if label.name is None:
            if kinds:
                faults.append(place + "every class of a content-classifier needs a name; custom/<name> is allowed")
        elif not taxonomy.knows(label.name):
            near = taxonomy.suggest(label.name)
            hint = f"did you mean `{near}`?" if near else "names of your own start with custom/"
            faults.append(place + f"`{label.name}` is not in taxonomy {taxonomy.version}; {hint}")
        elif not is_custom(label.name) and kinds != (label.name in taxonomy.content_types):
            wanted = ", ".join(taxonomy.content_types) if kinds else "a label, not a content type"
            faults.append(place + f"`{label.name}` cannot be used for {model}; allowed: {wanted}")
    return faults


@dataclass(frozen=True)
class Classes:
    """The classes of one network, in order.

    Attributes:
        labels: meaning by class index.
        exclusive: whether the scores of all classes sum to 1.
    """

    labels: tuple[Label, ...] = ()
    exclusive: bool = True

    def names(self) -> tuple[str, ...]:
        """Names that the network can give, each once."""
        return tuple(dict.fromkeys(label.name for label in self.labels if label.name is not None))

    def scores(self, values: npt.NDArray[Any], model: str) -> dict[str, float]:
        """Score 0-1 of each name.

        Args:
            values: [classes], probabilities.
            model: for the message.

        Raises:
            StageError: another number of values than classes, or a value that is no probability: an answer like this
                must not count as nothing found.
        """
        rows = np.asarray(values, np.float64)
        if rows.shape != (len(self.labels),) or not ((rows >= -_SLACK) & (rows <= 1 + _SLACK)).all():
            raise StageError(
                f"{model} gave {rows.size} values that are no probabilities of its {len(self.labels)} labels"
            )
        found = dict.fromkeys(self.names(), 0.0)
        for label, value in zip(self.labels, rows, strict=True):
            if label.name is not None:
                score = label.weight * float(value)
                known = found[label.name]
                found[label.name] = known + score if self.exclusive else max(known, score)
        return {name: min(max(score, 0.0), 1.0) for name, score in found.items()}
