"""What a person does to a run: stop, pause, resume, reorder, delete; and `settle`.

Stopping is asked first: a word in the run's `control` file, which works with Redis away and for
inline runs too. Who does not obey within `GRACE` seconds is killed by `settle`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable

import redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from backend.errors import BadInput, NotAvailable
from jobs import artifacts, enqueue, names, store
from jobs.artifacts import RunDirectory
from jobs.processes import is_alive, is_orphan, kill_group
from jobs.status import Status, hostname

GRACE = 10.0
"""Seconds a run has to obey before it is killed."""
INLINE = "command line"
"""`Status.worker` of runs that no worker runs."""
CHANGEABLE = ("sampler.step_size", "sampler.temperature")
_REQUEUE_SECONDS = 5.0
_RESUMABLE = ("paused", "stopped", "lost", "failed")


def stop(run_id: str) -> None:
    """End a run for good; a running one writes a checkpoint first. Raises BadInput."""
    _ask(artifacts.open_run(run_id), "stop")


def pause(run_id: str) -> None:
    """Stop a run so that it keeps its place: `resume` puts it first in the queue."""
    _ask(artifacts.open_run(run_id), "pause")


def _ask(directory: RunDirectory, word: str) -> None:
    status = directory.status()
    if status.status == "running":
        directory.request(word)
        return
    if status.status == "queued":
        # Once off the queue nobody else touches it; otherwise a worker has just taken it.
        if _off_queue(directory.id):
            _end(directory, "stopped" if word == "stop" else "paused", "Taken off the queue.")
        else:
            directory.request(word)
        return
    if status.status == "paused" and word == "stop":
        _end(directory, "stopped", status.reason)
        return
    raise BadInput.at(
        "run", f"`{directory.id}` is {status.status}; only a queued or running run can {word}."
    )


def change(run_id: str, settings: dict[str, float]) -> None:
    """Ask a running run to take other settings at its next iteration, such as
    `{"sampler.step_size": 0.02}`. What comes of it, it says itself, in `run/changed`.

    Raises BadInput for a run that is not running, or for what is no positive number.
    """
    directory = artifacts.open_run(run_id)
    status = directory.status()
    if status.status != "running":
        raise BadInput.at(
            "run", f"`{directory.id}` is {status.status}; only a running run can change."
        )
    if not settings:
        raise BadInput.at("settings", "name at least one setting, such as `sampler.step_size`.")
    for name, value in settings.items():
        if name not in CHANGEABLE:
            known = ", ".join(CHANGEABLE)
            raise BadInput.at(name, f"cannot be changed while a run goes on; {known} can.")
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
            raise BadInput.at(name, f"must be a number > 0, got {value!r}.")
    directory.ask_change({name: float(value) for name, value in settings.items()})


def resume(run_id: str) -> None:
    """Queue a run again, before all others, to go on from its last checkpoint.

    One without any starts over. Raises BadInput for one that cannot go on, NotAvailable
    without Redis.
    """
    directory = artifacts.open_run(run_id)
    connection = store.connect()
    status = directory.status()
    if status.status not in _RESUMABLE:
        advice = {
            "diverged": "The same settings would diverge again: launch a copy with other ones.",
            "finished": "Launch a copy with a larger budget instead.",
        }.get(status.status, "It is on its way.")
        raise BadInput.at("run", f"`{directory.id}` is {status.status} and cannot resume. {advice}")
    if status.status == "failed" and not directory.checkpoints():
        raise BadInput.at(
            "run", f"`{directory.id}` failed before its first checkpoint. Launch a copy instead."
        )
    if not connection.set(names.resume_key(directory.id), 1, nx=True, ex=5):
        raise BadInput.at("run", f"`{directory.id}` is being resumed already.")
    _end_process(status)  # silent for long, yet perhaps still there
    directory.clear_request()
    directory.write_status(status="queued", reason="", problem=None, ended=None, pid=None)
    enqueue.put(directory.id, connection, at_front=True)


def kill(run_id: str) -> None:
    """End a run's process at once; what it wrote is kept. Raises BadInput if it is not running."""
    directory = artifacts.open_run(run_id)
    status = directory.status()
    if status.status != "running":
        raise BadInput.at("run", f"`{directory.id}` is {status.status}, not running.")
    _kill(directory, status, "Killed on request.")


def reorder(run_id: str, position: int) -> None:
    """Move a queued run to `position` in the queue, 0 being next. Raises BadInput."""
    name = artifacts.open_run(run_id).id
    connection = store.connect()
    key = store.queue(store.TRAIN, connection).key

    def move(pipeline: redis.client.Pipeline) -> None:
        waiting = [item.decode() for item in pipeline.lrange(key, 0, -1)]  # type: ignore[union-attr]
        if name not in waiting:
            raise BadInput.at("run", f"`{name}` is not waiting in the queue.")
        waiting.remove(name)
        waiting.insert(max(0, position), name)
        pipeline.multi()
        pipeline.delete(key)
        pipeline.rpush(key, *waiting)

    connection.transaction(move, key)


def queued() -> list[str]:
    """Ids of the runs that wait, the next one first. Raises NotAvailable."""
    return list(store.queue(store.TRAIN).job_ids)


