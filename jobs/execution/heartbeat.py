"""Heartbeat: a thread that keeps `status.json` fresh and listens for requests to a run.

It goes on while a step, a look or a compilation takes long, so that a run is silent only when
its process is gone; and says when there have been no steps for longer than the run's pace explains.
A hiccup of the disk is said once and tried again.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from backend.events import Cost
from jobs.execution.alarms import Alarms
from jobs.execution.emitter import CannotWrite, Emitter
from jobs.formatting import duration
from jobs.records.attempts import Superseded
from jobs.records.progress import AFTER_TRAINING, FIGURES, TRAINING, Progress
from jobs.records.run_directory import RunDirectory
from jobs.system.interruption import Interruption
from jobs.system.processes import PARENT
from jobs.system.threads import guarded

LISTEN_SECONDS = 0.1
BEAT_SECONDS = 0.5
ORPHAN_SECONDS = 30.0
"""How long a run goes on after its worker died because Redis is away."""
ABANDONED_SECONDS = 3.0
"""The same while Redis answers: then the worker alone was killed."""
ORPHAN = "orphan"
FOLDER, HANG = "run/folder", "run/hang"
"""Paths of the alarms about a disk that stumbles, and about steps that do not come."""
PATIENCE_SECONDS = 1.0
"""How long a look, or setting up, has to come to its own end once one is asked for."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Nothing more can be written: the run ends. What else goes wrong may pass."""
_WINDOW = 30.0
"""Seconds over which the speed is taken."""
_log = logging.getLogger(__name__)


class Heartbeat:
    """Heartbeat of one run. `request` is the end that the run should come to next, if any."""

    def __init__(
        self, directory: RunDirectory, publisher: Any = None, alarms: Alarms | None = None
    ) -> None:
        self.directory, self.publisher = directory, publisher
        self.alarms = alarms or Alarms()
        self.emitter: Emitter | None = None
        """where alarms are said, once there is one"""
        self.progress = Progress()
        self.interruption = Interruption()
        """of setting up, of looks and of what is done after training, when an end is asked for"""
        self.redis_was_away = False
        self.judging_seconds = 0.0
        """that judging the samples is expected to take"""
        self._judging_since: float | None = None
        self.is_asked_to_turn = False
        """True while settings are asked for that the run has not taken"""
        self.is_asked_to_keep = False
        """True while the moment is to be kept"""
        self.request: str | None = None
        """stop, pause or orphan, None while the run shall go on"""
        self._asked_since: float | None = None
        self._fields: dict[str, Any] = {}
        self._fractions: deque[tuple[float, float]] = deque()
        self._error: BaseException | None = None
        self._parent = int(os.environ.get(PARENT, "0"))
        self._orphan_since: float | None = None
        self._hung = False
        self._ended = threading.Event()
        self._thread = guarded("heartbeat", self._work, self._failed)
        self._try(self._listen, time.monotonic())

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns once nothing more is written."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def set_fields(self, **fields: Any) -> None:
        """Set fields of the status for the next beats; `fraction` also gives the time left."""
        self._fields = {**self._fields, **fields}

    def check(self) -> None:
        """Raise CannotWrite when the status could not be written, or the thread has ended."""
        if self._error is not None:
            raise CannotWrite.of(self._error) from self._error

    def _failed(self, error: BaseException) -> None:
        self._error = self._error or error

    def _work(self) -> None:
        next_beat = 0.0
        while not self._ended.wait(LISTEN_SECONDS):
            now = time.monotonic()
            self._try(self._listen, now)
            self._watch(now)
            if now >= next_beat:
                next_beat = now + BEAT_SECONDS
                self._try(self._beat, now)

    def _try(self, act: Callable[[float], None], now: float) -> None:
        """Call `act`; an error that may pass is reported once, and it is tried again next time."""
        try:
            act(now)
        except Superseded:
            self.request = "stop"  # whatever it still tries to write is refused
        except FileNotFoundError:
            self.request = "stop"  # somebody removed the run's directory
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                self._failed(error)
                return
            why = error.strerror if isinstance(error, OSError) else repr(error)
            message = f"The run's folder stumbles: {why}. The run goes on and tries again."
            if not any(alarm["path"] == FOLDER for alarm in self.alarms.listed()):
                _log.warning("%s: %s", self.directory.id, message, exc_info=True)
                self._report(FOLDER, message)

    def _beat(self, now: float) -> None:
        self.directory.write_status(
            **{**self._fields, "alarms": self.alarms.listed()},
            doing=self.progress.doing,
            progressed=self.progress.sign,
            seconds_left=None if self._hung else self._seconds_left(now),
        )

    def _listen(self, now: float) -> None:
        request = self.directory.requested()
        if request is not None:
            self.request = request
        self.is_asked_to_turn = self.directory.asks_to_turn()
        self.is_asked_to_keep = self.directory.asks_to_keep()
        if self._parent and os.getppid() != self._parent and self.request is None:
            self._orphan_since = self._orphan_since or now
            away = getattr(self.publisher, "away_seconds", 1.0) > 0
            self.redis_was_away |= away
            patience = ORPHAN_SECONDS if self.redis_was_away else ABANDONED_SECONDS
            if now - self._orphan_since > patience:
                self.request = ORPHAN

    def _watch(self, now: float) -> None:
        """Report when the run hangs and when it goes on; interrupt work that nobody waits for."""
        progress = self.progress
        progress.look(now)
        if self.request:
            self._asked_since = self._asked_since or now
            waited = now - self._asked_since > PATIENCE_SECONDS
            if waited or progress.doing in AFTER_TRAINING:
                self.interruption.end()
        quiet = progress.quiet(now)
        if quiet > progress.patience and not self._hung:
            self._hung = True
            what = "step" if progress.doing == TRAINING else "sign of progress"
            self._report(
                HANG,
                f"No {what} for {duration(quiet)} after step {progress.step:,}, while "
                f"{progress.doing}. If it does not go on, stop the run and resume it.",
            )
        elif self._hung and quiet < progress.patience:
            self._hung = False
            self.alarms.drop(HANG)
            if self.emitter is not None:
                self.emitter.remark(HANG, "The run goes on.", Cost(progress.step), "info")

    def _report(self, path: str, message: str) -> None:
        step = self.progress.step
        if self.emitter is not None:
            self.emitter.remark(path, message, Cost(step))
        else:
            self.alarms.add(path, message, step)

    def _seconds_left(self, now: float) -> float | None:
        """Estimate the seconds to the end of the budget at the speed of the last 30 s, and of what
        comes after it."""
        if self.progress.doing in AFTER_TRAINING:
            return self._seconds_of_judging_left(now)
        fraction = self._fields.get("fraction")
        if fraction is None:
            return None
        self._fractions.append((now, fraction))
        while now - self._fractions[0][0] > _WINDOW:
            self._fractions.popleft()
        then, before = self._fractions[0]
        if fraction <= before:
            return None
        return (1.0 - fraction) * (now - then) / (fraction - before) + self.judging_seconds

    def _seconds_of_judging_left(self, now: float) -> float | None:
        """Estimate the seconds to the end of judging; None once it takes longer than expected, and
        for answers, which nothing foretells."""
        self._judging_since = self._judging_since or now
        left = self.judging_seconds - (now - self._judging_since)
        return left if left > 0 and self.progress.doing == FIGURES else None
