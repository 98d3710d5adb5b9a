"""Enqueueing of work for the workers: launch runs, and ask the others.

Imports no torch, so that pages and the command line may use it; the worker's side is
`jobs/tasks.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import redis
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.serializers import JSONSerializer

from backend.errors import BadInput, NotAvailable, Problem
from backend.spec import RunSpec, from_dict
from jobs.queueing import redis_store, turns
from jobs.queueing.job_calls import Job
from jobs.queueing.spec_paths import Origin, absolute_config, absolute_paths
from jobs.records import groups, run_store

CHECK_SECONDS = 20.0
"""Seconds a form waits for an answer."""
_SECONDS_AN_IMAGE, _SECONDS_A_BYTE, _MOST_SECONDS = 0.01, 1e-6, 600.0
"""What reading data adds to that, on a machine with much else to do."""
_LONG_SECONDS = 30.0
"""From which on what has not been read yet is read where it holds up no other form."""
QUICK_SECONDS = 120
"""Seconds an answer that is not a form's is waited for."""
ASK_SECONDS = 300
"""Seconds a person waits for a run's answer."""
_RESULT_SECONDS = 60
_OF_FORMS = ("check", "previews", "look", "offers")
"""Tasks that a form waits for."""


@dataclass(frozen=True)
class Check:
    """Answer of the check worker about a RunSpec before it is launched."""

    ok: bool
    problems: list[dict[str, str]] = field(default_factory=list)
    """`field` and `message` of everything wrong"""
    derived: dict[str, str] = field(default_factory=dict)
    """sentences about what settings amount to, by field"""
    cost: dict[str, Any] = field(default_factory=dict)
    """steps, gradients, seconds, seconds_spread, looking, judging, from_runs, note; null where not
    known"""
    data: dict[str, Any] = field(default_factory=dict)
    """title, num_train, num_held_out, event_shape, is_image, columns, preview; or `missing` alone,
    a sentence, for data to be downloaded when the run starts"""
    spec: RunSpec | None = None
    """what was checked, its paths absolute; None where that could not be read"""


def launch(spec: RunSpec, *, origin: Origin = "cli", by: str = "") -> str:
    """Make the run's directory, queue it, and return its id.

    Raises BadInput for a path the browser may not name, NotAvailable without Redis; neither
    leaves anything behind.
    """
    return launch_many([spec], origin=origin, by=by)[0]


def launch_many(specs: Iterable[RunSpec], *, origin: Origin = "cli", by: str = "") -> list[str]:
    """Launch several runs as a group: all of them or, when one is refused, none."""
    specs = groups.grouped([absolute_paths(spec, origin) for spec in specs])
    connection = redis_store.connect()
    with redis_store.reaching():
        redis_store.need_own_home(connection)
    created: list[run_store.RunDirectory] = []
    try:
        for spec in specs:
            created.append(run_store.create_run(spec, by=by))
            put(created[-1].id, connection)
    except BaseException as error:
        for directory in created:
            with contextlib.suppress(redis.RedisError):
                forget(directory.id, connection)
            directory.delete()
        if isinstance(error, redis.RedisError):
            raise NotAvailable(f"Nothing was launched. {redis_store.unreachable(error)}") from error
        raise
    return [directory.id for directory in created]


def put(run_id: str, connection: redis.Redis, *, at_front: bool = False) -> None:
    """Queue the training of a run. The job's id is the run's, so there is one job a run."""
    forget(run_id, connection)
    _push(run_id, connection, at_front=at_front)


def put_if(run_id: str, connection: redis.Redis, is_wanted: Callable[[], bool]) -> bool:
    """Queue a run before all others if `is_wanted` says so; returns whether it was.

    In one stroke: had anybody taken, started, ended or queued its job since `is_wanted` was asked,
    nothing is done.
    """
    queue = redis_store.queue(redis_store.TRAIN, connection)
    with connection.pipeline() as pipeline:
        pipeline.watch(queue.key, queue.intermediate_queue_key, Job.key_for(run_id))
        if not is_wanted():
            return False
        old = job_of(run_id, connection)
        pipeline.multi()
        for key in (queue.key, queue.intermediate_queue_key):
            pipeline.lrem(key, 0, run_id)
        if old is not None:
            old.delete(pipeline=pipeline)
        _push(run_id, connection, at_front=True, pipeline=pipeline)
        try:
            pipeline.execute()
        except redis.WatchError:
            return False
    return True