def delete(run_ids: Iterable[str]) -> int:
    """Delete runs from disk and Redis; returns how many. Refuses all if one is running."""
    directories = [artifacts.open_run(run_id) for run_id in run_ids]
    for directory in directories:
        if directory.status().status == "running":
            raise BadInput.at("run", f"`{directory.id}` is running. Stop it first.")
    for directory in directories:
        _off_queue(directory.id)
        with contextlib.suppress(NotAvailable, redis.RedisError):
            keys = [store.stream_key(directory.id, stream) for stream in store.STREAM_BYTES]
            store.connect().delete(*keys)
        directory.delete()
    return len(directories)


def horse_ended(run_id: str, pid: int, how: str) -> None:
    """Called by the worker when a run's process is gone: a run that still says it is on its way
    says what happened instead."""
    directory = artifacts.open_run(run_id)
    status = directory.status()
    if status.pid not in (None, pid) or status.status not in ("queued", "running", "lost"):
        return
    if status.status == "lost" and status.ended is not None:
        return
    if directory.requested() == "stop":
        _end(directory, "stopped", f"{how} It had not stopped by itself within {GRACE:g} s.")
    else:
        _end(directory, "lost", f"{how} {_kept(status)}")


def settle() -> list[str]:
    """Put right what nobody else will; called about once a second. Returns what it did.

    Runs asked to stop more than `GRACE` ago are killed; lost ones are written down as such and
    cleared from RQ's books; queued ones whose job vanished are queued again.
    """
    done: list[str] = []
    statuses = [s for s in artifacts.list_runs() if s.status in ("queued", "running", "lost")]
    connection: redis.Redis | None = None
    alive: set[str] = set()
    if statuses:
        with contextlib.suppress(NotAvailable, redis.RedisError):
            connection = store.connect()
            alive = {w["name"] for w in store.workers(connection) if w["alive"]}
    for status in statuses:
        with contextlib.suppress(BadInput, NotAvailable, redis.RedisError, FileNotFoundError):
            if sentence := _settle(status, connection, alive):
                done.append(sentence)
    return done


def _settle(status: Status, connection: redis.Redis | None, alive: set[str]) -> str | None:
    directory = artifacts.open_run(status.id)
    if status.status == "running":
        asked = directory.request_age()
        if directory.requested() == "stop" and asked is not None and asked > GRACE:
            _kill(directory, status, f"It did not stop within {GRACE:g} s and was ended.")
            return f"{status.id} did not stop by itself and was ended"
    elif status.status == "lost" and status.ended is None:
        return _settle_lost(directory, status, connection, alive)
    elif status.status == "queued" and connection is not None:
        return _settle_queued(directory, status, connection, alive)
    return None


def _settle_lost(
    directory: RunDirectory, status: Status, connection: redis.Redis | None, alive: set[str]
) -> str | None:
    here = status.host == hostname()
    if here and is_alive(status.pid):
        if status.worker in alive or not is_orphan(status.pid or 0):
            return None  # slow rather than gone: it may speak again
        _end_process(status)
    elif status.worker in alive and (not here or _is_recent(status)):
        return None  # who ran it will say what became of it, and knows better
    since = time.strftime("%H:%M:%S", time.localtime(status.updated))
    _end(directory, "lost", f"{status.worker or 'Its process'} has been silent since {since}. "
         f"{_kept(status)}")  # fmt: skip
    if connection is not None:
        enqueue.forget(status.id, connection)
    return f"{status.id} is lost: {status.worker or 'its process'} silent since {since}"


def _is_recent(status: Status) -> bool:
    return time.time() - status.updated < _REQUEUE_SECONDS


def _settle_queued(
    directory: RunDirectory, status: Status, connection: redis.Redis, alive: set[str]
) -> str | None:
    if status.worker == INLINE:
        if status.host == hostname() and not is_alive(status.pid):
            _end(directory, "lost", "The command that ran it ended before its first step.")
        return None
    if _is_recent(status) or _has_job(status.id, connection, alive):
        return None
    enqueue.put(status.id, connection, at_front=True)
    return f"{status.id} was queued again: its job had vanished"


def _has_job(run_id: str, connection: redis.Redis, alive: set[str]) -> bool:
    try:
        job = Job.fetch(run_id, connection=connection, serializer=JSONSerializer)
    except NoSuchJobError:
        return False
    if store.queue(store.TRAIN, connection).get_job_position(run_id) is not None:
        return True
    return job.get_status() == JobStatus.STARTED and job.worker_name in alive


def _kill(directory: RunDirectory, status: Status, reason: str) -> None:
    with contextlib.suppress(NotAvailable, redis.RedisError, NoSuchJobError, InvalidJobOperation):
        send_stop_job_command(store.connect(), directory.id, serializer=JSONSerializer)
    _end_process(status)
    _end(directory, "stopped", f"{reason} {_kept(status)}")


def _end_process(status: Status) -> None:
    if status.host == hostname() and is_alive(status.pid):
        kill_group(status.pid, status.updated)


def _end(directory: RunDirectory, word: str, reason: str) -> None:
    directory.clear_request()
    directory.write_status(status=word, reason=reason.strip(), ended=time.time())


def _kept(status: Status) -> str:
    if status.checkpoint_step is None:
        return "There is no checkpoint yet; resuming starts over."
    return f"It can resume from step {status.checkpoint_step:,}."


def _off_queue(run_id: str) -> bool:
    with contextlib.suppress(NotAvailable, redis.RedisError):
        return enqueue.take_off(run_id, store.connect())
    return False
