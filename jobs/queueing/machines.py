"""Machines: what the machines of this home's workers did in the last day, kept in Redis.

One worker of each machine reads it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

import redis

from jobs.queueing import redis_names, redis_store
from jobs.system import machine

EVERY = 10.0
"""Seconds between two readings."""
KEPT_SECONDS = 24 * 3600
MOST_POINTS = 180
"""Of a curve; each is the mean of a stretch."""
_TURN_MILLISECONDS = round(2500 * EVERY)
"""A worker that is silent for longer loses the turn to read."""


class Reader:
    """Reader of this machine in one of its workers: whoever has the turn keeps it while it lives.

    The load is a mean since the last reading, so that the first is taken `EVERY` seconds after the
    turn.
    """

    def __init__(self, name: str) -> None:
        """`name`: of the worker."""
        self._name = name
        self._due = 0.0

    def look(self, connection: redis.Redis) -> None:
        """Keep a reading if it is this worker's turn and one is due. Raises RedisError."""
        key = redis_names.machine_key(socket.gethostname())
        turn = f"{key}:turn"
        if connection.set(turn, self._name, nx=True, px=_TURN_MILLISECONDS):
            machine.read()
            self._due = time.monotonic() + EVERY
        mine: Any = connection.get(turn)
        if mine != self._name.encode() or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY
        content = json.dumps({**machine.read(), "about": machine.about()})
        pipeline = connection.pipeline()
        pipeline.xadd(key, {"r": content}, maxlen=round(KEPT_SECONDS / EVERY), approximate=True)
        pipeline.expire(key, KEPT_SECONDS)
        pipeline.pexpire(turn, _TURN_MILLISECONDS)
        pipeline.execute()


def course(connection: redis.Redis, host: str, seconds: float) -> dict[str, Any]:
    """Return the readings of a machine's last `seconds`, in at most `MOST_POINTS` stretches.

    `about` as `machine.about`; `now`, the last reading; `curves`: by name (cpu, memory, power, and
    busy, memory and power of each device after its name and a slash) one value a stretch, None
    where nothing was read. {} where there are none. Raises RedisError.
    """
    clock: Any = connection.time()
    now = float(clock[0]) + float(clock[1]) / 1e6
    start = now - seconds
    entries: Any = connection.xrange(redis_names.machine_key(host), min=max(round(1000 * start), 0))
    stretch = max(seconds / MOST_POINTS, EVERY)
    num = round(seconds / stretch)
    sums: dict[str, list[list[float]]] = {}
    last: dict[str, Any] = {}
    for entry_id, fields in entries:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            reading = dict(json.loads(fields[b"r"]))
            moment = int(entry_id.partition(b"-")[0]) / 1000
            place = min(max(int((moment - start) / stretch), 0), num - 1)
            for name, value in _flat(reading).items():
                sums.setdefault(name, [[] for _ in range(num)])[place].append(value)
            last = reading
    if not last:
        return {}
    curves = {
        name: [sum(each) / len(each) if each else None for each in values]
        for name, values in sums.items()
    }
    return {"about": last.pop("about"), "now": last, "seconds": seconds, "curves": curves}


def _flat(reading: dict[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {
        name: float(reading[name]) for name in ("cpu", "memory", "power") if name in reading
    }
    for device, values in reading["gpus"].items():
        flat |= {f"{device}/{name}": float(value) for name, value in values.items()}
    return flat


@redis_store.reaching()
def listed(seconds: float) -> list[dict[str, Any]]:
    """List the machines of all workers of the last hour, by name, each with its `course`.

    Fields: host, workers (as `redis_store.workers`), and those of `course`. Raises NotAvailable.
    """
    connection = redis_store.connect()
    by_host: dict[str, list[dict[str, Any]]] = {}
    for worker in redis_store.workers(connection):
        by_host.setdefault(str(worker.get("host", "")), []).append(worker)
    return [
        {"host": host, "workers": workers, **course(connection, host, seconds)}
        for host, workers in sorted(by_host.items())
    ]