def waiting(connection: redis.Redis) -> set[str]:
    """List the ids of the runs that wait in the queue with a job, in two calls however many."""
    names = redis_store.queue(redis_store.TRAIN, connection).job_ids
    with connection.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.exists(Job.key_for(name))
        return {name for name, exists in zip(names, pipeline.execute(), strict=True) if exists}


def job_of(run_id: str, connection: redis.Redis) -> Job | None:
    """Fetch RQ's job of a run; None where there is none."""
    try:
        return cast(Job, Job.fetch(run_id, connection=connection, serializer=JSONSerializer))
    except NoSuchJobError:
        return None


def _push(
    run_id: str,
    connection: redis.Redis,
    *,
    at_front: bool,
    pipeline: redis.client.Pipeline | None = None,
) -> None:
    redis_store.queue(redis_store.TRAIN, connection).enqueue(
        "jobs.tasks.train",
        run_id,
        job_id=run_id,
        job_timeout=-1,  # a run ends by its budget, never by the clock of the queue
        result_ttl=0,
        failure_ttl=_RESULT_SECONDS,
        meta=turns.needs_of(run_store.open_run(run_id).spec()),
        description=f"train {run_id}",
        at_front=at_front,
        pipeline=pipeline,
    )


def take_off(run_id: str, connection: redis.Redis) -> bool:
    """Take a waiting run off the queue. False when it was not waiting: then nothing is touched."""
    if not redis_store.queue(redis_store.TRAIN, connection).remove(run_id):
        return False
    forget(run_id, connection)
    return True


def forget(run_id: str, connection: redis.Redis) -> None:
    """Take a run's job out of all of RQ's books."""
    queue = redis_store.queue(redis_store.TRAIN, connection)
    queue.remove(run_id)
    # Left there by a worker that was killed, RQ would fail the run's next job for it.
    queue.intermediate_queue.remove(run_id)
    connection.delete(queue.intermediate_queue.get_first_seen_key(run_id))
    if (job := job_of(run_id, connection)) is not None:
        job.delete()


def check(raw: dict[str, Any], origin: Origin = "cli") -> Check:
    """Ask the check worker what it makes of a RunSpec given as plain data.

    Everything wrong with the spec is in the answer. Raises NotAvailable when nobody answers
    within `CHECK_SECONDS`.
    """
    try:
        spec = absolute_paths(from_dict(raw), origin)
    except BadInput as error:
        return Check(False, [{"field": p.field, "message": p.message} for p in error.problems])
    return Check(**_about_data("check", spec.as_dict(), spec.data), spec=spec)


_read: set[tuple[object, ...]] = set()
"""What was asked of files and folders that took long, which workers keep as tables by now."""


def _about_data(task: str, fields: dict[str, Any], data: Mapping[str, Any]) -> Any:
    """Call a task that reads data for a form: where that is long, where it holds up no other."""
    seconds = _seconds_to_read(data)
    asked = (task, *_stamp(data))
    if seconds < _LONG_SECONDS or asked in _read:
        return call(task, fields, timeout=CHECK_SECONDS + seconds)
    timeout = CHECK_SECONDS + seconds + ASK_SECONDS  # a question may come first there
    answer = call(task, fields, timeout=timeout, is_long=True)
    _read.add(asked)
    return answer


def _stamp(data: Mapping[str, Any]) -> tuple[object, ...]:
    """Tell a file from what it was before it changed; () where it cannot be looked at."""
    try:
        about = Path(str(data["path"])).stat()
    except (KeyError, OSError, ValueError):
        return ()
    return (data["path"], about.st_size, about.st_mtime_ns)


def _seconds_to_read(data: Mapping[str, Any]) -> float:
    """Bound the seconds that reading a file or a folder of images takes; 0 where there is none."""
    given = data.get("path")
    if not isinstance(given, str) or not given:
        return 0.0
    path = Path(given)
    try:
        if path.is_dir():
            entries = itertools.chain(path.glob("*"), path.glob("*/*"))
            most = round(_MOST_SECONDS / _SECONDS_AN_IMAGE)
            num = sum(1 for _ in itertools.islice(entries, most))
            return num * _SECONDS_AN_IMAGE
        return min(_MOST_SECONDS, path.stat().st_size * _SECONDS_A_BYTE)
    except (OSError, ValueError):
        return 0.0


def previews(names: list[str]) -> dict[str, Any]:
    """Ask for small pictures and outlines of data sets, by name. Raises NotAvailable."""
    return dict(call("previews", names, timeout=QUICK_SECONDS))


