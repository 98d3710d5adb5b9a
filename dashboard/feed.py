"""Feed: everything one run said so far, and what it says now, for all who watch it.

One thread a watched run. What was said is read from the run's directory; what is said now comes
from Redis, or from the log itself while Redis is away. Redis' last ids are taken first, then the
directory is read, then the streams are followed from those ids: no gap; frames that were read
already are told by their sequence number: no duplicate.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from backend.errors import BadInput, NotAvailable
from backend.events import Frame, pack, unpack
from jobs import series, store
from jobs.run_directory import RunDirectory
from jobs.series import RESUMED, Series
from jobs.status import Status

MOST_POINTS = 4000
"""Points of a path that a page is sent at once; more are bucketed."""
MOST_RANGE_POINTS = 200_000
"""Points of one answer to a request for a range."""
_FOLD_FRAMES = 400
_BLOCK_MS = 250
_TAIL_SECONDS = 0.2
_RECONNECT_SECONDS = 1.0

Message = str | bytes | dict[str, Any]
Listener = Callable[[Message], None]
"""Takes a message from the feed's thread; must return at once."""


class Feed:
    """One watched run. `listen` and `leave` may be called from any thread."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.run_id = directory.id
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._series: dict[str, Series] = {}
        self._texts: list[bytes] = []
        self._fresh: list[bytes] = []
        self._log_seq = -1
        self._key_seq = -1
        self._ids: dict[str, str] = {}
        self._position = 0
        self._status: Status | None = None
        self._index: list[list[Any]] = []
        self._closing = threading.Event()
        self._loaded = False
        self._thread = threading.Thread(target=self._follow, name=f"feed {self.run_id}")
        self._thread.daemon = True

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread; it is gone within a quarter of a second."""
        self._closing.set()

    # ------------------------------------------------------------------ those who watch

    def listen(self, listener: Listener) -> None:
        """Give everything said so far, then what comes, each frame once. Raises BadInput."""
        with self._lock:
            if not self._loaded:
                self._reload()
            for message in self._snapshot():
                listener(message)
            self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def _tell(self, message: Message) -> None:
        for listener in self._listeners:
            listener(message)

    def _snapshot(self) -> list[Message]:
        self._fold()
        frames, bucketed = [], False
        for path, found in self._series.items():
            chosen = bucketed_rows(found.value, MOST_POINTS)
            bucketed |= chosen is not None
            frames.append(self._history_frame(path, found, chosen, history=True))
        messages: list[Message] = [self._status_message()]
        messages.append(
            {"op": "history", "run": self.run_id, "bucketed": bucketed, "count": len(frames)}
        )
        # before the curves: one of these may say that the run went on from an earlier step
        messages += self._texts
        messages += frames
        self._index = self._read_index()
        messages.append({"op": "keyframes", "run": self.run_id, "index": self._index})
        messages += self._latest_keyframes(after=-1)
        return messages

    def _history_frame(
        self, path: str, found: Series, rows: npt.NDArray[np.int64] | None, **meta: bool
    ) -> bytes:
        if rows is not None:
            found = _taken(found, rows)
        header = {
            "run": self.run_id,
            "seq": self._log_seq,
            "kind": "scalar",
            "path": path,
            "meta": {**meta, "paths": [path], "bucketed": rows is not None},
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            "step": found.step.astype(np.float64),
            "gradients": found.gradients.astype(np.float64),
            "seconds": found.seconds,
            "joules": found.joules,
            "value": found.value,
        }
        return pack(header, arrays)

    def range(self, paths: list[str], first: float, last: float) -> list[bytes]:
        """Full resolution of some paths between two steps; bucketed only beyond the limit."""
        with self._lock:
            if not self._loaded:
                self._reload()
            self._fold()
            frames = []
            limit = MOST_RANGE_POINTS // max(len(paths), 1)
            for path in paths:
                if path in self._series:
                    whole = self._series[path]
                    low, high = np.searchsorted(whole.step, [first, last + 1])
                    part = _taken(whole, slice(low, high))
                    rows = bucketed_rows(part.value, limit)
                    frames.append(self._history_frame(path, part, rows, range=True))
            return frames

    def _read_index(self) -> list[list[Any]]:
        keys = self.directory.keyframe_index()
        return [[key.seq, key.path, key.kind, key.step] for key in keys]

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

    def _status_message(self) -> Message:
        if self._status is None:
            self._status = self.directory.status()
        return {"op": "status", "run": self.run_id, **self._status.as_dict()}

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
            if not self._loaded:
                self._reload()
                return
            frames, self._position = self.directory.tail_log(self._position)
            for data in frames:
                self._take_log(data)
            for data in self._latest_keyframes(self._key_seq):
                self._take_keyframe(data)

    def _read_streams(self, client: redis.Redis) -> None:
        keys: dict[Any, Any] = {
            store.stream_key(self.run_id, stream): entry for stream, entry in self._ids.items()
        }
        found: Any = client.xread(keys, count=1000, block=_BLOCK_MS)
        if not found:
            return
        with self._lock:
            for key, entries in found:
                stream = key.decode().rpartition(":")[2]
                take = self._take_log if stream == store.SCALARS else self._take_keyframe
                for entry, fields in entries:
                    take(fields[b"f"])
                    self._ids[stream] = entry.decode()

    def _take_log(self, data: bytes) -> None:
        header = unpack(data).header
        if header["seq"] <= self._log_seq:
            return
        self._log_seq = header["seq"]
        if header["kind"] == "text":
            self._texts.append(data)
        self._fresh.append(data)
        if len(self._fresh) > _FOLD_FRAMES or header["path"] == RESUMED:
            self._fold()
        self._tell(data)

    def _take_keyframe(self, data: bytes) -> None:
        seq = unpack(data).header["seq"]
        if seq > self._key_seq:
            self._key_seq = seq
            self._tell(data)

    def _fold(self) -> None:
        """Lay the rows that came since onto the columns."""
        if not self._fresh:
            return
        new = series.extract(self._fresh)
        first = unpack(self._fresh[0]).header["seq"]
        self._series = series.merged(self._series, new, first - 1)
        self._fresh = []

    def _reload(self) -> None:
        """Take everything from the run's directory."""
        directory = self.directory
        frames, self._position = directory.tail_log(0)
        self._series = directory.scalars()
        texts = directory.texts()
        self._texts = [_text_frame(text) for text in texts]
        self._fresh = []
        self._log_seq = max(
            series.read_last_seq(directory.path / "scalars.parquet"),
            max((unpack(data).header["seq"] for data in frames), default=-1),
            max((text.header["seq"] for text in texts), default=-1),
        )
        self._key_seq = directory.keyframes.last_seq()
        self._loaded = True

    def _look_at_status(self) -> None:
        """Tell of a changed status and of new keyframes; at its end take the record itself."""
        status = self.directory.status()
        before = self._status
        with self._lock:
            self._status = status
            if before is None or before != status:
                self._tell(self._status_message())
            ended = before is not None and not before.is_over and status.is_over
            if ended and self._loaded:
                self._reload()
                for message in self._snapshot():
                    self._tell(message)
                return
            index = self._read_index() if self._listeners else self._index
            if index != self._index:
                self._index = index
                self._tell({"op": "keyframes", "run": self.run_id, "index": index})


