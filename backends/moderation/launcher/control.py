"""Triton's HTTP control interface: readiness, the repository index, load and unload. Standard library only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from moderation.errors import LaunchError
from moderation.launcher import admin


@dataclass(frozen=True)
class ModelState:
    """One line of the repository index."""

    name: str
    version: str
    state: str
    reason: str


class Control:
    """One server's control interface.

    Args:
        url: `http://host:port`.
        timeout_s: for one call; loading a model may take that long.
        token: for the management APIs; by default the one that is known for this server, see `launcher.admin`.
    """

    def __init__(self, url: str, timeout_s: float = 120.0, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._token = admin.token_for(url) if token is None else token

    def call(self, path: str, body: dict[str, Any] | None = None, *, timeout_s: float | None = None) -> Any:
        """GET without a body, POST with one; the JSON of the answer, or None when it is empty.

        Raises:
            LaunchError: the server refused, with its own sentence, or cannot be reached.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {admin.HEADER: self._token} if self._token else {}
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - http(s) of our own server
        try:
            with urllib.request.urlopen(request, timeout=timeout_s or self.timeout_s) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                sentence = json.loads(text)["error"]
            except (ValueError, KeyError, TypeError):
                sentence = f"HTTP {error.code}"
            raise LaunchError(f"{path} was refused: {sentence}") from None
        except (urllib.error.URLError, OSError) as error:
            raise LaunchError(f"no answer from {self.url}: {getattr(error, 'reason', error)}") from None
        return json.loads(text) if text else None

    def ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, says that it is ready."""
        path = f"/v2/models/{model}/ready" if model else "/v2/health/ready"
        try:
            self.call(path, timeout_s=5)
        except LaunchError:
            return False
        return True

    def index(self) -> list[ModelState]:
        """Every model version of the repository with its state."""
        rows = cast("list[dict[str, str]]", self.call("/v2/repository/index", {}) or [])
        return [
            ModelState(r["name"], r.get("version", ""), r.get("state", "UNAVAILABLE"), r.get("reason", ""))
            for r in rows
        ]

    def instances(self, model: str) -> int:
        """Instances that a model should have: those of its configuration for each version that is ready."""
        groups = self.call(f"/v2/models/{model}/config").get("instance_group", [])
        ready = sum(1 for state in self.index() if state.name == model and state.state == "READY")
        return ready * sum(int(group.get("count", 1)) for group in groups)

    def load(self, model: str) -> None:
        """Load a model, or load what changed in it."""
        self.call(f"/v2/repository/models/{model}/load", {})

    def serve_versions(self, model: str, versions: Collection[int]) -> None:
        """Load exactly these versions of a model. Those that are loaded serve on meanwhile, and when a load fails.

        The list is sent along with the load, as `version_policy`, and holds until the next plain `load`. A version that
        goes finishes what it has begun.

        Raises:
            LaunchError: a version does not load; the message has Triton's reasons.
        """
        config = self.call(f"/v2/models/{model}/config")
        config["version_policy"] = {"specific": {"versions": sorted(versions)}}
        self.call(f"/v2/repository/models/{model}/load", {"parameters": {"config": json.dumps(config)}})
        if lacking := sorted(set(versions) - self.versions(model)):
            why = {s.version: s.reason for s in self.index() if s.name == model}
            faults = [f"{model} {v} is not ready: {why.get(str(v), 'no such version')}" for v in lacking]
            raise LaunchError("; ".join(faults))

    def versions(self, model: str) -> set[int]:
        """Versions of a model that are ready."""
        return {int(s.version) for s in self.index() if s.name == model and s.state == "READY"}

    def unload(self, model: str, timeout_s: float | None = None) -> None:
        """Unload a model once its requests are done."""
        self.call(f"/v2/repository/models/{model}/unload", {}, timeout_s=timeout_s)

    def reload(self, model: str) -> None:
        """Load fresh instances of a model and then drop the old ones, even when no file of it changed.

        Triton does nothing on a load without a change, so the configuration is sent along with a parameter that is new
        each time. It holds until the next plain `load`, which reads the repository again.
        """
        config = self.call(f"/v2/models/{model}/config")
        config.setdefault("parameters", {})["reloaded"] = {"string_value": str(time.time_ns())}
        self.configure(model, config)

    def configure(self, model: str, config: dict[str, Any]) -> None:
        """Load a model with another configuration than its files have; holds until the next plain `load`."""
        self.call(f"/v2/repository/models/{model}/load", {"parameters": {"config": json.dumps(config)}})
