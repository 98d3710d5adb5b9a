"""Emitter: writes the events of a run to its files and to Redis, from a thread of its own.

A call only queues. Every 100 ms the thread gives the frames their sequence numbers, appends
them to the run's files in one write each, and sends the same bytes to Redis in one pipeline.
The files are the record: when they cannot be written, the next call raises. Redis may be away:
the publisher keeps what it can and drops the rest. An event that cannot be packed is left out,
said once as an alarm; everything else goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from backend.errors import BasinError
from backend.events import Cost, Event, Scalar, Text, encode, encode_block
from jobs.execution.alarms import Alarms
from jobs.records.run_directory import RunDirectory
from jobs.system.threads import guarded

FLUSH_SECONDS = 0.1
SCALARS, FRAMES = "scalars", "frames"
"""Streams: scalar blocks and texts; keyframes."""
DROPPED, STUCK, UNSEEN, DAMAGED = "run/left_out", "run/disk", "run/live", "run/damaged"
"""Paths of the alarms about the record itself."""
STUCK_SECONDS = 10.0
"""How long the disk may take nothing, the caller waiting for it, before that is said."""
_MOST_WAITING = 100_000
"""Calls that may wait for a slow disk before the caller is made to wait too."""
_log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Sender of frames to the viewers; `jobs.queueing.redis_store.Publisher` is one."""

    def publish(self, entries: list[tuple[str, bytes]]) -> bool:
        """Send (stream, frame) pairs, soon or never; must not raise."""

    def close(self) -> None:
        """Close the connection."""


class CannotWrite(BasinError):
    """Error: the run's files cannot be written."""

    @classmethod
    def of(cls, error: BaseException) -> CannotWrite:
        """Wrap an error, unless it is one already."""
        if isinstance(error, cls):
            return error
        why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return cls(f"The run's files cannot be written: {why or error}.")


class _Block(NamedTuple):
    paths: list[str]
    values: npt.NDArray[np.float32]
    first: Cost
    last: Cost
    time: float


class _One(NamedTuple):
    event: Event
    cost: Cost
    time: float


