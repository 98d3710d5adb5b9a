"""Viewers: browsers told apart by a cookie of no meaning, and which runs each has opened.

The Arena asks: a blind vote does not count of who opened a run of the pair before it.

    BASIN_HOME/sightings/<viewer>.json      when the viewer last opened a run, by run
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

from backend.errors import NotAvailable
from jobs.records import run_store
from jobs.system import atomic_files

COOKIE = "basin_viewer"
COOKIE_SECONDS = 365 * 24 * 3600
MOST_VIEWERS = 10_000
MOST_SIGHTINGS = 500
_FOLDER = "sightings"
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
    """Runs that viewers have opened, and when they last did.

    Kept in memory and, so that a restart forgets none, in a file of each viewer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_viewer: OrderedDict[str, dict[str, float]] = OrderedDict()

    def note(self, viewer: str, runs: Iterable[str]) -> None:
        """Note that a viewer sees these runs by name now; nothing of viewers that are not told
        apart."""
        seen = dict.fromkeys(runs, time.time())
        if not viewer or not seen:
            return
        with self._lock:
            mine = self._of(viewer)
            for run in seen:
                mine.pop(run, None)  # the last seen stands last
            mine |= seen
            for run in list(mine)[:-MOST_SIGHTINGS]:
                del mine[run]
            # what is in memory holds where the disk is full
            with contextlib.suppress(OSError, NotAvailable):
                _make_room(viewer)
                atomic_files.write(_path(viewer), json.dumps(mine))

    def since(self, viewer: str, runs: Iterable[str], moment: float) -> set[str]:
        """Select those of `runs` that a viewer has seen since a moment, unix seconds."""
        if not viewer:
            return set()
        with self._lock:
            mine = self._of(viewer)
            return {run for run in runs if mine.get(run, -math.inf) >= moment}

    def _of(self, viewer: str) -> dict[str, float]:
        """Find the times by run of a viewer, as written by a server before this one."""
        if viewer not in self._by_viewer:
            self._by_viewer[viewer] = _written(viewer)
        self._by_viewer.move_to_end(viewer)
        if len(self._by_viewer) > MOST_VIEWERS:
            self._by_viewer.popitem(last=False)
        return self._by_viewer[viewer]


def _path(viewer: str) -> Path:
    return run_store.private_folder(_FOLDER) / f"{viewer}.json"


def _written(viewer: str) -> dict[str, float]:
    try:
        times = atomic_files.read_json(_path(viewer))
    except (OSError, ValueError, NotAvailable):
        return {}
    return {run: float(at) for run, at in times.items() if isinstance(at, (int, float))}


def _make_room(viewer: str) -> None:
    """Forget the viewer that was here longest ago where a new one would be one too many."""
    if _path(viewer).exists():
        return
    with os.scandir(run_store.private_folder(_FOLDER)) as entries:
        times = {entry.path: entry.stat().st_mtime for entry in entries}
    if len(times) >= MOST_VIEWERS:
        os.unlink(min(times, key=lambda path: times[path]))


sightings = Sightings()
"""Of this server."""