def bucketed_rows(value: npt.NDArray[np.float32], limit: int) -> npt.NDArray[np.int64] | None:
    """The rows of the least and greatest value of each of `limit` / 2 buckets, with both ends.

    None when all fit. A spike of one point survives; so does every infinite value.

    >>> import numpy as np
    >>> spike = np.zeros(1000, np.float32); spike[777] = 5
    >>> bool(777 in bucketed_rows(spike, 10))
    True
    """
    num = len(value)
    if num <= limit:
        return None
    edges = np.linspace(0, num, max(limit // 2 - 1, 1) + 1).astype(np.int64)
    low = np.where(np.isnan(value), np.inf, value)
    high = np.where(np.isnan(value), -np.inf, value)
    rows = [0, num - 1]
    for start, end in itertools.pairwise(edges):
        rows.append(start + int(low[start:end].argmin()))
        rows.append(start + int(high[start:end].argmax()))
    return np.unique(np.array(rows, np.int64))


def _taken(found: Series, rows: npt.NDArray[np.int64] | slice) -> Series:
    return Series(
        found.step[rows], found.gradients[rows], found.seconds[rows], found.joules[rows],
        found.value[rows],
    )  # fmt: skip


def _text_frame(text: Frame) -> bytes:
    return pack(text.header, {})
