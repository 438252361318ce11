"""Processes that die or stop, and stages that go away: noticed, over by themselves, never a wrong answer."""

from __future__ import annotations

import contextlib
import signal
import time

import psutil
import pytest

from moderation import contract
from moderation.launcher.process import LINGER_S, STUB
from moderation.launcher.run import REPOSITORY
from serving.attack import triton
from serving.conftest import Running, stubs, wait_until
from serving.faults.report import UNDER_LOAD, note
from serving.load import load

pytestmark = UNDER_LOAD
WITH_STUBS = [name for name in contract.MODELS if list((REPOSITORY / name).glob("[0-9]*/*"))]
HOW = {"kill -9 of": signal.SIGKILL, "SIGSTOP of": signal.SIGSTOP}


@pytest.mark.parametrize("model", WITH_STUBS)
@pytest.mark.parametrize("how", HOW)
def test_a_process_that_no_longer_answers(damaged: Running, how: str, model: str) -> None:
    """Promise: kill -9 or SIGSTOP of a Python process of any model under load: errors or reviews for a moment, then all
    right."""
    wanted = damaged.control.instances(model)
    wait_until(lambda: len(stubs(damaged, model)) == wanted, 90)
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        victim = stubs(damaged, model)[0]
        moment = time.monotonic()
        victim.send_signal(HOW[how])
        wait_until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 30)
        # more while instances of the old load still wait for the request that the dead process had
        wait_until(lambda: len(stubs(damaged, model)) >= wanted, 90)
        replaced = time.monotonic()
        wait_until(lambda: protocol.healthy(replaced), 60)
    note(f"{how} a process of {model}", protocol, moment)
    if model == contract.ENTRY:  # the others would wait for the request that died
        wait_until(lambda: len(stubs(damaged, model)) == wanted, LINGER_S + 30)
        assert damaged.control.ready(model)


def test_a_killed_server(damaged: Running) -> None:
    """Promise: kill -9 of tritonserver: the launcher clears up and starts it again; clients only see no answer."""
    old = triton(damaged)
    orphans = [child.pid for child in old.children()]
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        old.kill()
        wait_until(lambda: protocol.healthy(moment + 1), 120)
    note("kill -9 of tritonserver", protocol, moment, may_break=True)
    assert triton(damaged).pid != old.pid
    assert not [pid for pid in orphans if psutil.pid_exists(pid) and _is_stub(pid)]


def _is_stub(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and STUB in (process.cmdline() or [""])[0]
    return False


@pytest.mark.parametrize("model", [contract.SAFETY, contract.OCR, contract.DECISION_LOGIC])
def test_a_composing_model_is_unloaded(damaged: Running, model: str) -> None:
    """Promise: a stage that goes away under load means a review or an error, and nothing remains when it is back."""
    with load(damaged.http, damaged.grpc) as protocol:
        wait_until(lambda: protocol.healthy(0, 4), 60)
        moment = time.monotonic()
        damaged.control.unload(model)
        wait_until(lambda: not damaged.control.ready(model), 10)
        try:
            wait_until(lambda: protocol.noticed(moment) > 0, 60)
        finally:
            damaged.control.load(model)
        back = time.monotonic()
        wait_until(lambda: protocol.healthy(back), 60)
    note(f"{model} unloaded and loaded again", protocol, moment)
