"""Viewers: browsers told apart by a cookie of no meaning, and which runs each has opened.

The Arena asks: a blind vote does not count of who opened a run of the pair before it. Kept in
memory: the pages and the live routes are one process.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

COOKIE = "basin_viewer"
COOKIE_SECONDS = 365 * 24 * 3600
MOST_VIEWERS = 10_000
MOST_SIGHTINGS = 500
_VALUE = re.compile(r"[0-9a-f]{32}")


def new_cookie() -> str:
    """Make a cookie's value by chance."""
    return secrets.token_hex(16)


def viewer_of(cookies: Mapping[str, str]) -> str:
    """Name the viewer that cookies are of: a hash, so that no record holds the cookie; "" for
    none."""
    value = cookies.get(COOKIE, "")
    if not _VALUE.fullmatch(value):
        return ""
    return hashlib.sha256(f"viewer {value}".encode()).hexdigest()[:12]


class Sightings:
    """Runs that viewers have opened, and when."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_viewer: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()

    def note(self, viewer: str, runs: Iterable[str]) -> None:
        """Note that a viewer sees these runs by name now; nothing of viewers that are not told
        apart."""
        if not viewer:
            return
        now = time.time()
        with self._lock:
            mine = self._by_viewer.setdefault(viewer, deque(maxlen=MOST_SIGHTINGS))
            mine.extend((now, run) for run in runs)
            self._by_viewer.move_to_end(viewer)
            if len(self._by_viewer) > MOST_VIEWERS:
                self._by_viewer.popitem(last=False)

    def since(self, viewer: str, runs: Iterable[str], moment: float) -> set[str]:
        """Select those of `runs` that a viewer has seen since a moment, unix seconds."""
        wanted = set(runs)
        with self._lock:
            mine = tuple(self._by_viewer.get(viewer, ()))
        return {run for at, run in mine if at >= moment and run in wanted}


sightings = Sightings()
"""Of this server."""
