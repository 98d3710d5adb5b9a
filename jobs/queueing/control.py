"""Control of runs by people: stop, pause, resume, reorder, delete.

Stopping is requested first, in the run's `control` file, which works with Redis away and for
inline runs too. Who does not obey within `GRACE` seconds is killed by `jobs.queueing.reconcile`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from backend.config import check_turn
from backend.errors import BadInput, NotAvailable
from jobs.models import fingerprints
from jobs.queueing import enqueue, redis_store
from jobs.records import attempts, run_store, trash
from jobs.records.requests import INTERRUPT
from jobs.records.run_store import RunDirectory
from jobs.records.status import (
    BY_ITSELF,
    RESUMABLE,
    SILENCE,
    Status,
    hostname,
    process_is_there,
    resumable_in_words,
    this_process,
)
from jobs.system.processes import kill_group

GRACE = 10.0
"""Seconds a run has to obey before it is killed, from its last sign of getting on."""
INLINE = "command line"
"""`Status.worker` of runs that no worker runs."""
_OF_VERDICTS = ("reproduction:", "bakeoff:", "recipe:")
"""Tags of runs whose settings somebody has fixed for a comparison."""


def stop(run_id: str) -> None:
    """End a run for good; a running one writes a checkpoint first. Raises BadInput."""
    _request(run_store.open_run(run_id), "stop")


def pause(run_id: str) -> None:
    """Stop a run so that it keeps its place: `resume` puts it first in the queue. Raises
    BadInput."""
    _request(run_store.open_run(run_id), "pause")


def _request(directory: RunDirectory, end_as: str) -> None:
    status = directory.status()
    if _is_running(status):
        if end_as == "pause":
            _refuse_tracked(directory, status, "be stopped, when it asks `run.should_stop`")
        directory.request(end_as)
        return
    if status.status == "queued":
        # Once off the queue nobody else touches it; otherwise a worker has just taken it.
        if _take_off_queue(directory.id):
            end(directory, "stopped" if end_as == "stop" else "paused", "Taken off the queue.")
        else:
            directory.request(end_as)
        return
    if status.status == "paused" and end_as == "stop":
        end(directory, "stopped", status.reason)
        return
    if status.interrupted and end_as == "stop":
        end(directory, status.status, f"{status.reason.partition(BY_ITSELF)[0]}Left so on request.")
        return
    raise BadInput.at(
        "run", f"`{directory.id}` is {status.status}; only a queued or running run can {end_as}."
    )


def _refuse_tracked(directory: RunDirectory, status: Status, instead: str) -> None:
    """Raise BadInput for a run of the user's own script, naming what can be done instead."""
    if status.is_tracked:
        raise BadInput.at(
            "run", f"`{directory.id}` is trained by its own script; it can {instead}."
        )


def _is_running(status: Status) -> bool:
    """Return True while a process works on it: one given up elsewhere may be here after all."""
    return status.status == "running" or (
        status.status == "lost" and process_is_there(status) is True
    )


def _watched_status(directory: RunDirectory) -> Status:
    """Read the state of a run, once one of another machine has written or been silent for long."""
    first = status = directory.status()
    while status.status == "running" and process_is_there(status) is None:
        if status.updated != first.updated:
            break
        time.sleep(SILENCE / 20)
        status = directory.status()
    return status


def turn(run_id: str, settings: Mapping[str, object], by: str = "") -> dict[str, float]:
    """Ask a run to take other settings at its next step, or when it goes on; returns them.

    settings: such as `{"sampler.step_size": 0.02}`, by the fields that `RunDirectory.turnable`
    lists. The run answers in `run/changed`. by: who asks. Raises BadInput.
    """
    directory = run_store.open_run(run_id)
    status = directory.status()
    if status.status not in ("running", "paused"):
        raise BadInput.at(
            "run",
            f"`{directory.id}` is {status.status}; only a running or paused run can be turned.",
        )
    if any(tag.startswith(_OF_VERDICTS) for tag in status.tags):
        raise BadInput.at(
            "run", f"`{directory.id}` decides a claim by its settings. Turn a copy of it."
        )
    _refuse_tracked(directory, status, "take no settings from here")
    rules = directory.turnable()
    if not rules:
        raise BadInput.at("run", f"`{directory.id}` is being set up. Try again in a moment.")
    if not settings:
        example = next(iter(rules))
        raise BadInput.at("settings", f"name at least one, such as `{example}`.")
    checked = check_turn(rules, settings)
    directory.ask_turn(checked, by)
    return checked


@redis_store.reaching()
def resume(run_id: str, *, anyway: bool = False, by_itself: bool = False) -> None:
    """Queue a run again, before all others, to go on from its last checkpoint.

    One without any starts over. anyway: also where its data are not what they were. by_itself: it
    was interrupted, and nobody asks. Raises BadInput for one that cannot go on, NotAvailable
    without Redis.
    """
    directory = run_store.open_run(run_id)
    connection = redis_store.connect()
    with _resumable(directory, anyway) as before:
        step = before.checkpoint_step or 0
        how: dict[str, Any] = {"reason": "", "interrupted": False}
        if by_itself:
            reason = f"It goes on by itself from step {step:,}, where Basin was stopped."
            how = {"reason": reason, "went_on": [*before.went_on, step]}
        directory.write_status(
            status="queued", problem=None, ended=None, pid=None, process="", **how
        )
        enqueue.put(directory.id, connection, at_front=True)


def take_up(run_id: str, *, anyway: bool = False) -> RunDirectory:
    """Make a run ready to go on in this process, without Redis. Raises BadInput as `resume`."""
    directory = run_store.open_run(run_id)
    with _resumable(directory, anyway):
        directory.write_status(
            status="queued",
            reason="",
            interrupted=False,
            problem=None,
            ended=None,
            worker=INLINE,
            **this_process(),
        )
    return directory


