"""Redis store: its address, clients, queues, workers, and the streams that runs publish to.

Keys are called as `jobs/queueing/redis_names.py` says. Nothing here is the record: that is the run
directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from rq.serializers import JSONSerializer

from backend.errors import NotAvailable
from backend.system.home import make_private
from jobs.queueing import redis_errors, redis_names
from jobs.queueing.job_calls import Queue
from jobs.queueing.redis_errors import without_password as without_password
from jobs.queueing.redis_names import stream_key as stream_key
from jobs.records import run_store
from jobs.records.status import hostname
from jobs.system import atomic_files, processes

CONNECTION = "connection.json"
"""In BASIN_HOME, while `basin up` runs."""
TRAIN, QUICK, CHECK = QUEUES = ("train", "quick", "check")
"""The queues: runs; questions to runs; what a form asks, which no question may hold up."""
SCALARS, FRAMES = "scalars", "frames"

STREAM_BYTES = {SCALARS: 4_000_000, FRAMES: 12_000_000}
"""Most bytes in each stream of a run; older entries are on disk."""
STREAM_SECONDS = 3600
"""Seconds a stream outlives its last entry."""
WORKER_SECONDS = 6.0
"""A worker silent for longer than this counts as gone."""
REMEMBERED_SECONDS = 3600.0
"""Seconds a worker that fell silent is still listed."""
_RETRY_SECONDS = 0.5
_HANGING_SECONDS = 3.0


def connection_info() -> dict[str, Any]:
    """Read `connection.json`, written by `basin up`, as far as it is well formed; {} without one.

    Fields: redis, dashboard, host, pid, process, children.
    """
    try:
        content = atomic_files.read_json(run_store.home() / CONNECTION)
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    kinds = {"redis": str, "dashboard": str, "host": str, "pid": int, "process": str}
    info = {name: content[name] for name in kinds if isinstance(content.get(name), kinds[name])}
    children = content.get("children")
    info["children"] = [
        child
        for child in (children if isinstance(children, list) else [])
        if isinstance(child, list) and [type(item) for item in child] == [int, str]
    ]
    return info


def is_elsewhere(info: dict[str, Any]) -> bool:
    """Return True when `connection_info` is of a Basin on another machine."""
    return info.get("host") not in (None, hostname()) and not processes.is_of_here(
        info.get("process", "")
    )


def write_private(name: str, text: str) -> None:
    """Write a file of BASIN_HOME that its owner alone may read: aside, then renamed."""
    atomic_files.write(make_private(run_store.home()) / name, text)


def redis_url() -> str:
    """Return BASIN_REDIS_URL, else the address that `basin up` wrote. Raises NotAvailable."""
    if from_environment := os.environ.get("BASIN_REDIS_URL", "").strip():
        return from_environment
    info = connection_info()
    if is_elsewhere(info):
        raise NotAvailable(
            f"Basin runs on the machine {info['host']}, whose Redis only that machine can reach. "
            "Go there, or set BASIN_REDIS_URL to one that both can."
        )
    url = info.get("redis")
    if not url:
        raise NotAvailable(
            "No Redis to talk to: Basin is not running here. Start it with `basin up`, or set "
            "BASIN_REDIS_URL."
        )
    return str(url)


def client(url: str, *, patience: float = 0.0, timeout: float = 5.0) -> redis.Redis:
    """Create a client that waits up to `patience` seconds for a Redis that is away.

    timeout: seconds to wait, once, for one that hangs. Connects lazily. Raises NotAvailable for
    what is no address.
    """
    retry = Retry(
        ConstantBackoff(_RETRY_SECONDS), int(patience / _RETRY_SECONDS), (redis.ConnectionError,)
    )
    try:
        connection = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry
        )
        pool = connection.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # refuses options it does not know
    except (ValueError, TypeError):  # not quoted: it may hold a part of the password
        raise NotAvailable(
            "BASIN_REDIS_URL is no address of a Redis: write redis://:PASSWORD@HOST:PORT/0, "
            "rediss:// for TLS, or unix:///PATH, and in a password %23 for #, %2F for / and %40 "
            "for @."
        ) from None
    return connection


@cache
def _shared(url: str, pid: int) -> redis.Redis:
    return client(url, patience=1.0, timeout=redis_errors.SECONDS)


_hanging: dict[str, float] = {}
"""Time (monotonic) before which a Redis that hangs is not asked again, by address."""


def connect() -> redis.Redis:
    """Return this process's client of Basin's Redis, for reads and short commands.

    One that hangs costs a second once, not each caller. Raises NotAvailable, in one sentence.
    """
    url = redis_url()
    if time.monotonic() < _hanging.get(url, 0.0):
        raise unreachable(redis.TimeoutError())
    connection = _shared(url, os.getpid())
    try:
        connection.ping()
    except redis.TimeoutError as error:
        _hanging[url] = time.monotonic() + _HANGING_SECONDS
        raise unreachable(error) from error
    except redis.ResponseError:
        pass  # it refuses to write, and a full disk makes it refuse this too; it may yet be read
    except (redis.RedisError, OSError) as error:
        raise unreachable(error) from error
    return connection


@contextlib.contextmanager
def reaching() -> Iterator[None]:
    """Turn errors of Redis into NotAvailable, in one sentence; also as a decorator."""
    try:
        yield
    except redis.RedisError as error:
        raise unreachable(error) from error


def unreachable(error: Exception) -> NotAvailable:
    """Build the error for a Redis that failed, with what to do."""
    where = ""
    with contextlib.suppress(NotAvailable):
        where = without_password(redis_url())
    return NotAvailable(redis_errors.sentence(error, where))


def refusal(connection: redis.Redis) -> str:
    """Explain why Redis takes no writes, and what to do; "" when it does."""
    try:
        connection.set(redis_names.probe_key(), 1, px=1000)
    except redis.RedisError as error:
        return str(unreachable(error))
    return ""


@cache
def _waiting(url: str, pid: int) -> redis.Redis:
    return client(url, patience=1.0, timeout=5.0)


def waiting() -> redis.Redis:
    """Return this process's client for commands that block, for less than 5 s. Raises
    NotAvailable."""
    return _waiting(redis_url(), os.getpid())


def queue(name: str, connection: redis.Redis | None = None) -> Queue:
    """Return this home's queue `train`, `quick` or `check`, with the JSON serializer."""
    return Queue(
        redis_names.queue_name(name), connection=connection or connect(), serializer=JSONSerializer
    )


