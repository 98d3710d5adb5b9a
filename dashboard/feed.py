"""Feed: everything one run said so far, and what it says now, for all who watch it.

One thread a watched run. What was said is read from the run's directory; what is said now comes
from Redis, or from the log itself while Redis is away. Redis' last ids are taken first, then the
directory is read, then the streams are followed from those ids: no gap; frames that were read
already are told by their sequence number: no duplicate.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import redis

from backend.errors import BadInput, NotAvailable
from backend.events import pack, unpack
from dashboard.history import History, bucketed_rows
from jobs import store
from jobs.run_directory import RunDirectory
from jobs.series import Series, taken
from jobs.status import Status

MOST_POINTS = 4000
"""Points of a path that a page is sent at once; more are bucketed."""
MOST_RANGE_POINTS = 200_000
"""Points of one answer to a request for a range."""
_BLOCK_MS = 500
_TAIL_SECONDS = 0.2
_RECONNECT_SECONDS = 1.0


class Position(NamedTuple):
    """How far a page has got: the last sequence numbers of the log and of the keyframes."""

    log: int
    keyframe: int


class Message(NamedTuple):
    """Frames of one run, end to end, and where whoever has taken them stands then."""

    run: str
    data: bytes
    position: Position
    version: int
    """counts up with everything a feed tells: what is not newer than a page's own is old news"""


def say(**header: Any) -> bytes:
    """A frame without arrays: what is said about a run rather than by it."""
    return pack(_plain(header), {})


