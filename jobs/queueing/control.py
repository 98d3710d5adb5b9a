"""What a person does to a run: stop, pause, resume, reorder, delete.

Stopping is asked first: a word in the run's `control` file, which works with Redis away and for
inline runs too. Who does not obey within `GRACE` seconds is killed by `jobs.queueing.reconcile`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator

import redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from backend.errors import BadInput, NotAvailable
from jobs.models import fingerprints
from jobs.queueing import enqueue, redis_store
from jobs.records import attempts, run_store
from jobs.records.progress import AFTER_TRAINING
from jobs.records.run_store import RunDirectory
from jobs.records.status import RESUMABLE, SILENCE, Status, hostname, process_is_there
from jobs.system.processes import kill_group

GRACE = 10.0
"""Seconds a run has to obey before it is killed, from its last sign of getting on."""
INLINE = "command line"
"""`Status.worker` of runs that no worker runs."""
CHANGEABLE = ("sampler.step_size", "sampler.temperature")


def stop(run_id: str) -> None:
    """End a run for good; a running one writes a checkpoint first. Raises BadInput."""
    _ask(run_store.open_run(run_id), "stop")


def pause(run_id: str) -> None:
    """Stop a run so that it keeps its place: `resume` puts it first in the queue."""
    _ask(run_store.open_run(run_id), "pause")


def _ask(directory: RunDirectory, word: str) -> None:
    status = directory.status()
    if _is_on(status):
        directory.request(word)
        return
    if status.status == "queued":
        # Once off the queue nobody else touches it; otherwise a worker has just taken it.
        if _off_queue(directory.id):
            end(directory, "stopped" if word == "stop" else "paused", "Taken off the queue.")
        else:
            directory.request(word)
        return
    if status.status == "paused" and word == "stop":
        end(directory, "stopped", status.reason)
        return
    raise BadInput.at(
        "run", f"`{directory.id}` is {status.status}; only a queued or running run can {word}."
    )


def _is_on(status: Status) -> bool:
    """Whether a process works on it: one that was given up elsewhere may be here after all."""
    return status.status == "running" or (
        status.status == "lost" and process_is_there(status) is True
    )


def _after_a_look(directory: RunDirectory) -> Status:
    """Where a run stands, once one of another machine has spoken or been silent for long."""
    first = status = directory.status()
    while status.status == "running" and process_is_there(status) is None:
        if status.updated != first.updated:
            break
        time.sleep(SILENCE / 20)
        status = directory.status()
    return status


def change(run_id: str, settings: dict[str, float]) -> None:
    """Ask a running run to take other settings at its next iteration, such as
    `{"sampler.step_size": 0.02}`. What comes of it, it says itself, in `run/changed`.

    Raises BadInput for a run that is not running, or for what is no positive number.
    """
    directory = run_store.open_run(run_id)
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


@redis_store.reaching()
def resume(run_id: str, *, anyway: bool = False) -> None:
    """Queue a run again, before all others, to go on from its last checkpoint.

    One without any starts over. anyway: also where its data are not what they were. Raises BadInput
    for one that cannot go on, NotAvailable without Redis.
    """
    directory = run_store.open_run(run_id)
    connection = redis_store.connect()
    status = _after_a_look(directory)
    if status.status not in RESUMABLE:
        advice = {
            "diverged": "The same settings would diverge again: launch a copy with other ones.",
            "finished": "Launch a copy with a larger budget instead.",
        }.get(status.status, "It is on its way.")
        raise BadInput.at("run", f"`{directory.id}` is {status.status} and cannot resume. {advice}")
    if status.status == "failed" and not directory.checkpoints():
        raise BadInput.at(
            "run", f"`{directory.id}` failed before its first checkpoint. Launch a copy instead."
        )
    with _left_alone(directory):
        if directory.written_status().status == "queued":
            raise BadInput.at("run", f"`{directory.id}` is being resumed already.")
        if anyway:
            fingerprints.accept(directory)
        elif directory.checkpoints():
            fingerprints.check(fingerprints.read(directory))
        directory.clear_request()
        directory.write_status(
            status="queued", reason="", problem=None, ended=None, pid=None, process=""
        )
        enqueue.put(directory.id, connection, at_front=True)


@contextlib.contextmanager
def _left_alone(directory: RunDirectory) -> Iterator[None]:
    """No process of this machine trains the run while the block lasts. Raises BadInput."""
    try:
        with attempts.held(directory):
            yield
    except attempts.Held as error:
        raise BadInput.at("run", f"{error} Stop it first.") from error


def kill(run_id: str) -> None:
    """End a run's process at once; what it wrote is kept. Raises BadInput if it is not running."""
    directory = run_store.open_run(run_id)
    status = directory.status()
    if not _is_on(status):
        raise BadInput.at("run", f"`{directory.id}` is {status.status}, not running.")
    end_by_force(directory, status, "Killed on request.")


