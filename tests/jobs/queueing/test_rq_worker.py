"""What Basin changes of RQ's worker, without a process of its own."""

from __future__ import annotations

import os
import resource
import time

import pytest
import rq
from rq.exceptions import StopRequested

from backend.errors import BadInput
from jobs.queueing import enqueue, job_calls, redis_names, redis_store, rq_worker
from jobs.queueing.rq_worker import BasinWorker


@pytest.fixture
def worker(redis_url: str) -> BasinWorker:
    return BasinWorker("quick", "cpu", redis_store.connect())


def test_what_killed_workers_left_does_not_pile_up(worker: BasinWorker) -> None:
    connection, (queue,) = worker.connection, worker.queues
    dead = f"rq:worker:{redis_names.worker_name('quick', 'cpu')}"
    for key in ("rq:workers", f"rq:workers:{queue.name}"):
        connection.sadd(key, dead)
    connection.lpush(queue.intermediate_queue_key, "its-job")
    connection.zadd(queue.started_job_registry.key, {"its-job:its-execution": time.time() - 1})
    waiting = queue.enqueue("jobs.tasks.check_job", {})
    connection.lpush(queue.intermediate_queue_key, waiting.id)
    worker._tidy()
    assert connection.smembers("rq:workers") == {worker.key.encode()}
    assert queue.intermediate_queue.get_job_ids() == [waiting.id]
    assert connection.zcard(queue.started_job_registry.key) == 0


def test_a_redis_that_lost_everything_hears_of_it_again(worker: BasinWorker) -> None:
    worker._keep_known()
    worker.connection.flushall()
    worker._next_heartbeat = worker._next_maintenance = 0.0
    worker._keep_known()
    (found,) = rq.Worker.all(worker.connection)
    assert (found.name, found.hostname, found.pid) == (worker.name, worker.hostname, os.getpid())


def test_being_told_to_stop_is_heard_while_a_job_is_read(
    worker: BasinWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.queues[0].enqueue("jobs.tasks.check_job", {})

    def told(*arguments: object, **named: object) -> None:
        raise StopRequested

    monkeypatch.setattr(job_calls.Job, "fetch", told)
    with pytest.raises(StopRequested):
        worker.dequeue_job_and_maintain_ttl(1)


def test_a_suspension_of_somebody_elses_workers_is_not_heard(worker: BasinWorker) -> None:
    worker.connection.set("rq:suspended", 1)
    job = worker.queues[0].enqueue("jobs.tasks.check_job", {})
    worker.check_for_suspension(burst=False)
    assert worker.dequeue_job_and_maintain_ttl(1)[0].id == job.id


def test_it_waits_for_redis_however_long(
    worker: BasinWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rq_worker, "_PAUSE_SECONDS", 0.01)
    job = worker.queues[0].enqueue("jobs.tasks.check_job", {})
    take, refusals = (
        worker._take,
        iter([redis_store.redis.TimeoutError(), redis_store.redis.ReadOnlyError()]),
    )

    def refuses(queue: object) -> object:
        for error in refusals:
            raise error
        return take(queue)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "_take", refuses)
    assert worker.dequeue_job_and_maintain_ttl(1)[0].id == job.id


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "much", "1e9"])
def test_a_bad_limit_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BASIN_QUICK_GB", text)
    with pytest.raises(BadInput, match="BASIN_QUICK_GB"):
        rq_worker.memory_limit()


def test_the_limit_is_over_what_the_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: said.append((which, limits)))
    rq_worker.limit_memory(1_000_000_000)
    ((which, (limit, _)),) = said
    assert which == resource.RLIMIT_DATA and limit > 1_000_000_000


def test_a_run_is_trained_under_its_own_name_alone(redis_url: str) -> None:
    queue = redis_store.queue(redis_store.TRAIN)
    job = queue.enqueue("jobs.tasks.train", "20260101-000000-0000", job_id="another")
    read = job_calls.Job.fetch("another", connection=queue.connection, serializer=queue.serializer)
    assert isinstance(read, job_calls.Job)
    assert read.refusal(queue.name) == "it trains another run than it says"
    assert job.origin == queue.name and enqueue.job_of("another", queue.connection) is not None
