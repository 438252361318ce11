"""Versions side by side inside the entry model: routes, shadows, and what both add to metrics and log."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moderation.errors import InputError
from moderation.launcher.preflight import REGION_PREFIX, SHM
from moderation.pipeline.items import Item
from moderation.pipeline.release import Release
from moderation.pipeline.run import Call, Run
from moderation.rollout.answer import answer
from moderation.rollout.load import LiveItems
from moderation.rollout.plan import Plan
from moderation.rollout.router import Router
from moderation.rollout.shadow import Seen, Shadows
from moderation.serving import adapter
from moderation.serving.metrics import Metrics
from moderation.telemetry import record

_SLOTS_A_VERSION: Final = 64


@dataclass(frozen=True)
class Context:
    """What the items of a request have in common.

    Attributes:
        settings: parameters and forwarded headers of the request.
        subject: attributes of the caller.
        image_limits: see `Run`.
        deadline: likewise.
    """

    request_id: str
    settings: Mapping[str, Any]
    subject: Mapping[str, str]
    image_limits: Mapping[str, str]
    deadline: float


class Routing:
    """Answers the items of one instance by the routes.

    Args:
        args: of the backend's `initialize`.
        folder: version folder of the entry model.
        metrics: of the instance.

    Raises:
        ConfigError: the routes, the manifests or the parameter `shadow_max_live` are wrong.
    """

    def __init__(self, args: Mapping[str, str], folder: Path, release: Release, metrics: Metrics, limit_s: float):
        self._name, self._metrics = args["model_name"], metrics
        self._router = Router(release, folder, self._routes_changed)
        instance = int(args["model_instance_name"].rpartition("_")[2])
        # named by the server, so that leftovers of one that is gone are cleared at the next start
        self._live = LiveItems(
            SHM / f"{REGION_PREFIX}{os.getppid()}-live", int(args["model_version"]) * _SLOTS_A_VERSION + instance
        )
        most = int(adapter.parameters(args).get("shadow_max_live", "1"))
        self._shadows = Shadows(self._router, adapter.call_alone, self._live, most, self._seen, limit_s)

    async def answer(
        self,
        item: Item,
        caller: adapter.Caller,
        context: Context,
    ) -> dict[str, Any]:
        """RESULT of one item, without `request_id`; its shadows look at it afterwards.

        Raises:
            ModerationError: as `moderate`; `InputError` also for versions that may not be asked for.
        """
        plan = self._router.plan(item, context.subject, context.settings)

        def run(found: Plan, call: Call) -> Run:
            parts = self._router.parts(found)
            return Run(call, *parts, context.deadline, caller.cancelled, context.subject, context.image_limits)

        try:
            with self._live:
                found = await answer(item, plan, caller, run)
        except InputError:
            raise
        except Exception:
            self._metrics.add(*record.of_failed((model, plan.versions[model]) for model in plan.stable))
            raise
        self._metrics.add(*record.of_answer(found))
        self._shadows.offer(item, found, context.subject, context.request_id)
        return found.result

    def close(self) -> None:
        """The instance ends."""
        self._live.remove()

    def _routes_changed(self, fault: str | None) -> None:
        self._metrics.add(record.of_routes(fault))
        if fault:
            adapter.log(f"{self._name}: the old routes stay in force: {fault}", error=True)

    def _seen(self, seen: Seen) -> None:
        self._metrics.add(record.of_shadow(seen))
        if seen.differs:
            adapter.log(seen.line())
