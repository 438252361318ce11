"""content-moderation-ensemble, the entry point: each item through every stage to DECISION, SEVERITY and RESULT."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

from moderation import contract
from moderation.errors import InputError, ModerationError
from moderation.guard.guard import Guard
from moderation.pipeline.items import Item, parse
from moderation.pipeline.release import STAGES, Release
from moderation.serving import adapter
from moderation.serving.executor import use_wide_executor
from moderation.serving.memory import Sweeper
from moderation.serving.metrics import Metrics
from moderation.serving.routing import Context, Routing
from moderation.telemetry.log import RequestLog
from moderation.telemetry.reference import Reference


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.name = args["model_name"]
        folder = Path(pb.get_model_dir())
        release = Release.load(folder)
        self.deadline_ms = float(adapter.parameters(args).get("deadline_ms", "10000"))
        self.metrics = Metrics(model for model in release.versions if model in STAGES)
        self.guard = Guard.from_environment(self.metrics.add)
        self.log = RequestLog.from_environment(adapter.log)
        self.routing = Routing(args, folder, release, self.metrics, self.deadline_ms / 1e3)
        if args["model_instance_name"].endswith("_0_0"):  # one instance speaks for the whole server
            self.metrics.watch_machine()
        if reference := Reference.load(folder):
            self.metrics.add(*reference.samples())
        self.sweeper = Sweeper()
        self.metrics.start()

    def finalize(self) -> None:
        """The audit log and the metrics port get what still waits."""
        self.guard.close()
        self.routing.close()
        self.metrics.close()

    async def execute(self, requests: list[Any]) -> list[Any]:
        """All requests of the batch at once, each item on its own."""
        use_wide_executor()
        responses = list(await asyncio.gather(*(self._answer(request) for request in requests)))
        self.sweeper.sweep()
        return responses

    async def _answer(self, request: Any) -> Any:
        started = time.perf_counter()
        response, error = await self._respond(request)
        self.metrics.request(time.perf_counter() - started, error)
        return response

    async def _respond(self, request: Any) -> tuple[Any, Exception | None]:
        """The response, and the error that it consists of, if it does."""
        caller, request_id = adapter.Caller(request), ""
        try:
            settings = adapter.request_parameters(request)
            request_id = str(settings.get("x-request-id") or request.request_id() or uuid.uuid4())
            inputs = {t.name: adapter.array(request, t.name) for t in contract.MODELS[contract.ENTRY].inputs}
            with self.guard.admit(settings, inputs) as ticket:
                deadline = time.monotonic() + ticket.deadline_ms(self._deadline(settings)) / 1e3
                items = [ticket.item(item) for item in parse(inputs)]
                context = Context(request_id, settings, ticket.subject, ticket.tenant.image_limits(), deadline)
                outcomes = await asyncio.gather(*(self._one(item, caller, context) for item in items))
                self.log.items(request_id, caller.trace_id(), outcomes)
                if len(outcomes) == 1 and isinstance(outcomes[0], Exception):
                    return adapter.error_response(outcomes[0], self.name), outcomes[0]
                results = [{**self._document(outcome), "request_id": request_id} for outcome in outcomes]
                results = await self.guard.record(ticket, request_id, results, deadline - time.monotonic())
            outputs = {
                "DECISION": adapter.strings([r["decision"] for r in results]).reshape(-1, 1),
                "SEVERITY": np.array([[r.get("severity", 0)] for r in results], np.int32),
                "RESULT": adapter.strings([json.dumps(r, ensure_ascii=False) for r in results]).reshape(-1, 1),
            }
            return adapter.response(outputs), None
        except Exception as error:
            self.metrics.error(error)
            self.log.items(request_id, caller.trace_id(), [error])
            return adapter.error_response(error, self.name), error

    def _deadline(self, settings: dict[str, Any]) -> float:
        """Milliseconds this request may take: the caller's `deadline_ms`, never more than the model's."""
        wanted = settings.get("deadline_ms", self.deadline_ms)
        try:
            value = float(wanted)
        except (TypeError, ValueError):
            value = -1.0
        if not value > 0:
            raise InputError("parameter deadline_ms must be a number above 0, in milliseconds", reason="bad_deadline")
        return min(value, self.deadline_ms)

    async def _one(
        self, item: Item | InputError, caller: adapter.Caller, context: Context
    ) -> dict[str, Any] | Exception:
        try:
            if isinstance(item, InputError):
                raise item
            result = await self.routing.answer(item, caller, context)
        except Exception as error:
            self.metrics.error(error)
            return error
        self.metrics.result(result)
        return result

    def _document(self, outcome: dict[str, Any] | Exception) -> dict[str, Any]:
        if not isinstance(outcome, Exception):
            return outcome
        known = outcome if isinstance(outcome, ModerationError) else ModerationError(adapter.report(outcome, self.name))
        return {"decision": contract.ERROR_DECISION, "error": known.as_item()}
