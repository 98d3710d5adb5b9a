"""Streams: frames of a run that come through Redis, from when they are opened on.

Redis is quick and may be away, or lack what a run could not send; the run's files have everything.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import redis

from backend.errors import NotAvailable
from backend.events import unpack
from dashboard.faults import say_once
from jobs.queueing import redis_store

_BLOCK_MS = 500
_MOST_ENTRIES = 1000
"""of one reading"""
_TIMEOUT_SECONDS = 1.5
_RECONNECT_SECONDS = 1.0
_LONGEST_WAIT = 8.0
"""Between two tries, when Redis hangs: each costs the timeout, in which nothing else is read."""


class Entry(NamedTuple):
    """Frame of a stream."""

    seq: int
    is_keyframe: bool
    data: bytes


class Streams:
    """Both streams of one run. Errors of Redis stay in here."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.away_since: float | None = None
        """unix time, for people; None while Redis answers, and where none is set up"""
        self._client: redis.Redis | None = None
        self._ids: dict[str, str] = {}
        self._wait = _RECONNECT_SECONDS
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        """Return True between `open` and `close`, or an error of Redis."""
        return self._client is not None

    def open(self) -> bool:
        """Go to the streams' end: what was written before is to be read from the files now.

        False while Redis is away; it is tried again by and by.
        """
        if time.monotonic() < self._next_try:
            return False
        try:
            client = redis_store.client(redis_store.redis_url(), timeout=_TIMEOUT_SECONDS)
        except NotAvailable:
            self._away(is_set_up=False)
            return False
        try:
            for stream in redis_store.STREAM_BYTES:
                last: Any = client.xrevrange(redis_store.stream_key(self.run_id, stream), count=1)
                self._ids[stream] = last[0][0].decode() if last else "0-0"
        except (redis.RedisError, OSError):
            client.close()
            self._away()
            return False
        self._client, self.away_since, self._wait = client, None, _RECONNECT_SECONDS
        return True

    def read(self) -> list[Entry]:
        """Read the entries since, ordered; waits half a second for one. Needs open streams."""
        try:
            return sorted(self._entries(), key=lambda entry: entry.seq)
        except (redis.RedisError, OSError):
            self.close()
            self._away()
            return []

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _away(self, *, is_set_up: bool = True) -> None:
        self.away_since = (self.away_since or time.time()) if is_set_up else None
        self._next_try = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _entries(self) -> list[Entry]:
        assert self._client is not None
        keys: dict[Any, Any] = {
            redis_store.stream_key(self.run_id, stream).encode(): entry
            for stream, entry in self._ids.items()
        }
        streams = dict(zip(keys, self._ids, strict=True))
        parsed: list[Entry] = []
        reply: Any = self._client.xread(keys, count=_MOST_ENTRIES, block=_BLOCK_MS)
        num = 0
        while reply:
            for key, entries in reply:
                num += len(entries)
                parsed += [entry for _, fields in entries if (entry := _entry(fields)) is not None]
                keys[key] = self._ids[streams[key]] = entries[-1][0].decode()
            # Who waits is woken by the first stream alone: what came with it follows at once.
            reply = self._client.xread(keys, count=_MOST_ENTRIES) if num < _MOST_ENTRIES else None
        return parsed


def _entry(fields: dict[bytes, bytes]) -> Entry | None:
    """Parse an entry; None for what is no frame: it is missing then, and read from the files."""
    try:
        data = fields[b"f"]
        header = unpack(data).header
        return Entry(int(header["seq"]), header["kind"] not in ("scalar", "text"), data)
    except (KeyError, TypeError, ValueError) as error:
        say_once("Reading an entry of a stream", error)
        return None
