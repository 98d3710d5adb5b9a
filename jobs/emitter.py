"""Emitter: takes what a run says and writes it down from a thread of its own.

A call only queues. Every 100 ms the thread gives the frames their sequence numbers, appends
them to the run's files in one write each, and sends the same bytes to Redis in one pipeline.
The files are the record: when they cannot be written, the next call raises. Redis may be away:
the publisher keeps what it can and drops the rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from backend.errors import BasinError
from backend.events import Cost, Event, Scalar, Text, encode, encode_block
from jobs.run_directory import RunDirectory

FLUSH_SECONDS = 0.1
SCALARS, FRAMES = "scalars", "frames"
"""Streams: scalar blocks and texts; keyframes."""
_MOST_WAITING = 100_000
"""Calls that may wait for a slow disk before the caller is made to wait too."""


class Publisher(Protocol):
    """What sends frames to the viewers; `jobs.store.Publisher` is one."""

    def publish(self, entries: list[tuple[str, bytes]]) -> bool:
        """Send (stream, frame) pairs, soon or never; must not raise."""

    def close(self) -> None:
        """Let go of the connection."""


class CannotWrite(BasinError):
    """The run's files cannot be written."""

    @classmethod
    def of(cls, error: OSError) -> CannotWrite:
        return cls(f"The run's files cannot be written: {error.strerror or error}.")


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
    """One a run and process. Calls are safe from any thread."""

    def __init__(
        self,
        directory: RunDirectory,
        publisher: Publisher | None = None,
        *,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self.directory, self.publisher = directory, publisher
        self.cpu_seconds = 0.0
        """CPU time of the thread so far"""
        self._seq = directory.last_seq() + 1
        self._flush_seconds = flush_seconds
        self._waiting: deque[_Block | _One] = deque()
        self._error: OSError | None = None
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="emitter", daemon=True)
        self._thread.start()

    def scalars(
        self, paths: list[str], values: npt.NDArray[np.float32], first: Cost, last: Cost
    ) -> None:
        """Rows of scalars, `values` (rows, paths), spread evenly from `first` to `last`.

        The array is taken as it is: the caller leaves it alone. Raises CannotWrite.
        """
        self._put(_Block(paths, values, first, last, time.time()))

    def event(self, event: Event, cost: Cost) -> None:
        """One event at the present cost. Raises CannotWrite."""
        self._put(_One(event, cost, time.time()))

    def text(self, path: str, message: str, cost: Cost, level: str = "info") -> None:
        """One sentence. Level: info, warning or alarm. Raises CannotWrite."""
        self._put(_One(Text(path, message, level), cost, time.time()))

    def check(self) -> None:
        """Raises CannotWrite when the last write failed."""
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
        while len(self._waiting) > _MOST_WAITING and self._error is None:
            time.sleep(0.001)

    def _work(self) -> None:
        while not self._closing.wait(self._flush_seconds):
            if self._waiting and self._error is None:
                self._flush()
            self.cpu_seconds = time.thread_time()

    def _flush(self) -> None:
        with self._writing:
            entries = []
            while self._waiting:
                entries.append(self._encoded(self._waiting.popleft()))
            if not entries and self.publisher is None:
                return
            try:
                for stream, keyframe in ((SCALARS, False), (FRAMES, True)):
                    frames = [frame for name, frame in entries if name == stream]
                    if frames:
                        self.directory.append(b"".join(frames), keyframe)
            except OSError as error:
                self._error = error
                return
            if self.publisher is not None:
                self.publisher.publish(entries)

    def _encoded(self, item: _Block | _One) -> tuple[str, bytes]:
        run, seq = self.directory.id, self._seq
        self._seq += 1
        if isinstance(item, _Block):
            paths, values, first, last, when = item
            frame = encode_block(paths, values, run=run, seq=seq, time=when, first=first, last=last)
            return SCALARS, frame
        frame = encode(item.event, run=run, seq=seq, time=item.time, cost=item.cost)
        return (SCALARS if isinstance(item.event, (Scalar, Text)) else FRAMES), frame
