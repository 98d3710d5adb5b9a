"""List of runs as pages are told it: statuses, the queue, the workers, what needs a look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import redis

from backend.errors import BasinError
from dashboard.elements import data_of, name_of
from dashboard.stream.frames import say
from jobs.queueing import control, redis_store
from jobs.records import run_store, trash
from jobs.records.status import Status

_UNTOLD = ("host", "pid", "process", "products", "progressed", "updated", "observe_seconds")
"""Fields of a status that no list shows."""


class Queue(NamedTuple):
    """Runs that wait, the next one first, or why that is not known."""

    runs: list[str]
    trouble: str
    workers: list[str] | None = None
    """devices of the workers that train and are alive; None where that is not known"""
    deleted: int = 0
    """number of runs in the trash"""


def listed() -> tuple[dict[str, Status], Queue]:
    """Read the status of every run by id, newest first, and the queue. Raises NotAvailable."""
    runs = {status.id: status for status in run_store.list_runs()}
    num_deleted = len(trash.ids())
    try:
        connection = redis_store.connect()
        waits = any(run.status == "queued" for run in runs.values())
        names = control.queued() if waits else []
        workers = [
            str(worker["device"])
            for worker in redis_store.workers(connection)
            if redis_store.takes_runs(worker)
        ]
    except (BasinError, redis.RedisError) as error:
        message = str(error) if isinstance(error, BasinError) else "Redis does not answer."
        trouble = f"The order of the queue is not known. {message}"
        is_queued = any(run.status == "queued" for run in runs.values())
        return runs, Queue([], trouble if is_queued else "", None, num_deleted)
    return runs, Queue(names, "", sorted(workers), num_deleted)


def runs_frame(changed: Iterable[Status], gone: list[str], queue: Queue, *, whole: bool) -> bytes:
    """Pack statuses that changed, ids that are gone, and the queue."""
    return say(
        op="runs",
        whole=whole,
        changed=[_told(run) for run in changed],
        gone=gone,
        queue=queue.runs,
        trouble=queue.trouble,
        workers=queue.workers,
        deleted=queue.deleted,
    )


def _told(run: Status) -> dict[str, Any]:
    fields = run.with_words()
    for name in _UNTOLD:
        del fields[name]
    names = {"title": name_of(run), "dataset": data_of(run)}
    return {**fields, **names, "needs_a_look": run.needs_a_look, "tracked": run.is_tracked}


def alarm_of(run: Status) -> dict[str, Any]:
    """Return what other pages say of a run that needs a look."""
    sentences = [alarm["message"] for alarm in run.alarms]
    return {"id": run.id, "name": name_of(run), "alarms": sentences}


def head_of(runs: Iterable[Status], queue: Queue) -> dict[str, Any]:
    """Return what the head of every page says: workers, running, queued, needs a look."""
    running = [run for run in runs if run.status in ("running", "queued")]
    return {
        "workers": queue.workers,
        "running": sum(run.status == "running" for run in running),
        "queued": sum(run.status == "queued" for run in running),
        "look": [{"id": run.id, "name": name_of(run)} for run in running if run.needs_a_look],
    }