def _plain(value: Any) -> Any:
    """Without numbers that JSON has no word for: JavaScript could not read the message."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class Feed:
    """One watched run. `tell` takes a message from the feed's thread and must return at once;
    `sync` and `range` may be called from any thread."""

    def __init__(self, directory: RunDirectory, tell: Callable[[Message], None]) -> None:
        self.directory = directory
        self.run_id = directory.id
        self._tell_all = tell
        self._lock = threading.RLock()
        self._version = 0
        self._history: History | None = None
        self._key_seq = -1
        self._ids: dict[str, str] = {}
        self._status: Status | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"feed {self.run_id}")
        self._thread.daemon = True

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Say nothing more; the thread is gone within half a second."""
        with self._lock:
            self._closing.set()

    # ------------------------------------------------------------------ for those who watch

    def sync(self, after: Position | None = None) -> Message:
        """What a page needs to stand where the feed stands: everything, long curves bucketed, or
        what came after the position it has got to. Raises BadInput."""
        with self._lock:
            history = self._loaded()
            if after is not None and (
                after.log > history.last_seq or after.keyframe > self._key_seq
            ):
                after = None  # of another life of this run: deleted and made anew, or a lost disk
            frames = [self._status_frame(), *self._told_after(history, after)]
            frames.append(say(op="keyframes", run=self.run_id, steps=self._keyframe_steps()))
            frames += self._latest_keyframes(after.keyframe if after else -1)
            return self._message(frames)

    def range(self, paths: list[str], first: float, last: float) -> list[bytes]:
        """Full resolution of some paths between two steps; bucketed only beyond the limit."""
        with self._lock:
            history = self._loaded()
            limit = MOST_RANGE_POINTS // max(len(paths), 1)
            frames = []
            for path in paths:
                found = history.stretch(path, first, last)
                if len(found.step):
                    rows = bucketed_rows(found.value, limit)
                    frames.append(self._frame(path, found, rows, is_range=True))
            return frames

    def _message(self, frames: Iterable[bytes]) -> Message:
        history = self._loaded()
        position = Position(history.last_seq, self._key_seq)
        return Message(self.run_id, b"".join(frames), position, self._version)

    def _tell(self, frames: list[bytes]) -> None:
        if not self._closing.is_set():
            self._version += 1
            self._tell_all(self._message(frames))

    def _told_after(self, history: History, after: Position | None) -> list[bytes]:
        frames = []
        seq = after.log if after else -1
        # before the curves: one of these may say that the run went on from an earlier step
        texts = [data for number, data in history.texts if number > seq]
        if after is None:
            bucketed = False
            for path in history.paths:
                found, is_bucketed = history.overview(path, MOST_POINTS)
                if found is not None:
                    bucketed |= is_bucketed
                    frames.append(self._frame(path, found, None, is_bucketed=is_bucketed))
        else:
            since = history.since(seq)
            rows = {path: bucketed_rows(s.value, MOST_POINTS) for path, s in since.items()}
            bucketed = any(chosen is not None for chosen in rows.values())
            frames = [self._frame(path, found, rows[path]) for path, found in since.items()]
        head = say(
            op="history", run=self.run_id, whole=after is None, bucketed=bucketed,
            count=len(frames), log=history.last_seq,
        )  # fmt: skip
        return [head, *texts, *frames]

    def _frame(
        self,
        path: str,
        found: Series,
        rows: npt.NDArray[np.int64] | None,
        *,
        is_bucketed: bool = False,
        is_range: bool = False,
    ) -> bytes:
        if rows is not None:
            found = taken(found, rows)
        meta = {"paths": [path], "bucketed": is_bucketed or rows is not None}
        header = {
            "run": self.run_id,
            "seq": self._loaded().last_seq,
            "kind": "scalar",
            "path": path,
            "meta": meta | ({"range": True} if is_range else {"history": True}),
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "step": found.step.astype(np.float64),
            "gradients": found.gradients.astype(np.float64),
            "seconds": found.seconds,
            "joules": found.joules,
            "value": found.value,
        }
        return pack(header, arrays)

    def _keyframe_steps(self) -> dict[str, list[int]]:
        steps: dict[str, list[int]] = {}
        for key in self.directory.keyframe_index():
            steps.setdefault(key.path, []).append(key.step)
        return steps

    def _latest_keyframes(self, after: int) -> list[bytes]:
        """The last keyframe of every path, where it came after `after`."""
        for _ in range(3):
            latest = {key.path: key.seq for key in self.directory.keyframe_index()}
            try:
                return self.directory.keyframes.read_many(
                    seq for seq in latest.values() if seq > after
                )
            except NotAvailable:
                continue  # thinned out between the two calls
        return []

    def _status_frame(self) -> bytes:
        if self._status is None:
            self._status = self.directory.status()
        return say(op="status", **{**self._status.as_dict(), "run": self.run_id})

    # ------------------------------------------------------------------ what the run says

    def _follow(self) -> None:
        client: redis.Redis | None = None
        next_try = next_status = 0.0
        while not self._closing.is_set():
            now = time.monotonic()
            try:
                if client is None and now >= next_try:
                    next_try = now + _RECONNECT_SECONDS
                    client = self._connected()
                if client is None:
                    self._catch_up()
                    self._closing.wait(_TAIL_SECONDS)
                else:
                    self._read_streams(client)
                if now >= next_status:
                    next_status = now + 1.0
                    self._look_at_status()
            except (redis.RedisError, OSError):
                client = None
            except BadInput:  # deleted, or damaged beyond reading
                self._closing.wait(1.0)
        if client is not None:
            client.close()

    def _connected(self) -> redis.Redis | None:
        """A client whose streams are followed from here on, after reading all that came before."""
        try:
            client = store.client(store.redis_url(), timeout=2.0)
            for stream in store.STREAM_BYTES:
                last: Any = client.xrevrange(store.stream_key(self.run_id, stream), count=1)
                self._ids[stream] = last[0][0].decode() if last else "0-0"
        except (redis.RedisError, OSError, NotAvailable):
            return None
        self._catch_up()
        return client

    def _catch_up(self) -> None:
        """Read what the files hold beyond what is known."""
        with self._lock:
            if self._history is None:
                self._loaded()
                return
            frames, self._history.position = self.directory.tail_log(self._history.position)
            self._take(frames, self._latest_keyframes(self._key_seq))

    def _read_streams(self, client: redis.Redis) -> None:
        keys: dict[Any, Any] = {
            store.stream_key(self.run_id, stream).encode(): entry
            for stream, entry in self._ids.items()
        }
        said: dict[str, list[bytes]] = {store.SCALARS: [], store.FRAMES: []}
        found: Any = client.xread(keys, count=1000, block=_BLOCK_MS)
        while found:
            for key, entries in found:
                stream = key.decode().rpartition(":")[2]
                said[stream] += [fields[b"f"] for _, fields in entries]
                self._ids[stream] = entries[-1][0].decode()
                keys[key] = self._ids[stream]
            # Who waits is woken by the first stream alone: what was said with it comes at once.
            found = client.xread(keys, count=1000) if sum(map(len, said.values())) < 1000 else None
        if not any(said.values()):
            return
        with self._lock:
            self._take(said[store.SCALARS], said[store.FRAMES])

    def _take(self, log: list[bytes], keyframes: list[bytes]) -> None:
        """Add what is new and tell of it, in one message however much it is."""
        new = self._loaded().take(log)
        for data in keyframes:
            seq = unpack(data).header["seq"]
            if seq > self._key_seq:
                self._key_seq = seq
                new.append(data)
        if new:
            self._tell(new)

    def _loaded(self) -> History:
        """The history; everything is taken from the run's directory at the first call."""
        if self._history is None:
            self._history = History(self.directory)
            self._key_seq = self.directory.keyframes.last_seq()
        return self._history

    def _look_at_status(self) -> None:
        """Tell of a changed status; once the run is over, the record is the truth."""
        status = self.directory.status()
        before = self._status
        if before == status:
            return
        with self._lock:
            self._status = status
            if before is not None and not before.is_over and status.is_over:
                self._take_record()
            self._tell([self._status_frame()])

    def _take_record(self) -> None:
        """Change over to the compacted record, and tell what was not heard on the way."""
        old = self._loaded()
        self._history = new = History(self.directory)
        missed = sum(len(rows.step) for rows in new.since(old.last_seq).values())
        if new.num_rows() != old.num_rows() + missed:
            self._tell(self._told_after(new, None))
        elif new.last_seq > old.last_seq:
            self._tell(self._told_after(new, Position(old.last_seq, self._key_seq)))