@contextlib.contextmanager
def _resumable(directory: RunDirectory, anyway: bool) -> Iterator[Status]:
    """Keep a run that can go on from being trained in the block: its status. Raises BadInput."""
    status = _watched_status(directory)
    _refuse_tracked(directory, status, "begin again as a new run: start the script")
    if status.status not in RESUMABLE:
        advice = {
            "diverged": "The same settings would diverge again: fork an earlier moment of it "
            "with other ones, or launch a copy.",
            "finished": "Fork it with a larger budget: `basin fork RUN --steps N`.",
        }.get(status.status, "It is on its way.")
        raise BadInput.at("run", f"`{directory.id}` is {status.status} and cannot resume. {advice}")
    if status.status == "failed" and not directory.checkpoints():
        raise BadInput.at(
            "run", f"`{directory.id}` failed before its first checkpoint. Launch a copy instead."
        )
    with _untrained(directory):
        if directory.written_status().status == "queued":
            raise BadInput.at("run", f"`{directory.id}` is being resumed already.")
        if anyway:
            fingerprints.accept(directory)
        elif directory.checkpoints():
            fingerprints.check(fingerprints.read(directory))
        directory.clear_request()
        yield status


@contextlib.contextmanager
def _untrained(directory: RunDirectory) -> Iterator[None]:
    """Keep every process of this machine from training the run in the block. Raises BadInput."""
    try:
        with attempts.held(directory):
            yield
    except attempts.Held as error:
        raise BadInput.at("run", f"{error} Stop it first.") from error


def kill(run_id: str) -> None:
    """End a run's process at once; what it wrote is kept. Raises BadInput if it is not running."""
    directory = run_store.open_run(run_id)
    status = directory.status()
    if not _is_running(status):
        raise BadInput.at("run", f"`{directory.id}` is {status.status}, not running.")
    _refuse_tracked(directory, status, f"be ended where it runs: process {status.pid}")
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
    """List the ids of the runs that wait, the next one first. Raises NotAvailable."""
    return list(redis_store.queue(redis_store.TRAIN).job_ids)


def delete(run_ids: Iterable[str]) -> int:
    """Put runs in the trash and forget them in Redis; returns how many. Raises BadInput, deleting
    none, if one runs."""
    directories = [run_store.open_run(run_id) for run_id in run_ids]
    for directory in directories:
        if _watched_status(directory).status == "running":
            raise BadInput.at("run", f"`{directory.id}` is running. Stop it first.")
        if attempts.is_held(directory):
            raise BadInput.at("run", f"`{directory.id}` is being trained. Stop it first.")
    for directory in directories:
        _take_off_queue(directory.id)
        with contextlib.suppress(NotAvailable, redis.RedisError):
            keys = [
                redis_store.stream_key(directory.id, stream) for stream in redis_store.STREAM_BYTES
            ]
            redis_store.connect().delete(*keys)
        with _untrained(directory):
            trash.put(directory)
    return len(directories)


def horse_ended(run_id: str, pid: int, how: str) -> None:
    """Write down the end of a run whose process is gone and that still says it is on its way.

    Called by the worker.
    """
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
    requested = directory.requested()
    if requested in ("stop", INTERRUPT):
        is_cut_off = requested == INTERRUPT
        after = resumable_in_words(status)
        reason = f"{how} It had not stopped by itself within {GRACE:g} s. {after}"
        end(directory, "stopped", f"{reason} {BY_ITSELF}" if is_cut_off else reason, is_cut_off)
    else:
        end(directory, "lost", f"{how} {resumable_in_words(status)}")


def end_by_force(directory: RunDirectory, status: Status, reason: str) -> None:
    """End a run's process at once and write down that it was stopped. Raises OSError."""
    with contextlib.suppress(NotAvailable, redis.RedisError, NoSuchJobError, InvalidJobOperation):
        send_stop_job_command(redis_store.connect(), directory.id, serializer=JSONSerializer)
    if process_is_there(status):
        # one that is known by more than its pid cannot be another
        kill_group(status.pid, math.inf if status.process else status.updated)
    if directory.written_status().status in ("running", "lost"):  # else it ended by itself
        end(directory, "stopped", f"{reason} {resumable_in_words(status)}")


def is_overdue(status: Status, request_age: float | None) -> bool:
    """Return True when a run asked to end `request_age` seconds ago has had its time.

    `GRACE` seconds from then or from its last sign of getting on (a checkpoint being written is
    one).
    """
    return request_age is not None and min(request_age, time.time() - status.progressed) > GRACE


def any_at_work() -> bool:
    """Return True while a run of this machine is on its way to the end it was asked for."""
    return any(
        status.status == "running"
        and status.host == hostname()
        and not is_overdue(status, math.inf)
        for status in run_store.list_runs()
    )


def end(directory: RunDirectory, state: str, reason: str, interrupted: bool = False) -> None:
    """Write down the end of a run, for a process that did not. Raises OSError."""
    directory.clear_request()
    directory.write_status(
        status=state, reason=reason.strip(), interrupted=interrupted, ended=time.time()
    )


def _take_off_queue(run_id: str) -> bool:
    with contextlib.suppress(NotAvailable, redis.RedisError):
        return enqueue.take_off(run_id, redis_store.connect())
    return False


def settle() -> list[str]:
    """Reconcile runs with their processes and jobs: `jobs.queueing.reconcile.reconcile_runs`."""
    from jobs.queueing import reconcile  # which takes from here how runs are ended

    return reconcile.reconcile_runs()
