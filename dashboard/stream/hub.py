"""Hub: one connection a page, any number of runs on it, one feed a watched run.

A page sends JSON texts:

    {"op": "watch", "runs": [{"run": ID, "after": [LOG, KEYFRAME]}, ...]}
        these runs from now on, and no others; `after` is the position the page has got to, if any
    {"op": "seek", "id": N, "run": ID, "step": S, "paths": [...]}
        the keyframes that stood at step S, all or those of "paths"
    {"op": "range", "id": N, "run": ID, "paths": [...], "from": S, "to": S}     at full resolution
    {"op": "runs"}                    the status of all runs and the queue, ticking
    {"op": "alarms"}                  the running runs that need a look, ticking

and gets messages of binary frames (`backend/events.py`), end to end. What the server says rather
than a run is a frame without arrays whose header has an `op`:

    status, history, texts, curves, keyframes, pictures     of a run just watched, in one message:
        `history` says whether it is `whole` (it replaces what was held) or follows what was held,
        whether curves are `bucketed`, and how many (`count`); curves are scalar frames, one a path,
        with arrays step, gradients, seconds, joules, value; `keyframes` has the steps of each path
        that can be sought; pictures are the latest keyframes
    seek, range     with the `id` of the question; the answer's frames follow in the same message
    runs            `changed` statuses, `gone` ids, the `queue` or the `trouble` of not knowing it,
                    devices of `workers`, number of `deleted`; the first is `whole`
    alarms          `runs`: id, name and alarms
    source          of a run: a `message` when its live updates do not come the usual way, or not
                    at all, `since` when (unix time, or null); "" when all is well again
    gone            of a run that was deleted while it was watched, with a `message`
    error           with a `message`, and the `id` or `run` it is about

and all else as runs say it. Nothing is said twice on one connection, and nothing left out: whoever
falls behind or comes back is given what came after the position reached.

A page that cannot have a WebSocket asks twice a second instead (`poll`): same texts, same frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket

from backend.errors import BadInput, BasinError, NotAvailable
from dashboard.faults import passed_over, say_once, sentence
from dashboard.security import viewers
from dashboard.stream import questions, run_list
from dashboard.stream.client import MOST_WAITING_BYTES, Client, Watch
from dashboard.stream.feed import Feed, Message
from dashboard.stream.frames import say
from dashboard.stream.questions import Position
from dashboard.stream.run_list import Queue
from jobs.notifications import watching
from jobs.queueing import control, redis_store
from jobs.records import run_store
from jobs.records.status import Status
from jobs.services import home_lock

MOST_CLIENTS = 200
MOST_QUESTIONS = 500
LINGER_SECONDS = 30.0
"""Seconds a feed outlives its last viewer: a page that is loaded again finds it warm."""
RECONCILE_SECONDS = 2
"""`basin up` does so every second; this is for a dashboard without one."""
POLL_SECONDS = 20.0
"""Seconds a page that asks over HTTP may be silent."""


@dataclass
class Watched:
    """Feed and the pages that need it."""

    feed: Feed
    clients: set[Client] = field(default_factory=set)
    since: float = field(default_factory=time.monotonic)
    """when the last viewer left"""


class Hub:
    """Hub of all feeds and all pages of this server."""

    def __init__(self) -> None:
        self._feeds: dict[str, Watched] = {}
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._polled: dict[str, Client] = {}
        self._watcher = watching.Watcher()
        self._runs: dict[str, Status] = {}
        self._queue: Queue = Queue([], "")
        self._alarms: list[dict[str, Any]] = []
        self._whole = b""
        """the list of all runs as a frame, until something changes"""
        self._listing = asyncio.Lock()
        self._listed_at = -math.inf
        self._loop: asyncio.AbstractEventLoop | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the ticks: the list of runs, reconciling, idle feeds."""
        self._loop = asyncio.get_running_loop()
        ticking = [asyncio.create_task(self._tick()), asyncio.create_task(self._reconcile())]
        try:
            yield
        finally:
            await _ended(ticking)
            for watched in self._feeds.values():
                watched.feed.close()

    @property
    def num_feeds(self) -> int:
        """Number of feeds."""
        return len(self._feeds)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            with passed_over("Letting go of runs nobody watches"):
                self._release_idle()
            if any(client.wants_runs or client.wants_alarms for client in self._clients):
                with passed_over("Listing the runs"):
                    await self._list()

    async def _reconcile(self) -> None:
        """Reconcile runs, apart from the rest: a Redis that hangs makes it wait."""
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            with passed_over("Settling what became of runs"):
                await run_in_threadpool(_settle)
            with passed_over("Notifications"):
                await run_in_threadpool(self._notify)

    def _notify(self) -> None:
        address = str(redis_store.connection_info().get("dashboard", ""))
        self._watcher.look(run_store.list_runs(), address)

    async def _list(self) -> None:
        """Read the list of runs, unless that was done within the last second."""
        async with self._listing:
            if time.monotonic() - self._listed_at > 0.9:
                self._tell_runs(*await run_in_threadpool(run_list.listed))
                self._listed_at = time.monotonic()

    def _tell_runs(self, runs: dict[str, Status], queue: Queue) -> None:
        changed = [run for run in runs.values() if _differ(self._runs.get(run.id), run)]
        gone = [run_id for run_id in self._runs if run_id not in runs]
        is_new = bool(changed or gone) or queue != self._queue
        if is_new:
            news, self._whole = run_list.runs_frame(changed, gone, queue, whole=False), b""
        self._runs, self._queue = runs, queue
        for client in self._clients:
            if client.wants_runs and client.is_full:
                client.missed_runs |= is_new
            elif client.wants_runs and client.missed_runs:
                client.missed_runs = False
                client.answer(self._all_runs())
            elif client.wants_runs and is_new:
                client.answer(news)
        alarms = [run_list.alarm_of(run) for run in runs.values() if run.needs_a_look]
        if alarms != self._alarms:
            self._alarms = alarms
            for client in self._clients:
                if client.wants_alarms:
                    client.answer(say(op="alarms", runs=alarms))

    def _all_runs(self) -> bytes:
        if not self._whole:
            self._whole = run_list.runs_frame(self._runs.values(), [], self._queue, whole=True)
        return self._whole

    async def head(self) -> dict[str, Any]:
        """Return what the head of every page says: `run_list.head_of`."""
        await self._list()
        return run_list.head_of(self._runs.values(), self._queue)

    def _release_idle(self) -> None:
        now = time.monotonic()
        for name, client in list(self._polled.items()):
            if now - client.heard > POLL_SECONDS:
                del self._polled[name]
                self._leave(client)
        with self._lock:
            for run_id, watched in list(self._feeds.items()):
                idle = not watched.clients and now - watched.since > LINGER_SECONDS
                if idle or watched.feed.is_gone:
                    watched.feed.close()
                    del self._feeds[run_id]

    # ------------------------------------------------------------------ one page

    async def serve(self, socket: WebSocket) -> None:
        """Talk to one page until it leaves."""
        try:
            client = self._arrive(viewers.viewer_of(socket.cookies))
        except NotAvailable as error:
            await socket.close(1013, str(error))
            return
        sending = asyncio.create_task(self._send(client, socket))
        try:
            while True:
                await client.room()
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                with passed_over("Hearing a page"):
                    await self.hear(client, message.get("text"))
        finally:
            self._leave(client)
            await _ended([sending])

    async def _send(self, client: Client, socket: WebSocket) -> None:
        while True:
            await client.wait()
            data = b""
            with passed_over("Preparing what a page is sent"):
                data = await client.take(self.sync)
            if data:
                await socket.send_bytes(data)  # fails once the line is cut, which `serve` hears too

    async def poll(self, name: str, texts: list[str], viewer: str = "") -> bytes:
        """Answer a page that asks over HTTP, under a name that it made up.

        Raises NotAvailable when there are too many pages, BadInput for too many questions.
        """
        client = self._polled.get(name)
        if client is None:
            client = self._polled[name] = self._arrive(viewer)
        client.heard = time.monotonic()
        if len(client.questions) + len(texts) > MOST_QUESTIONS:
            raise BadInput.at("say", f"more than {MOST_QUESTIONS} questions wait; ask again later.")
        client.questions += texts
        while client.questions and not client.is_full:
            await self.hear(client, client.questions.popleft())
        parts: list[bytes] = []
        while sum(map(len, parts)) < MOST_WAITING_BYTES and (data := await client.take(self.sync)):
            parts.append(data)
        return b"".join(parts)

    def _arrive(self, viewer: str = "") -> Client:
        if len(self._clients) >= MOST_CLIENTS:
            raise NotAvailable(f"{MOST_CLIENTS} pages are open already; close some.")
        client = Client()
        client.viewer = viewer
        self._clients.add(client)
        return client

    def _leave(self, client: Client) -> None:
        self._clients.discard(client)
        self._unwatch(client, set())

    async def hear(self, client: Client, text: str | None) -> None:
        """Obey a page's message; what cannot be done is answered."""
        about: dict[str, Any] = {}
        try:
            message = questions.message(text)
            about = questions.about(message)
            await self._do(client, message, about)
        except Exception as error:
            if not isinstance(error, (BasinError, OSError)):
                say_once("Answering a page", error)
            client.answer(say(op="error", **about, message=sentence(error)))

    async def _do(self, client: Client, message: dict[str, Any], about: dict[str, Any]) -> None:
        op = message["op"]
        if op == "watch":
            await self._watch(client, questions.watched(message))
        elif op in ("seek", "range"):
            frames = await run_in_threadpool(self._look_up, op, message)
            client.answer(say(op=op, **about, count=len(frames)), *frames)
        elif op == "runs":
            await self._list()
            client.wants_runs = True
            client.answer(self._all_runs())
        elif op == "alarms":
            await self._list()
            client.wants_alarms = True
            client.answer(say(op="alarms", runs=self._alarms))
        else:
            names = "watch, seek, range, runs or alarms"
            raise BadInput.at("op", f"must be {names}, got {op[:40]!r}.")

    # ------------------------------------------------------------------ runs watched

    async def _watch(self, client: Client, runs: list[tuple[str, Position | None]]) -> None:
        watches: dict[str, Watch] = {}
        for name, position in runs:
            try:
                run_id = await run_in_threadpool(self._open, name)
            except (BasinError, OSError) as error:
                client.answer(say(op="error", run=name, message=sentence(error)))
            else:
                watches.setdefault(run_id, Watch(run_id, position))
        await run_in_threadpool(viewers.sightings.note, client.viewer, list(watches))
        self._unwatch(client, set(watches))
        for run_id in watches:
            if run_id in self._feeds:
                self._feeds[run_id].clients.add(client)
        client.watch(list(watches.values()))

    def _unwatch(self, client: Client, keep: set[str]) -> None:
        for run_id in client.watched:
            watched = self._feeds.get(run_id)
            if watched is not None and run_id not in keep:
                watched.clients.discard(client)
                watched.since = time.monotonic()

    def _open(self, name: str) -> str:
        """Open the feed of a run, started if nobody watched it; returns the run's id."""
        directory = run_store.open_run(name)
        with self._lock:
            if directory.id not in self._feeds or self._feeds[directory.id].feed.is_gone:
                feed = Feed(directory, self._on_message)
                self._feeds[directory.id] = Watched(feed)
                feed.start()
            else:
                self._feeds[directory.id].since = time.monotonic()
        return directory.id

    def _on_message(self, message: Message) -> None:
        """Hand a feed's message on, in the feed's thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing
                self._loop.call_soon_threadsafe(self._fan_out, message)

    def _fan_out(self, message: Message) -> None:
        watched = self._feeds.get(message.run)
        for client in watched.clients if watched else ():
            client.offer(message)

    def sync(self, run: str, after: Position | None) -> Message:
        """Bring a page at a position up to date; called in a thread. Raises BadInput,
        NotAvailable."""
        return self._feed(run).sync(after)

    def _feed(self, name: str) -> Feed:
        return self._feeds[self._open(name)].feed

    def _look_up(self, op: str, message: dict[str, Any]) -> list[bytes]:
        name = questions.run(message)
        if op == "seek":
            step = questions.number(message, "step")
            return self._keyframes_at(name, step, questions.paths(message, None))
        paths = questions.paths(message, []) or []
        first, last = questions.number(message, "from"), questions.number(message, "to")
        return self._feed(name).range(paths, first, last)

    def _keyframes_at(self, name: str, step: float, paths: list[str] | None) -> list[bytes]:
        """Read the keyframes at a step; needs no feed, so a list may ask of many runs."""
        with self._lock:
            watched = self._feeds.get(name)
        directory = run_store.open_run(name) if watched is None else watched.feed.directory
        return directory.keyframes_at(int(max(step, 0)), paths)


def _settle() -> None:
    """Reconcile runs where no `basin up` does, which says what it did to whoever started it."""
    if not home_lock.is_supervised():
        control.settle()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _differ(old: Status | None, new: Status) -> bool:
    # most are the very same: comparing thousands field by field takes a while
    return old is not new and old != new
