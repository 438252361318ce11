"""An item through the versions of its plan; what a version on trial cannot do, the stable one does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moderation import contract
from moderation.errors import InputError, StageError
from moderation.pipeline.items import Item
from moderation.pipeline.moderate import moderate
from moderation.pipeline.run import Array, Call, Run, stage_of
from moderation.rollout.plan import Plan

Key = tuple[str, int, int, tuple[tuple[str, str], ...]]
Answers = dict[Key, dict[str, Array] | Exception]


class Recorder:
    """Calls stages and keeps their answers, so that an item can pass again with another version of one of them.

    Args:
        call: who answers what is not known.
        known: answers of the same item's first pass. The policy's are never used: what it is asked has changed.
    """

    def __init__(self, call: Call, known: Mapping[Key, dict[str, Array] | Exception] | None = None) -> None:
        self._call = call
        self._known = known or {}
        self._calls: Counter[str] = Counter()
        self.answers: Answers = {}

    async def __call__(
        self,
        model: str,
        version: int,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        parameters: Mapping[str, str],
    ) -> dict[str, Array]:
        """As `Call`. A model's calls are told apart by their number: frames are asked in order."""
        self._calls[model] += 1
        key = (model, version, self._calls[model], tuple(sorted(parameters.items())))
        outcome = self._known.get(key) if model != contract.DECISION_LOGIC else None
        if outcome is None:
            try:
                outcome = await self._call(model, version, inputs, outputs, parameters)
            except (InputError, StageError) as error:
                outcome = error
        self.answers[key] = outcome
        if isinstance(outcome, Exception):
            raise outcome
        return dict(outcome)


@dataclass(frozen=True)
class Answer:
    """What came of an item.

    Attributes:
        plan: who answered.
        failed: (stage, version) that could not.
        answers: of every stage that was called.
    """

    result: dict[str, Any]
    plan: Plan
    failed: tuple[tuple[str, int], ...] = ()
    answers: Answers = field(default_factory=dict)


async def answer(item: Item, plan: Plan, call: Call, run: Callable[[Plan, Call], Run]) -> Answer:
    """RESULT of one item by its plan. Where a version on trial fails, the item passes again without it.

    Args:
        call: calls a version of a stage.
        run: makes the run of a plan with a way to call.

    Raises:
        ModerationError: as `moderate`.
    """
    if not plan.by and not plan.shadows:
        return Answer(await moderate(item, run(plan, call)), plan)
    started = time.perf_counter()
    recorder = Recorder(call)
    try:
        result = await moderate(item, run(plan, recorder))
        failed = {model: version for model, version in plan.trials.items() if stage_of(model) in result["unknown"]}
    except (InputError, StageError):
        failed = plan.trials
        if not failed:
            raise
    if failed:
        plan = plan.without(failed)
        recorder = Recorder(call, recorder.answers)
        result = await moderate(item, run(plan, recorder))
        result["timings_ms"]["total"] = round((time.perf_counter() - started) * 1e3, 2)
    if plan.by:
        result["routes"] = plan.report()
    lost = {model: plan.versions[model] for model in plan.stable if stage_of(model) in result["unknown"]}
    return Answer(result, plan, (*failed.items(), *lost.items()), recorder.answers)