class Emitter:
    """Emitter of one run and process. Calls are safe from any thread."""

    def __init__(
        self,
        directory: RunDirectory,
        publisher: Publisher | None = None,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        alarms: Alarms | None = None,
    ) -> None:
        self.directory, self.publisher = directory, publisher
        self.alarms = alarms or Alarms()
        self.cpu_seconds = 0.0
        """CPU time of the thread so far"""
        self._seq = directory.last_seq() + 1
        self._flush_seconds = flush_seconds
        self._waiting: deque[_Block | _One] = deque()
        self._dropped: set[str] = set()
        self._error: BaseException | None = None
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._thread = guarded("emitter", self._work, self._failed)
        self._thread.start()

    def scalars(
        self, paths: list[str], values: npt.NDArray[np.float32], first: Cost, last: Cost
    ) -> None:
        """Queue rows of scalars, `values` (rows, paths), spread evenly from `first` to `last`.

        The array is taken as it is: the caller leaves it alone. Raises CannotWrite.
        """
        self._put(_Block(paths, values, first, last, time.time()))

    def event(self, event: Event, cost: Cost) -> None:
        """Queue one event at the present cost. Raises CannotWrite."""
        self._put(_One(event, cost, time.time()))

    def text(self, path: str, message: str, cost: Cost, level: str = "info") -> None:
        """Queue one sentence. Level: info, warning or alarm. Raises CannotWrite."""
        self._put(_One(Text(path, message, level), cost, time.time()))

    def remark(self, path: str, message: str, cost: Cost, level: str = "alarm") -> None:
        """Queue a sentence about the run itself, kept in its alarms too; never waits, never
        raises."""
        if level != "info":
            self.alarms.add(path, message, cost.step)
        self._waiting.append(_One(Text(path, message, level), cost, time.time()))

    def check(self) -> None:
        """Raise CannotWrite when the last write failed, or nothing writes any more."""
        if self._error is not None:
            raise CannotWrite.of(self._error) from self._error

    def flush(self) -> None:
        """Write what waits, now, in the caller's thread. Raises CannotWrite."""
        self._flush()
        self.check()

    def close(self) -> None:
        """Write what waits, sync the log to the disk and end the thread. Raises CannotWrite."""
        self._closing.set()
        self._thread.join()
        try:
            self.flush()
            try:
                self.directory.sync()
            except OSError as error:
                self._error = error
                self.check()
        finally:
            self.directory.close()
            if self.publisher is not None:
                self.publisher.close()

    def _put(self, item: _Block | _One) -> None:
        if self._error is not None:
            self.check()
        self._waiting.append(item)
        if len(self._waiting) > _MOST_WAITING:
            self._wait_for_disk(item)

    def _wait_for_disk(self, item: _Block | _One) -> None:
        """Make the caller wait while the disk takes nothing; raises CannotWrite once it fails."""
        since, is_reported = time.monotonic(), False
        while len(self._waiting) > _MOST_WAITING and self._error is None:
            if not is_reported and time.monotonic() - since > STUCK_SECONDS:
                is_reported = True
                step = (item.last if isinstance(item, _Block) else item.cost).step
                message = f"The disk has taken nothing for {STUCK_SECONDS:g} s; the run waits."
                self.alarms.add(STUCK, message, step)
                _log.warning("%s: %s", self.directory.id, message)
            time.sleep(0.001)
        self.check()
        if is_reported:
            self.alarms.drop(STUCK)

    def _failed(self, error: BaseException) -> None:
        self._error = self._error or error

    def _work(self) -> None:
        while not self._closing.wait(self._flush_seconds):
            if self._waiting and self._error is None:
                self._flush()
            self.cpu_seconds = time.thread_time()

    def _flush(self) -> None:
        with self._writing:
            entries = []
            while self._waiting:
                item = self._waiting.popleft()
                try:
                    entries.append(self._encoded(item))
                except Exception as error:
                    self._left_out(item, error)
            if not entries and self.publisher is None:
                return
            try:
                for stream, keyframe in ((SCALARS, False), (FRAMES, True)):
                    frames = [frame for name, frame in entries if name == stream]
                    if frames:
                        self.directory.append(b"".join(frames), keyframe)
                for sentence in self.directory.take_damage():
                    self.remark(DAMAGED, sentence, Cost())
            except Exception as error:
                self._failed(error)
                return
            if self.publisher is not None:
                self._publish(self.publisher, entries)

    def _publish(self, publisher: Publisher, entries: list[tuple[str, bytes]]) -> None:
        """Send frames; an error beyond an absent Redis leaves the record alone and is reported
        once."""
        try:
            publisher.publish(entries)
        except Exception as error:
            message = f"What the run says does not reach its pages: {type(error).__name__}: {error}"
            if self.alarms.add(UNSEEN, message, 0):
                _log.exception("%s: frames could not be published", self.directory.id)

    def _left_out(self, item: _Block | _One, error: Exception) -> None:
        """Report once a path that an event of it cannot be packed."""
        if isinstance(item, _Block):
            name, cost = ", ".join(map(str, item.paths)), item.last
        else:
            name, cost = str(getattr(item.event, "path", item.event)), item.cost
        if name in self._dropped or name.startswith(DROPPED):
            return
        self._dropped.add(name)
        self.remark(
            f"{DROPPED}/{name}",
            f"What was said under `{name}` could not be written down and is left out: "
            f"{type(error).__name__}: {error}",
            cost,
        )

    def _encoded(self, item: _Block | _One) -> tuple[str, bytes]:
        run, seq = self.directory.id, self._seq
        if isinstance(item, _Block):
            paths, values, first, last, when = item
            frame = encode_block(paths, values, run=run, seq=seq, time=when, first=first, last=last)
            stream = SCALARS
        else:
            frame = encode(item.event, run=run, seq=seq, time=item.time, cost=item.cost)
            stream = SCALARS if isinstance(item.event, (Scalar, Text)) else FRAMES
        self._seq += 1  # a frame that could not be packed leaves no hole
        return stream, frame