@redis_store.reaching()
def reorder(run_id: str, position: int) -> None:
    """Move a queued run to `position` in the queue, 0 being next. Raises BadInput."""
    name = run_store.open_run(run_id).id
    connection = redis_store.connect()
    key = redis_store.queue(redis_store.TRAIN, connection).key

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


@redis_store.reaching()
def queued() -> list[str]:
    """Ids of the runs that wait, the next one first. Raises NotAvailable."""
    return list(redis_store.queue(redis_store.TRAIN).job_ids)


def delete(run_ids: Iterable[str]) -> int:
    """Delete runs from disk and Redis; returns how many. Refuses all if one is running."""
    directories = [run_store.open_run(run_id) for run_id in run_ids]
    for directory in directories:
        if _after_a_look(directory).status == "running":
            raise BadInput.at("run", f"`{directory.id}` is running. Stop it first.")
        if attempts.is_held(directory):
            raise BadInput.at("run", f"`{directory.id}` is being trained. Stop it first.")
    for directory in directories:
        _off_queue(directory.id)
        with contextlib.suppress(NotAvailable, redis.RedisError):
            keys = [
                redis_store.stream_key(directory.id, stream) for stream in redis_store.STREAM_BYTES
            ]
            redis_store.connect().delete(*keys)
        with _left_alone(directory):
            directory.delete()
    return len(directories)


def horse_ended(run_id: str, pid: int, how: str) -> None:
    """Called by the worker when a run's process is gone: a run that still says it is on its way
    says what happened instead."""
    directory = run_store.open_run(run_id)
    status = directory.status()
    if status.pid not in (None, pid) or status.status not in ("queued", "running", "lost"):
        return
    if status.status == "lost" and status.ended is not None:
        return
    if attempts.is_held(directory):  # by another process, whose run this is
        return
    if status.status == "queued" and attempts.pid_of(directory, status.attempt) == pid:
        return  # its attempt said how it ended, and the run was resumed since
    if directory.requested() == "stop":
        word, after = _stopped(status)
        end(directory, word, f"{how} It had not stopped by itself within {GRACE:g} s. {after}")
    else:
        end(directory, "lost", f"{how} {kept(status)}")


def end_by_force(directory: RunDirectory, status: Status, reason: str) -> None:
    """End a run's process at once and write down that it was stopped. Raises OSError."""
    with contextlib.suppress(NotAvailable, redis.RedisError, NoSuchJobError, InvalidJobOperation):
        send_stop_job_command(redis_store.connect(), directory.id, serializer=JSONSerializer)
    if process_is_there(status):
        # one that is known by more than its pid cannot be another
        kill_group(status.pid, math.inf if status.process else status.updated)
    if directory.written_status().status in ("running", "lost"):  # else it ended by itself
        word, after = _stopped(status)
        end(directory, word, f"{reason} {after}")


def _stopped(status: Status) -> tuple[str, str]:
    """How a run that was ended by force has ended, and a sentence on what there is of it."""
    if status.doing in AFTER_TRAINING:
        return "finished", "Its training was done; final figures or answers are missing."
    return "stopped", kept(status)


def is_overdue(status: Status, asked: float | None) -> bool:
    """Whether a run asked to end `asked` seconds ago has had its time: `GRACE` seconds from then
    or from its last sign of getting on (a checkpoint being written is one)."""
    return asked is not None and min(asked, time.time() - status.progressed) > GRACE


def any_at_work() -> bool:
    """Whether a run of this machine is on its way to the end it was asked for."""
    return any(
        status.status == "running"
        and status.host == hostname()
        and not is_overdue(status, math.inf)
        for status in run_store.list_runs()
    )


def end(directory: RunDirectory, word: str, reason: str) -> None:
    """Write down how a run ended, for a process that did not. Raises OSError."""
    directory.clear_request()
    directory.write_status(status=word, reason=reason.strip(), ended=time.time())


def kept(status: Status) -> str:
    """What is left of a run that ended without a word."""
    if status.checkpoint_step is None:
        return "There is no checkpoint yet; resuming starts over."
    return f"It can resume from step {status.checkpoint_step:,}."


def _off_queue(run_id: str) -> bool:
    with contextlib.suppress(NotAvailable, redis.RedisError):
        return enqueue.take_off(run_id, redis_store.connect())
    return False


def settle() -> list[str]:
    """Put right what nobody else will: `jobs.queueing.reconcile.settle`."""
    from jobs.queueing import reconcile  # which takes from here how runs are ended

    return reconcile.settle()
