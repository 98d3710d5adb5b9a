"""Client: one page as the hub knows it: the runs it watches, its position, the queue to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from backend.errors import BasinError
from dashboard.faults import say_once, sentence
from dashboard.stream.feed import Message
from dashboard.stream.frames import say
from dashboard.stream.questions import Position

MOST_WAITING_BYTES = 8_000_000
"""Most bytes that wait for a slow page; beyond it, all is dropped, and what it missed is read anew
once it has caught up."""
MOST_ANSWER_BYTES = 8_000_000
"""While more than this waits of what a page asked for, nothing more that it asks is looked at."""
MOST_SENT_BYTES = 1_000_000
"""Messages that wait are sent as one up to this size."""
_RETRY_SECONDS = 1.0
"""A run that could not be read is read again when it says more, at most this often."""

Sync = Callable[[str, Position | None], Message]
"""Brings a page at a position up to date with a run; may take a while. Raises BasinError."""


@dataclass
class Watch:
    """Run as one page knows it."""

    run: str
    position: Position | None
    version: int = -1
    failure: str = ""
    """why it could not be read when it was last tried"""
    next_try: float = 0.0


class Client:
    """Queue to one page, and the runs it watches. Lives on the event loop."""

    def __init__(self) -> None:
        self.viewer = ""
        """of `dashboard.security.viewers`; "" for a browser that is not told apart"""
        self.watched: dict[str, Watch] = {}
        self.to_sync: deque[str] = deque()
        """runs to be read from where the page stands before anything new of them is sent"""
        self.wants_runs = False
        self.missed_runs = False
        """True when the list of runs changed while there was no room to say so"""
        self.wants_alarms = False
        self.questions: deque[str] = deque()
        """questions of a page that polls, not yet answered"""
        self.heard = time.monotonic()
        self._answers: deque[bytes] = deque()
        self._answer_bytes = 0
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._room = asyncio.Event()

    def answer(self, *frames: bytes) -> None:
        """Queue an answer for this page alone."""
        self._answers.append(b"".join(frames))
        self._answer_bytes += len(self._answers[-1])
        self._more.set()

    @property
    def is_full(self) -> bool:
        """Return True when the page must take answers before it is given more."""
        return self._answer_bytes > MOST_ANSWER_BYTES

    async def room(self) -> None:
        """Wait until the page has taken what it asked for."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    def offer(self, message: Message) -> None:
        """Queue a message of a run."""
        self._waiting.append(message)
        self._bytes += len(message.data)
        if self._bytes > MOST_WAITING_BYTES:
            self._waiting.clear()
            self._bytes = 0
            self.to_sync = deque(self.watched)
        self._more.set()

    def watch(self, watches: list[Watch]) -> None:
        """Watch these runs and no others. Of those watched already, the position is known here."""
        new = [watch.run for watch in watches if watch.run not in self.watched]
        self.watched = {watch.run: self.watched.get(watch.run, watch) for watch in watches}
        self.to_sync = deque([run for run in self.to_sync if run in self.watched] + new)
        self._more.set()

    async def wait(self) -> None:
        """Wait until there is something to send."""
        while not (self._answers or self.to_sync or self._waiting):
            self._more.clear()
            await self._more.wait()

    async def take(self, sync: Sync) -> bytes:
        """Take the next message; b"" when there is nothing to send."""
        if self._answers:
            self._answer_bytes -= len(self._answers[0])
            self._room.set()
            return self._answers.popleft()
        if self.to_sync:
            return await self._sync(sync, self.to_sync.popleft())
        parts: list[bytes] = []
        size = 0
        while self._waiting and size < MOST_SENT_BYTES:
            message = self._waiting.popleft()
            self._bytes -= len(message.data)
            watch = self.watched.get(message.run)
            if watch is None or message.version <= watch.version or message.run in self.to_sync:
                continue
            if watch.failure:
                if time.monotonic() >= watch.next_try:
                    self.to_sync.append(message.run)
                continue
            watch.position, watch.version = message.position, message.version
            parts.append(message.data)
            size += len(message.data)
        return b"".join(parts)

    async def _sync(self, sync: Sync, run: str) -> bytes:
        watch = self.watched.get(run)
        if watch is None:
            return b""
        try:
            message = await run_in_threadpool(sync, run, watch.position)
        except Exception as error:
            if not isinstance(error, (BasinError, OSError)):
                say_once("Reading a run for a page", error)
            earlier_failure, watch.failure = watch.failure, sentence(error)
            watch.next_try = time.monotonic() + _RETRY_SECONDS
            is_news = earlier_failure != watch.failure
            return say(op="error", run=run, message=watch.failure) if is_news else b""
        if self.watched.get(run) is watch:
            watch.failure = ""
            watch.position, watch.version = message.position, message.version
            return message.data
        return b""
