"""A container's probes: `python -m moderation.deploy.probe ready|alive [PORT]`, exit code 0 or 1 and one sentence.

Not a sub-command of `moderation`: importing that takes longer than the probe, and a probe runs every few seconds.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final

from moderation.contract import ENTRY
from moderation.launcher import heartbeat
from moderation.launcher.heartbeat import Beat

STALE_S: Final = 60.0
"""A launcher that was silent for so long hangs. Reloading a model, during which it is silent, takes a second or so."""
HEAL_S: Final = 45.0
"""A dead Python process that was not replaced by now never will be: healing takes a second (tests/bench/heal.py)."""
TIMEOUT_S: Final = 3.0


def judge(kind: str, answers: Callable[[str], bool], beat: Beat | None) -> str:
    """What speaks against it; empty when nothing does.

    Args:
        kind: `ready` (send requests here) or `alive` (do not restart it).
        answers: whether a GET of a path of the server is answered with 200.
        beat: the launcher's last heartbeat.

    Raises:
        ValueError: another kind.
    """
    if kind not in ("ready", "alive"):
        raise ValueError(f"`{kind}` is no probe; allowed: ready, alive")
    if beat is None:
        return "the launcher has not written a heartbeat yet"
    if beat.age_s > STALE_S:
        return f"the launcher has been silent for {beat.age_s:.0f} s"
    patience = 0.0 if kind == "ready" else HEAL_S
    dead = [f"{model} for {seconds:.0f} s" for model, seconds in sorted(beat.troubled.items()) if seconds > patience]
    if dead:
        return f"a Python process is missing: {', '.join(dead)}"
    path = f"/v2/models/{ENTRY}/ready" if kind == "ready" else "/v2/health/live"
    return "" if answers(path) else f"{path} is not answered with 200"


def main(arguments: list[str]) -> int:
    """Exit code of a probe."""
    port = int(arguments[1]) if len(arguments) > 1 else 8000

    def answers(path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    trouble = judge(arguments[0], answers, heartbeat.read(heartbeat.file(port)))
    sys.stdout.write(f"{trouble or arguments[0]}\n")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