class Publisher:
    """Publisher of a run's frames to its two streams, capped by bytes.

    While Redis is away `publish` keeps the newest frames (8 MB) and sends them once it is back;
    it never raises and never blocks for more than a second.
    """

    PENDING_BYTES = 8_000_000

    def __init__(self, run_id: str, url: str | None = None) -> None:
        self.run_id = run_id
        self._client = client(url or redis_url(), timeout=1.0)
        self._pending: deque[tuple[str, bytes]] = deque()
        self._pending_bytes = 0
        self._sent: dict[str, deque[tuple[bytes, int]]] = {}
        self._held: dict[str, int] = {}
        self._away_since: float | None = None
        self._next_try = 0.0

    @property
    def away_seconds(self) -> float:
        """Seconds since Redis was last reached; 0 while it answers."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def publish(self, entries: Sequence[tuple[str, bytes]]) -> bool:
        """Send (stream, frame) pairs in one pipeline. False while Redis is away."""
        for entry in entries:
            self._pending.append(entry)
            self._pending_bytes += len(entry[1])
        while self._pending_bytes > self.PENDING_BYTES:
            self._pending_bytes -= len(self._pending.popleft()[1])
        if not self._pending:
            return self._away_since is None
        if time.monotonic() < self._next_try:
            return False
        try:
            self._send()
        except (redis.RedisError, OSError):
            now = time.monotonic()
            self._away_since = self._away_since or now
            self._next_try = now + _RETRY_SECONDS
            self._sent = {}  # what the streams hold is read again: a lost reply may be a sent entry
            return False
        self._away_since = None
        return True

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send(self) -> None:
        if not self._sent:
            for stream in STREAM_BYTES:
                self._recount(stream)
        batch = list(self._pending)
        # as one transaction: who waits for either stream is woken once, with both
        pipeline = self._client.pipeline(transaction=True)
        for stream, frame in batch:
            pipeline.xadd(stream_key(self.run_id, stream), {"f": frame})
        for stream in {stream for stream, _ in batch}:
            pipeline.expire(stream_key(self.run_id, stream), STREAM_SECONDS)
        ids = pipeline.execute()
        self._pending.clear()
        self._pending_bytes = 0
        for (stream, frame), entry_id in zip(batch, ids, strict=False):
            self._sent[stream].append((entry_id, len(frame)))
            self._held[stream] += len(frame)
        for stream, limit in STREAM_BYTES.items():
            if self._held[stream] > limit:
                self._trim(stream, limit)

    def _recount(self, stream: str) -> None:
        """Read what the stream holds from an earlier attempt of the run."""
        entries: Any = self._client.xrange(stream_key(self.run_id, stream))
        self._sent[stream] = deque((entry_id, len(entry[b"f"])) for entry_id, entry in entries)
        self._held[stream] = sum(size for _, size in self._sent[stream])

    def _trim(self, stream: str, limit: int) -> None:
        """Drop the oldest entries down to 90 % of the limit, so that trimming is rare."""
        sent = self._sent[stream]
        while len(sent) > 1 and self._held[stream] > 0.9 * limit:
            self._held[stream] -= sent.popleft()[1]
        self._client.xtrim(stream_key(self.run_id, stream), minid=sent[0][0], approximate=False)


@reaching()
def workers(connection: redis.Redis | None = None) -> list[dict[str, Any]]:
    """List every worker of the last hour, the living first.

    Fields: name, queue, device, pid, host, run, `alive`, `dead` where its process has ended on this
    machine, and `silent`, in seconds of Redis' clock, the only one that all of them share. Raises
    NotAvailable.
    """
    connection = connection or connect()
    entries: Any = connection.hgetall(redis_names.workers_key())
    now = _seconds(connection)
    listed, expired = [], []
    for name, value in entries.items():
        try:
            worker = dict(json.loads(value))
            silent = abs(now - float(worker["updated"]))  # also where Redis' clock was set back
        except (ValueError, TypeError, KeyError):
            expired.append(name)
            continue
        if silent > REMEMBERED_SECONDS:
            expired.append(name)
            continue
        is_here = worker.get("host") == hostname()
        is_gone = is_here and not processes.is_alive(worker.get("pid"))
        is_alive = silent < WORKER_SECONDS and not is_gone
        worker.update(alive=is_alive, dead=is_gone, silent=silent)
        listed.append({"queue": "", "device": "", **worker, "name": name.decode(errors="replace")})
    if expired:
        with contextlib.suppress(redis.ResponseError):  # it may refuse to write just now
            connection.hdel(redis_names.workers_key(), *expired)
            connection.hdel(redis_names.parts_key(), *expired)
    return sorted(listed, key=lambda worker: (not worker["alive"], worker["name"]))


def takes_runs(worker: dict[str, Any]) -> bool:
    """Return True for a worker as `workers` lists it that trains, and will or does have a run."""
    is_drained = worker.get("asked") == "drain" and not worker.get("run")
    return bool(worker["alive"] and worker["queue"] == TRAIN and not is_drained)


def need_own_home(connection: redis.Redis) -> None:
    """Raise NotAvailable where this home is a copy of one whose workers are on this Redis.

    With the same id they would take runs that they do not have.
    """
    here = run_store.home() / "home.id"
    redis_names.home_id()
    for worker in workers(connection):
        owner = Path(str(worker.get("home") or run_store.home())) / "home.id"
        if worker["alive"] and worker.get("host") == hostname():
            with contextlib.suppress(OSError):
                if not here.samefile(owner):
                    raise NotAvailable(
                        f"{here.parent} is a copy of {owner.parent}, whose workers use this Redis "
                        f"too. Delete {here}, and the copy gets a queue of its own."
                    )


def _seconds(connection: redis.Redis) -> float:
    """Unix time of Redis."""
    reply: Any = connection.time()
    return float(reply[0]) + float(reply[1]) / 1e6


def beat(connection: redis.Redis, worker: dict[str, Any]) -> str:
    """Report that a worker is alive: `name`, `queue`, `device`, `pid`, ...; returns what it is
    asked, "" for nothing."""
    content = json.dumps({**worker, "updated": _seconds(connection)})
    request = redis_names.request_key(worker["name"])
    pipeline = connection.pipeline()
    pipeline.hset(redis_names.workers_key(), worker["name"], content)
    pipeline.expire(redis_names.workers_key(), int(REMEMBERED_SECONDS))
    pipeline.get(request)
    pipeline.delete(request)
    asked = pipeline.execute()[2]
    return asked.decode(errors="replace") if asked else ""


def forget_worker(connection: redis.Redis, name: str) -> None:
    """Remove a worker that ended in good order from the list."""
    connection.hdel(redis_names.workers_key(), name)
    connection.hdel(redis_names.parts_key(), name)


def publish_catalogue(connection: redis.Redis | None = None) -> dict[str, Any]:
    """Write the catalogue of this process to BASIN_HOME/catalogue.json and to Redis. Imports
    torch."""
    from backend import catalogue as science

    published = science.publish()
    text = json.dumps(published)
    write_private("catalogue.json", text)
    if connection is not None:
        connection.set(redis_names.catalogue_key(), text)
    return published


def catalogue() -> dict[str, Any]:
    """Read the workers' catalogue: from Redis, else from the file. Raises NotAvailable."""
    with contextlib.suppress(NotAvailable, redis.RedisError, ValueError, TypeError):
        text: Any = connect().get(redis_names.catalogue_key())
        if text:
            return dict(json.loads(text))
    try:
        return dict(atomic_files.read_json(run_store.home() / "catalogue.json"))
    except (OSError, ValueError, TypeError) as error:
        raise NotAvailable(
            "No worker has said yet what it can run. Start one with `basin up`."
        ) from error


if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        """Return WORKERS or CATALOGUE: keys of the BASIN_HOME of the moment."""
        keys = {"WORKERS": redis_names.workers_key, "CATALOGUE": redis_names.catalogue_key}
        if name not in keys:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return keys[name]()
