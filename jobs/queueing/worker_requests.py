"""Worker requests: what people ask of a worker, which it takes up once its run has ended.

A request lies in Redis for a minute, until the worker takes it: within a second of its beat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import redis

from backend.errors import BadInput, NotAvailable
from jobs.queueing import redis_names, redis_store

DRAIN, RESUME, RESTART = "drain", "resume", "restart"
WORDS = {
    DRAIN: "finishes its run and takes no other",
    RESUME: "takes runs again",
    RESTART: "finishes its run and starts anew",
}
"""What a worker does when asked."""
_SECONDS = 60


def chosen(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the living workers that names, or the starts of names, fit. Raises BadInput,
    NotAvailable."""
    alive = [worker for worker in redis_store.workers() if worker["alive"]]
    fitting = []
    for name in names:
        here = [worker for worker in alive if worker["name"].startswith(name)]
        if not here:
            there = ", ".join(worker["name"] for worker in alive) or "none"
            raise BadInput.at("worker", f"no living worker is called {name!r}; there are {there}.")
        fitting += [worker for worker in here if worker not in fitting]
    return fitting


@redis_store.reaching()
def was_drained(kind: str, device: str, connection: redis.Redis) -> bool:
    """Return True where a new worker takes the place of a drained one that crashed on this machine;
    that one is forgotten. A worker that ends as it should leaves nothing to take over."""
    for worker in redis_store.workers(connection):
        same = (worker["queue"], worker["device"]) == (kind, device)
        if same and worker["dead"] and worker.get("asked") == DRAIN:
            redis_store.forget_worker(connection, worker["name"])
            return True
    return False


@redis_store.reaching()
def ask(name: str, request: str) -> None:
    """Ask a living worker to `drain`, `resume` or `restart`. Raises BadInput, NotAvailable."""
    if request not in WORDS:
        raise BadInput.at("request", f"must be one of {', '.join(WORDS)}, got {request!r}.")
    worker = next((each for each in chosen([name]) if each["name"] == name), None)
    if worker is None:
        raise BadInput.at("worker", f"no living worker is called {name!r}.")
    if "asked" not in worker:
        raise NotAvailable(f"{name} is of an older version: it cannot be asked; restart Basin.")
    redis_store.connect().set(redis_names.request_key(name), request, ex=_SECONDS)
