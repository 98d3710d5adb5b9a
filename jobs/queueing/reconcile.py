"""Reconciling the status of runs with the processes and jobs there are.

`basin up`, the dashboard where none runs, and whoever waits for a run call `control.settle`; one of
them at a time does it. A run is queued again only if, in one stroke with the look, no list of RQ's
holds it; and should it be on two lists all the same, the attempt's lock lets one process train it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator

import redis
from rq.job import Job, JobStatus

from backend.errors import BasinError, NotAvailable
from jobs.formatting import duration
from jobs.queueing import control, enqueue, going_on, redis_store, turns
from jobs.records import attempts, run_store, trash
from jobs.records.run_store import RunDirectory
from jobs.records.silence import Watch
from jobs.records.status import BY_ITSELF, Status, process_is_there, resumable_in_words
from jobs.system import atomic_files

REQUEUE_SECONDS = 5.0
"""How long a queued run may be without a job: who launches it may be between the two."""
TAKEN_SECONDS = 15.0
"""Seconds a worker may hold a job before it reports that it has started: it forks and imports."""
_without_job, _taken = Watch(), Watch()
_reported: dict[str, str] = {}
"""Last error with each run, so that it is reported once."""


def reconcile_runs() -> list[str]:
    """Reconcile all runs; called about once a second. Returns what it did, in sentences.

    Runs asked to stop more than `control.GRACE` ago are killed; lost ones are written down as such
    and cleared from RQ's books; queued ones whose job vanished are queued again; interrupted ones
    go on. An error with one run is reported once and keeps nothing from the others. Runs and
    checkpoints deleted a day ago are removed for good.
    """
    with _turn() as is_ours:
        if not is_ours:
            return []
        with contextlib.suppress(NotAvailable, OSError):
            trash.empty(trash.KEPT_SECONDS)
            trash.empty_checkpoints(trash.KEPT_SECONDS)
        return _reconcile_all()


@contextlib.contextmanager
def _turn() -> Iterator[bool]:
    """Take the lock that lets one process at a time reconcile; False when another has it."""
    home = run_store.home()
    try:
        descriptor = os.open(home / "settle.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield True  # a full disk: better twice than not at all
        return
    try:
        yield atomic_files.try_lock(descriptor, home)
    finally:
        os.close(descriptor)


def _reconcile_all() -> list[str]:
    sentences: list[str] = []
    statuses = [
        status
        for status in run_store.list_runs()
        if status.status in ("queued", "running", "lost") or status.interrupted
    ]
    connection: redis.Redis | None = None
    alive: set[str] = set()
    waiting: set[str] = set()
    stuck: dict[str, str] = {}
    if statuses:
        with contextlib.suppress(NotAvailable, redis.RedisError):
            connection = redis_store.connect()
            workers = redis_store.workers(connection)
            alive = {w["name"] for w in workers if w["alive"]}
            waiting = enqueue.waiting(connection)
            stuck = turns.stuck(
                connection, redis_store.queue(redis_store.TRAIN, connection), workers
            )
    for status in statuses:
        try:
            sentence = None
            if status.status != "queued" or status.id not in waiting:
                sentence = _reconcile(status, connection, alive)
            if status.status == "queued" and connection is not None and alive:
                _write_why_it_waits(status, stuck.get(status.id, ""))
            _reported.pop(status.id, None)
        except (BasinError, redis.RedisError, FileNotFoundError):
            continue  # changed or deleted meanwhile, or Redis is away: the next look will tell
        except Exception as error:  # one run's trouble must not become that of all others
            sentence = _report_once(status, error)
        if sentence:
            sentences.append(sentence)
    return sentences


def _write_why_it_waits(status: Status, reason: str) -> None:
    """Write down why no worker can take a queued run, or that one can again."""
    if not reason and status.interrupted:
        return  # it says that it goes on by itself
    if status.reason != reason and status.worker != control.INLINE:
        directory = run_store.open_run(status.id)
        if directory.written_status().status == "queued":
            directory.write_status(reason=reason)


def _report_once(status: Status, error: Exception) -> str | None:
    text = f"{status.id} could not be put right: {type(error).__name__}: {error}"
    if _reported.get(status.id) == text:
        return None
    _reported[status.id] = text
    logging.getLogger(__name__).warning("%s", text, exc_info=not isinstance(error, OSError))
    return text


def _reconcile(status: Status, connection: redis.Redis | None, alive: set[str]) -> str | None:
    directory = run_store.open_run(status.id)
    if status.status != "queued":
        _without_job.forget(status.id)
    if status.status == "running":
        if status.is_tracked:
            return None  # it ends when its script asks whether to, and is nobody else's to kill
        if directory.requested() == "stop" and control.is_overdue(status, directory.request_age()):
            reason = f"It did not stop within {control.GRACE:g} s and was ended."
            control.end_by_force(directory, status, reason)
            return f"{status.id} did not stop by itself and was ended"
    elif status.status == "lost" and status.ended is None:
        return _reconcile_lost(directory, status, connection, alive)
    elif status.interrupted and status.status != "queued":
        if connection is not None and any(name.startswith("train-") for name in alive):
            return going_on.go_on(directory, status)
    elif status.status == "queued" and connection is not None:
        return _reconcile_queued(directory, status, connection, alive)
    return None


def _reconcile_lost(
    directory: RunDirectory, status: Status, connection: redis.Redis | None, alive: set[str]
) -> str | None:
    if directory.written_status().status != "running":
        return None  # it has ended by now, or what it is cannot be read
    is_process_there = process_is_there(status)
    if is_process_there or attempts.is_held(directory):
        return None  # slow rather than gone: it may speak again
    if is_process_there is None and status.worker in alive:
        return None  # who ran it will say what became of it, and knows better
    silent = duration(max(time.time() - status.updated, 0.0))
    reason = f"{status.worker or 'Its process'} has been silent for {silent}."
    after = resumable_in_words(status)
    is_cut_off = going_on.was_cut_off(status)
    if is_cut_off:
        reason = "It was cut off: Basin ended, or its machine, without a word."
        after = f"{after} {BY_ITSELF}"
    control.end(directory, "lost", f"{reason} {after}", is_cut_off)
    if connection is not None:
        enqueue.forget(status.id, connection)
    return f"{status.id} is lost: {status.worker or 'its process'} silent for {silent}"


def _reconcile_queued(
    directory: RunDirectory, status: Status, connection: redis.Redis, alive: set[str]
) -> str | None:
    if status.worker == control.INLINE:
        if process_is_there(status) is False:
            control.end(directory, "lost", "The command that ran it ended before its first step.")
        return None
    silent = _without_job.seconds(status.id, status.updated)
    if silent < REQUEUE_SECONDS and time.time() - status.updated < REQUEUE_SECONDS:
        return None

    def is_wanted() -> bool:
        return (
            not _has_job(status.id, connection, alive)
            and directory.written_status().status == "queued"
            and not attempts.is_held(directory)
        )

    if not enqueue.put_if(status.id, connection, is_wanted):
        return None
    return f"{status.id} was queued again: its job had vanished"


def _has_job(run_id: str, connection: redis.Redis, alive: set[str]) -> bool:
    job = enqueue.job_of(run_id, connection)
    if job is None:
        return False
    queue = redis_store.queue(redis_store.TRAIN, connection)
    if queue.get_job_position(run_id) is not None:
        return True
    if _is_started(job):
        _taken.forget(run_id)
        return job.worker_name in alive
    # Between the lists a worker holds it, which says so only when its process has begun.
    is_taken = run_id in queue.intermediate_queue.get_job_ids()
    return is_taken and _taken.seconds(run_id, job.enqueued_at) < TAKEN_SECONDS


def _is_started(job: Job) -> bool:
    return bool(job.get_status() == JobStatus.STARTED)
