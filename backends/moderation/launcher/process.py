"""The tritonserver process: started, watched while models load, healed while it serves, stopped gracefully."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from moderation.errors import AbortedError, LaunchError
from moderation.launcher.control import Control
from moderation.telemetry.log import dump, from_triton

STUB: Final = "triton_python_backend_stub"
POLL_S: Final = 0.25
"""How often the supervisor looks at the stub processes; bounds the time to notice a death."""
STOPPED_S: Final = 3.0
"""A stub that is stopped for longer is ended and replaced; debuggers stop a process for moments only."""
LINGER_S: Final = 20.0
"""Time for the old instances of a healed model, longer than any request's deadline. One whose process was killed in the
middle of a request keeps the others waiting for it for ever (24.10), with all their memory."""
_LOADED: Final = re.compile(r"successfully loaded '([^']+)'")
_DRAINED: Final = "All models are stopped, unloading models"
"""What 24.10 says once no request is in flight any more (core src/server.cc)."""
UNLOAD_S: Final = 5.0
"""Time for models to unload after that. An instance whose stub was killed never does."""
CLOSE_S: Final = 15.0
"""Time for requests in flight before SIGTERM: their deadline and some more."""
_FAILED: Final = re.compile(r"failed to load '([^']+)' version \d+: (.*)")


class Server:
    """One tritonserver process and its log.

    Args:
        argv: from `build_argv`.
        environment: from `build_environment`.
        log: file that gets everything the server says.
        control: its HTTP interface.
        on_event: called with (model, "loaded" | "failed", detail) while models load.
        json_log: write each line as a JSON object.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        control: Control,
        on_event: Callable[[str, str, str], None] = lambda _model, _state, _detail: None,
        *,
        json_log: bool = False,
    ) -> None:
        self.control = control
        self.log = log
        self._on_event = on_event
        self._json_log = json_log
        # a session of its own: Ctrl-C in the terminal reaches the launcher only, which then drains the server
        self._process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
            list(argv),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._drained = threading.Event()
        self._children: dict[int, psutil.Process] = {}
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of tritonserver."""
        return self._process.pid

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def _read_log(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        with self.log.open("ab", buffering=0) as file:
            for line in stream:
                text = line.decode(errors="replace")
                with contextlib.suppress(OSError):  # disk full: lines are lost, but a pipe that nobody reads would
                    file.write(dump(from_triton(text)).encode() if self._json_log else line)  # stop the server
                if found := _LOADED.search(text):
                    self._on_event(found[1], "loaded", "")
                elif _DRAINED in text:
                    self._drained.set()
                elif found := _FAILED.search(text):
                    self._on_event(found[1], "failed", found[2].strip())

    def wait_ready(self, model: str, timeout_s: float) -> None:
        """Block until `model` answers that it is ready.

        Raises:
            AbortedError: a signal ended the process; with the last lines of the log.
            LaunchError: it ended otherwise or time is up; likewise.
        """
        deadline = time.monotonic() + timeout_s
        while not self.control.ready(model):
            if not self.running():
                self._reader.join(2)
                code = self._process.returncode
                kind = AbortedError if code < 0 else LaunchError
                raise kind(f"tritonserver ended with code {code} while starting{self.tail()}")
            if time.monotonic() > deadline or self._gave_up(model):
                raise LaunchError(f"{model} is not ready after {timeout_s:.0f} s{self.tail()}")
            time.sleep(0.1)

    def _gave_up(self, model: str) -> bool:
        """Whether every model has been tried and this one failed."""
        try:
            states = {s.state for s in self.control.index() if s.name == model}
        except LaunchError:
            return False
        return states == {"UNAVAILABLE"}

    def tail(self, lines: int = 12) -> str:
        """The last lines of the log that speak of trouble, ready to be appended to a message."""
        if not self.log.is_file():
            return ""
        text = self.log.read_text(errors="replace").splitlines()
        trouble = [line for line in text if line[:1] in "EW" or "rror" in line][-lines:]
        return "".join(f"\n    {line}" for line in [f"log: {self.log}", *(trouble or text[-lines:])])

    def stubs(self) -> dict[int, str]:
        """Living Python stub processes: pid → model name."""
        found: dict[int, str] = {}
        children: dict[int, psutil.Process] = {}
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.Error):
                    if child.status() != psutil.STATUS_ZOMBIE and (model := stub_model(child.cmdline())):
                        found[child.pid], children[child.pid] = model, child
        if children:  # a server that is dead has none, and those that it left behind are still to be ended
            self._children = children
        return found

    def stopped_stubs(self) -> set[int]:
        """Process ids of stubs that somebody stopped (SIGSTOP): alive, and never answering."""
        found = set()
        for pid, child in self._children.items():
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_STOPPED:
                    found.add(pid)
        return found

    def kill_stub(self, pid: int) -> None:
        """End a stub for good, if it is still there."""
        with contextlib.suppress(psutil.Error, KeyError):
            self._children[pid].kill()

    def stop(self, grace_s: float, entry: str = "") -> int:
        """Take no more requests, SIGTERM, wait until those in flight are answered, SIGKILL what is left.

        Args:
            grace_s: for all of it.
            entry: model that callers ask; it goes first. On SIGTERM alone Triton refuses the pipeline's own calls too,
                so requests in flight would end without their stages.

        Returns:
            The server's exit code.
        """
        children = list(self._children.values())
        with contextlib.suppress(psutil.Error):
            children += psutil.Process(self.pid).children(recursive=True)
        if self.running():
            deadline = time.monotonic() + grace_s
            if entry:
                self._close(entry, min(deadline, time.monotonic() + CLOSE_S))
            self._process.send_signal(signal.SIGTERM)
            while self.running() and time.monotonic() < deadline:
                if self._drained.wait(0.1):
                    deadline = min(deadline, time.monotonic() + UNLOAD_S)
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))
            if self.running():
                self._process.kill()
                self._process.wait()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._reader.join(2)
        return self._process.returncode or 0

    def _close(self, entry: str, deadline: float) -> None:
        """Unload a model: Triton refuses new requests to it at once and waits for those in flight."""
        with contextlib.suppress(LaunchError):
            self.control.unload(entry, timeout_s=max(0.1, deadline - time.monotonic()))
            while entry in self.stubs().values() and time.monotonic() < deadline:
                time.sleep(0.05)


def stub_model(cmdline: Sequence[str]) -> str | None:
    """Model name of a stub, from its command line (`<model>_<device>_<n>`, python_backend src/stub_launcher.cc)."""
    if not cmdline or STUB not in cmdline[0]:
        return None
    for argument in cmdline[1:]:
        if found := re.fullmatch(r"(.+?)_\d+_\d+", argument):
            return found[1]
    return None


class Supervisor:
    """Brings dead Python stubs back: Triton never restarts one, and answers every request to it with an error.

    Args:
        server: the process to watch.
        on_heal: called with (model, seconds from noticing to serving again).
        on_trouble: called when a model is found to lack a process, before it is healed.

    Attributes:
        troubled: models that lack a process now → `time.monotonic()` at which that was noticed.
    """

    def __init__(
        self,
        server: Server,
        on_heal: Callable[[str, float], None],
        on_trouble: Callable[[], None] = lambda: None,
    ) -> None:
        self.troubled: dict[str, float] = {}
        self._server = server
        self._on_heal = on_heal
        self._on_trouble = on_trouble
        self._known = server.stubs()
        self._suspects: set[str] = set()
        self._stopped: dict[int, float] = {}
        self._replaced: dict[int, float] = {}

    def check(self) -> None:
        """Look once; reload every model that lost a stub and now has fewer than it should.

        Stubs also end when their model is unloaded (it is then not ready) or replaced (it then has enough). A suspect
        is cleared when the number is exactly right: while replaced stubs are still ending, a loss would hide behind
        them.
        """
        alive = self._server.stubs()
        self._end_stopped()
        self._end_replaced()
        self._suspects |= {self._known[pid] for pid in self._known.keys() - alive.keys()}
        self._known = alive
        for model in sorted(self._suspects):
            with contextlib.suppress(LaunchError):
                self._examine(model, sum(1 for name in alive.values() if name == model))

    def _end_stopped(self) -> None:
        """A stub that stays stopped is as good as dead, only that its requests wait for ever: make it dead."""
        now = time.monotonic()
        self._stopped = {pid: self._stopped.get(pid, now) for pid in self._server.stopped_stubs()}
        for pid, since in self._stopped.items():
            if now - since > STOPPED_S:
                self._server.kill_stub(pid)

    def _end_replaced(self) -> None:
        """Old instances of a healed model that are still there when nobody can wait for them any more."""
        now = time.monotonic()
        for pid in [pid for pid, since in self._replaced.items() if now - since > LINGER_S]:
            self._server.kill_stub(pid)
            del self._replaced[pid]

    def _examine(self, model: str, alive: int) -> None:
        control = self._server.control
        wanted = control.instances(model) if control.ready(model) else 0
        if not wanted or alive == wanted:
            self._suspects.discard(model)
            self.troubled.pop(model, None)
        elif alive < wanted:
            started = time.monotonic()
            self.troubled.setdefault(model, started)
            self._on_trouble()
            old = [pid for pid, name in self._server.stubs().items() if name == model]
            control.reload(model)
            self._replaced |= dict.fromkeys(old, time.monotonic())
            self._known = self._server.stubs()
            self.troubled.pop(model)
            self._on_heal(model, time.monotonic() - started)


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, for the time of the block."""
    stop = threading.Event()
    handlers = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
