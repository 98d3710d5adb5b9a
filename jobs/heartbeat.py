"""Heartbeat: a thread that keeps `status.json` fresh and hears what is asked of a run.

It goes on while a step, a look or a compilation takes long, so that a run is silent only when
its process is gone.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any

from jobs.attempts import Superseded
from jobs.emitter import CannotWrite
from jobs.processes import PARENT
from jobs.run_directory import RunDirectory

LISTEN_SECONDS = 0.1
BEAT_SECONDS = 0.5
ORPHAN_SECONDS = 30.0
"""How long a run goes on after its worker died because Redis is away."""
ABANDONED_SECONDS = 3.0
"""The same while Redis answers: then the worker alone was killed."""
ORPHAN = "orphan"
_WINDOW = 30.0
"""Seconds over which the speed is taken."""


class Heartbeat:
    """Writes the fields it was last given; `word` is what the run should do next."""

    def __init__(self, directory: RunDirectory, publisher: Any = None) -> None:
        self.directory, self.publisher = directory, publisher
        self.word: str | None = directory.requested()
        """stop, pause or orphan, None while the run shall go on"""
        self.redis_was_away = False
        self.changes: deque[dict[str, float]] = deque()
        """settings asked for and not yet taken"""
        self._fields: dict[str, Any] = {}
        self._progress: deque[tuple[float, float]] = deque()
        self._error: OSError | None = None
        self._parent = int(os.environ.get(PARENT, "0"))
        self._orphan_since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once nothing more is written."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def tell(self, **fields: Any) -> None:
        """Fields of the status for the next beats; `fraction` also gives the time left."""
        self._fields = {**self._fields, **fields}

    def take_changes(self) -> list[dict[str, float]]:
        """What was asked to be changed since the last time, oldest first."""
        return [self.changes.popleft() for _ in range(len(self.changes))]

    def check(self) -> None:
        """Raises CannotWrite when the status could not be written."""
        if self._error is not None:
            raise CannotWrite.of(self._error) from self._error

    def _work(self) -> None:
        next_beat = 0.0
        while not self._ended.wait(LISTEN_SECONDS):
            now = time.monotonic()
            self._listen(now)
            if now >= next_beat:
                next_beat = now + BEAT_SECONDS
                try:
                    self.directory.write_status(**self._fields, seconds_left=self._left(now))
                except Superseded:
                    self.word = "stop"  # whatever it still tries to write is refused
                    return
                except FileNotFoundError:
                    self.word = "stop"  # somebody removed the run's directory
                except OSError as error:
                    self._error = error

    def _listen(self, now: float) -> None:
        asked = self.directory.requested()
        if asked is not None:
            self.word = asked
        self.changes.extend(self.directory.take_changes())
        if self._parent and os.getppid() != self._parent and self.word is None:
            self._orphan_since = self._orphan_since or now
            away = getattr(self.publisher, "away_seconds", 1.0) > 0
            self.redis_was_away |= away
            patience = ORPHAN_SECONDS if self.redis_was_away else ABANDONED_SECONDS
            if now - self._orphan_since > patience:
                self.word = ORPHAN

    def _left(self, now: float) -> float | None:
        """Seconds to the end of the budget at the speed of the last 30 s."""
        fraction = self._fields.get("fraction")
        if fraction is None:
            return None
        self._progress.append((now, fraction))
        while now - self._progress[0][0] > _WINDOW:
            self._progress.popleft()
        then, before = self._progress[0]
        if fraction <= before:
            return None
        return (1.0 - fraction) * (now - then) / (fraction - before)
