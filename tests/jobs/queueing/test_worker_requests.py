"""What people ask of a worker: heeded between two jobs, never in the middle of one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq.exceptions import StopRequested

from backend.errors import BadInput, NotAvailable
from jobs.queueing import redis_store, worker_requests
from jobs.queueing.rq_worker import BasinWorker
from jobs.records.status import hostname
from tests.jobs.queueing.test_worker import Started, wait_for


@pytest.fixture
def worker(redis_url: str, tmp_path: Path) -> Iterator[Started]:
    started = Started("quick", tmp_path / "quick.log")
    yield started
    started.end()


def test_what_is_asked_is_heeded_between_jobs(redis_url: str) -> None:
    worker = BasinWorker("quick", "cpu", redis_store.connect())
    job = worker.queues[0].enqueue("jobs.tasks.check_job", {})
    worker.take_request(worker_requests.DRAIN)
    threading.Timer(0.5, worker.take_request, [worker_requests.RESUME]).start()
    begin = time.monotonic()
    assert worker.dequeue_job_and_maintain_ttl(1)[0].id == job.id
    assert time.monotonic() - begin > 0.4
    worker.take_request("nonsense")
    assert worker.asked == "" and not worker.starts_anew
    worker.take_request(worker_requests.RESTART)
    with pytest.raises(StopRequested):
        worker.dequeue_job_and_maintain_ttl(1)
    assert worker.starts_anew


def test_who_takes_the_place_of_a_drained_worker_that_crashed_is_drained(redis_url: str) -> None:
    connection = redis_store.connect()
    gone = {"name": "gone", "queue": "train", "device": "cpu", "host": hostname(), "pid": 2**22 + 7}
    redis_store.beat(connection, {**gone, "asked": "drain"})
    redis_store.beat(connection, {**gone, "name": "other", "asked": ""})
    redis_store.beat(connection, {**gone, "name": "here", "asked": "drain", "pid": os.getpid()})
    for kind, device in (("quick", "cpu"), ("train", "cuda:0")):
        assert not worker_requests.was_drained(kind, device, connection)
    assert worker_requests.was_drained("train", "cpu", connection)
    assert not worker_requests.was_drained("train", "cpu", connection), "one takes one's place"
    assert {each["name"] for each in redis_store.workers(connection)} == {"other", "here"}


@pytest.mark.slow
def test_it_drains_takes_work_again_starts_anew_and_ends_when_told(worker: Started) -> None:
    def asked() -> str:
        return (worker.about() or {}).get("asked", "gone")

    first = (worker.about() or {})["name"]
    at_work = worker.queue.enqueue("tests.jobs.probes.sleep", 2.0, job_timeout=10)
    wait_for(lambda: (worker.about() or {}).get("run") == at_work.id)
    worker_requests.ask(first, worker_requests.DRAIN)
    wait_for(lambda: asked() == "drain")
    wait_for(lambda: (worker.about() or {"run": 1})["run"] is None)
    assert at_work.latest_result().exc_string is None  # it had its time
    left = worker.queue.enqueue("tests.jobs.probes.torch_ready", time.time(), job_timeout=10)
    time.sleep(2.5)
    assert worker.queue.job_ids == [left.id]
    worker_requests.ask(first, worker_requests.RESUME)
    wait_for(lambda: left.latest_result(timeout=1) is not None)
    worker_requests.ask(first, worker_requests.RESTART)
    again = wait_for(lambda: (w := worker.about() or {"name": first})["name"] != first and w, 60)
    assert again["alive"] and again["asked"] == "" and len(redis_store.workers()) == 1
    assert worker.ask("torch_ready", time.time())["loaded"]
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0, worker.log.read_text()
    assert redis_store.workers() == []


def test_nobody_is_asked_who_is_not_there_or_could_not_hear(redis_url: str) -> None:
    connection = redis_store.connect()
    redis_store.beat(connection, {"name": "train-cpu-1", "queue": "train", "asked": ""})
    redis_store.beat(connection, {"name": "train-old", "queue": "train"})
    names = [entry["name"] for entry in worker_requests.chosen(["train", "train-cpu"])]
    assert names == ["train-cpu-1", "train-old"]
    with pytest.raises(BadInput, match="there are train-cpu-1, train-old"):
        worker_requests.chosen(["quick"])
    with pytest.raises(BadInput, match="must be one of"):
        worker_requests.ask("train-cpu-1", "rest")
    with pytest.raises(NotAvailable, match="older version"):
        worker_requests.ask("train-old", worker_requests.DRAIN)
    worker_requests.ask("train-cpu-1", worker_requests.DRAIN)
    about = {"name": "train-cpu-1", "queue": "train", "asked": ""}
    assert redis_store.beat(connection, about) == "drain"
    assert redis_store.beat(connection, about) == ""