def look(data: dict[str, Any], origin: Origin = "browser") -> dict[str, Any]:
    """Ask what a file of data holds, as `jobs.models.data_outline.look` tells it.

    Raises BadInput for a path that may not be named, NotAvailable when nobody answers.
    """
    fields = absolute_config(data, origin, "data")
    return dict(_about_data("look", fields, fields))


def offers(run_id: str) -> dict[str, dict[str, Any]]:
    """Ask which abilities a trained run can be asked, as `jobs.tasks.offers` tells them by id.

    Raises BadInput, NotAvailable.
    """
    return dict(call("offers", run_id, timeout=CHECK_SECONDS))


def ask_run(
    run_id: str,
    ability: str,
    config: dict[str, Any],
    *,
    seed: int = 0,
    origin: Origin = "browser",
    timeout: float = ASK_SECONDS,
    waiting: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Ask a run on the quick worker, and keep the answer in the run's folder.

    waiting: called about once a second with the seconds waited; what it raises ends the work.

    Returns what `jobs.models.answering.answer_to_run` does. Raises BadInput at the ability's own
    fields, or at `ability` or `seed`; NotAvailable.
    """
    fields = absolute_config(config, origin)
    arguments = (run_id, ability, fields, seed)
    return dict(call("ask", *arguments, timeout=timeout, waiting=waiting))


def call(
    task: str,
    *arguments: Any,
    timeout: float,
    waiting: Callable[[float], None] | None = None,
    is_long: bool = False,
) -> Any:
    """Run `jobs.tasks.<task>` on the check or the quick worker and return its answer.

    is_long: not where forms wait, if it can be helped.
    Raises BadInput as the task did, and NotAvailable when it failed or nobody answered in time;
    then the work on it ends too.
    """
    with redis_store.reaching():
        connection = redis_store.connect()
        queue = redis_store.queue(_queue_of(task, connection, is_long), connection)
        job = queue.enqueue(
            f"jobs.tasks.{task}_job",
            *arguments,
            job_timeout=math.ceil(timeout),
            result_ttl=_RESULT_SECONDS,
            failure_ttl=_RESULT_SECONDS,
            ttl=math.ceil(timeout),  # nobody waits any longer
            description=task,
        )
        try:
            answer = _wait(job.id, timeout, waiting)
        except BaseException:
            with contextlib.suppress(redis.RedisError, InvalidJobOperation):
                queue.remove(job.id)
                job.delete()  # its worker sees it, and ends the work
            raise
    if "problems" in answer:
        raise BadInput(*(Problem(**problem) for problem in answer["problems"]))
    if "not_available" in answer:
        raise NotAvailable(answer["not_available"])
    return answer["value"]


def _queue_of(task: str, connection: redis.Redis, is_long: bool = False) -> str:
    """Choose the queue of a task: what forms wait for has a worker of its own, if one is there."""
    kinds = {worker["queue"] for worker in redis_store.workers(connection) if worker["alive"]}
    is_of_forms = task in _OF_FORMS and not (is_long and redis_store.QUICK in kinds)
    if is_of_forms and redis_store.CHECK in kinds:
        return redis_store.CHECK
    if redis_store.QUICK in kinds:
        return redis_store.QUICK
    kind = redis_store.CHECK if task in _OF_FORMS else redis_store.QUICK
    raise NotAvailable(f"No {kind} worker is running. Start one with `basin up`.")


def _wait(
    job_id: str, timeout: float, waiting: Callable[[float], None] | None = None
) -> dict[str, Any]:
    job = Job.fetch(job_id, connection=redis_store.waiting(), serializer=JSONSerializer)
    deadline = time.monotonic() + timeout
    while (seconds_left := deadline - time.monotonic()) > 0:
        if waiting is not None:
            waiting(timeout - seconds_left)
        # Blocks in Redis; under 5 s at a time, the client's own socket timeout.
        most = 2 if waiting is None else 1
        result = job.latest_result(timeout=max(1, min(most, int(seconds_left))))
        if result is None:
            continue
        if result.type.name == "SUCCESSFUL":
            return cast(dict[str, Any], result.return_value)
        last = (result.exc_string or "no reason given").strip().splitlines()[-1]
        if last.startswith("Work-horse terminated"):
            last = "its process crashed, or needed more memory than it may use (BASIN_QUICK_GB)."
        raise NotAvailable(f"The worker failed: {last}")
    raise NotAvailable(f"No worker answered within {timeout:g} s. Try again.")
