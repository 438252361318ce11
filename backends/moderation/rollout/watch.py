"""A routes file that may change while it is in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from moderation.errors import RoutesError
from moderation.rollout import routes
from moderation.rollout.routes import Routes

POLL_S: Final = 0.25
"""How soon a server without requests sees a change; one with requests sees it at the next."""
_Signature = tuple[int, int, int] | None


class WatchedRoutes:
    """The routes of a file, read again when the file is another. One that has faults changes nothing.

    Args:
        path: of the file; it may be absent, appear and go.
        on_change: called with the sentence of all faults, or None when new routes are in force.

    Raises:
        RoutesError: the file has faults at the start.
    """

    def __init__(self, path: Path, on_change: Callable[[str | None], None]) -> None:
        self.path = path
        self._on_change = on_change
        self._signature = self._look()
        self._routes = routes.load(path)
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Look at the file from now on, also while nobody asks for routes: so all instances see the same changes."""
        threading.Thread(target=self._follow, name="routes", daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(POLL_S)
            self.current()

    def current(self) -> Routes:
        """The routes in force. Looks at the file each time, which takes microseconds."""
        if self._look() != self._signature:
            with self._lock:
                self._read()
        return self._routes

    def _read(self) -> None:
        signature = self._look()
        if signature == self._signature:
            return  # another thread was faster
        try:
            self._routes = routes.load(self.path)
        except RoutesError as error:
            self._on_change(error.message)
        else:
            self._on_change(None)
        self._signature = signature

    def _look(self) -> _Signature:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
