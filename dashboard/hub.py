"""Hub: one WebSocket a page, any number of runs on it, one feed a watched run.

A page sends JSON texts:

    {"op": "watch", "runs": [{"run": ID}, ...]}      these runs from now on, and no others
    {"op": "seek", "run": ID, "step": S}             the keyframes that stood at step S, all or
                                                     those of "paths"
    {"op": "range", "run": ID, "paths": [...], "from": S, "to": S}     at full resolution
    {"op": "runs"}                                   the status of all runs and the queue, ticking

and gets JSON texts and binary frames of `backend/events.py`, each with its `run` in the header.
For a run just watched: `status`; `history`; all texts; as many scalar frames as `history` said in
`count`, one a path, arrays step, gradients, seconds, joules, value, min/max-bucketed when long;
`keyframes` with the index [seq, path, kind, step] of what can be sought; the latest keyframe of
every path. Then frames as the run says them, `status` when it changes and `keyframes` when the
index does. At the end of a run and after falling behind all that comes again: `history` replaces
what was held. `seek` and `range` answer with the same op, a `count`, and as many frames.
What cannot be done is answered {"op": "error", "run", "message"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.errors import BadInput, BasinError
from dashboard.feed import Feed, Listener, Message
from jobs import artifacts, control

MOST_CLIENTS = 200
MOST_RUNS = 64
MOST_MESSAGE_BYTES = 64_000
MOST_WAITING_BYTES = 24_000_000
"""What may wait for a slow page; beyond it, all is dropped and sent anew once it has caught up."""
LINGER_SECONDS = 30.0
"""How long a feed outlives its last viewer: a page that is loaded again finds it warm."""


class Client:
    """One page: what waits for it, and the runs it watches. Lives on the event loop."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.loop = asyncio.get_running_loop()
        self.watched: dict[str, tuple[Feed, Listener]] = {}
        self.wants_runs = False
        self.behind = False
        self._waiting: deque[str | bytes] = deque()
        self._bytes = 0
        self._more = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Queue a message; called on the loop."""
        if self.behind:
            return
        data = _text(message) if isinstance(message, dict) else message
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes > MOST_WAITING_BYTES:
            self._waiting.clear()
            self._bytes = 0
            self.behind = True
        self._more.set()

    def offer_from_thread(self, message: Message) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closing
            self.loop.call_soon_threadsafe(self.offer, message)

    async def send_all(self, resync: Any) -> None:
        """Send what waits, for ever; `resync` watches everything anew after falling behind."""
        while True:
            while self._waiting:
                data = self._waiting.popleft()
                self._bytes -= len(data)
                if isinstance(data, str):
                    await self.socket.send_text(data)
                else:
                    await self.socket.send_bytes(data)
            if self.behind:
                self.behind = False
                await resync()
                continue
            self._more.clear()
            await self._more.wait()


@dataclass
class Watched:
    """A feed and who needs it."""

    feed: Feed
    num: int = 0
    since: float = field(default_factory=time.monotonic)
    """when the last viewer left"""


class Hub:
    """All feeds and all pages of this server."""

    def __init__(self) -> None:
        self._feeds: dict[str, Watched] = {}
        self._lock = threading.Lock()
        self._clients: set[Client] = set()
        self._runs_text = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tick once a second: the list of runs, what nobody else settles, idle feeds."""
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
            for watched in self._feeds.values():
                watched.feed.close()

    @property
    def num_feeds(self) -> int:
        return len(self._feeds)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            with contextlib.suppress(BasinError, OSError):
                await run_in_threadpool(control.settle)
            self._release_idle()
            if any(client.wants_runs for client in self._clients):
                await self._tell_runs()

    async def _tell_runs(self) -> None:
        with contextlib.suppress(BasinError, OSError):
            text = await run_in_threadpool(_runs_text)
            if text != self._runs_text:
                self._runs_text = text
                for client in self._clients:
                    if client.wants_runs:
                        client.offer(text)

    def _release_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            for run_id, watched in list(self._feeds.items()):
                if watched.num == 0 and now - watched.since > LINGER_SECONDS:
                    watched.feed.close()
                    del self._feeds[run_id]

    # ------------------------------------------------------------------ one page

    async def serve(self, socket: WebSocket) -> None:
        """Talk to one page until it leaves."""
        if len(self._clients) >= MOST_CLIENTS:
            await socket.close(1013, f"{MOST_CLIENTS} pages are open already.")
            return
        client = Client(socket)
        self._clients.add(client)
        sending = asyncio.create_task(client.send_all(lambda: self._resync(client)))
        try:
            while True:
                await self._answer(client, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            self._clients.discard(client)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending
            for run_id in list(client.watched):
                self._unwatch(client, run_id)

    async def _answer(self, client: Client, text: str) -> None:
        run_id = None
        try:
            if len(text) > MOST_MESSAGE_BYTES:
                raise BadInput.at("", f"a message of more than {MOST_MESSAGE_BYTES:,} bytes.")
            try:
                message = json.loads(text)
                op = message["op"]
            except (ValueError, TypeError, KeyError) as error:
                raise BadInput.at("", "a message is a JSON object with `op`.") from error
            named = message.get("run")
            run_id = named if isinstance(named, str) else None
            if op == "watch":
                await self._watch(client, message.get("runs"))
            elif op in ("seek", "range"):
                await self._look_up(client, op, message)
            elif op == "runs":
                client.wants_runs = True
                client.offer(await run_in_threadpool(_runs_text))
            else:
                raise BadInput.at("op", f"must be watch, seek, range or runs, got {op!r}.")
        except BasinError as error:
            client.offer({"op": "error", "run": run_id, "message": str(error)})
        except OSError as error:
            client.offer({"op": "error", "run": run_id, "message": f"The disk: {error.strerror}."})

    async def _watch(self, client: Client, runs: Any) -> None:
        given = runs if isinstance(runs, list) else [None]
        names = [item.get("run") if isinstance(item, dict) else None for item in given]
        wanted = [name for name in names if isinstance(name, str)]
        if len(names) > MOST_RUNS or len(wanted) < len(names):
            raise BadInput.at("runs", f'must be at most {MOST_RUNS} of {{"run": ID}}.')
        for name in list(client.watched):
            self._unwatch(client, name)
        for name in dict.fromkeys(wanted):
            try:
                await run_in_threadpool(self._watch_one, client, name)
            except BasinError as error:
                client.offer({"op": "error", "run": name, "message": str(error)})

    def _watch_one(self, client: Client, name: str) -> None:
        feed = self._feed(name)
        listener = client.offer_from_thread
        client.watched[name] = (feed, listener)
        with self._lock:
            self._feeds[feed.run_id].num += 1
        feed.listen(listener)

    def _feed(self, name: str) -> Feed:
        """The feed of a run, started if nobody watched it. Raises BadInput, NotAvailable."""
        directory = artifacts.open_run(name)
        with self._lock:
            if directory.id not in self._feeds:
                feed = Feed(directory)
                self._feeds[directory.id] = Watched(feed)
                feed.start()
            return self._feeds[directory.id].feed

    def _unwatch(self, client: Client, name: str) -> None:
        feed, listener = client.watched.pop(name)
        feed.leave(listener)
        with self._lock:
            watched = self._feeds.get(feed.run_id)
            if watched is not None:
                watched.num -= 1
                watched.since = time.monotonic()

    async def _resync(self, client: Client) -> None:
        await self._watch(client, [{"run": name} for name in client.watched])

    async def _look_up(self, client: Client, op: str, message: dict[str, Any]) -> None:
        name = message.get("run")
        if not isinstance(name, str):
            raise BadInput.at("run", "must name a run.")
        paths = message.get("paths", [] if op == "range" else None)
        listed = isinstance(paths, list) and all(isinstance(path, str) for path in paths)
        if not listed and paths is not None:
            raise BadInput.at("paths", "must be a list of paths.")
        if op == "seek":
            step = _number(message, "step")
            frames = await run_in_threadpool(self._keyframes_at, name, step, paths)
            client.offer({"op": "seek", "run": name, "step": step, "count": len(frames)})
        else:
            first, last = _number(message, "from"), _number(message, "to")
            frames = await run_in_threadpool(
                lambda: self._feed(name).range(paths or [], first, last)
            )
            client.offer({"op": "range", "run": name, "count": len(frames)})
        for frame in frames:
            client.offer(frame)

    def _keyframes_at(self, name: str, step: float, paths: list[str] | None) -> list[bytes]:
        """The keyframes that stood at a step; needs no feed, so a list may ask of many runs."""
        with self._lock:
            watched = self._feeds.get(name)
        directory = artifacts.open_run(name) if watched is None else watched.feed.directory
        return directory.keyframes_at(int(min(max(step, 0), 2**53)), paths)


def _number(message: dict[str, Any], name: str) -> float:
    value = message.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise BadInput.at(name, f"must be a number, got {value!r}.")
    return float(value)


def _text(message: dict[str, Any]) -> str:
    return json.dumps(_plain(message), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """Without numbers that JSON has no word for: JavaScript could not read the message."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _runs_text() -> str:
    runs = [status.as_dict() for status in artifacts.list_runs()]
    queue: list[str] = []
    if any(run["status"] == "queued" for run in runs):
        with contextlib.suppress(BasinError, redis.RedisError):
            queue = control.queued()
    return _text({"op": "runs", "runs": runs, "queue": queue})
