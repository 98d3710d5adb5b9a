"""Stop, pause, resume, reorder, delete and settle, against a real Redis and real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.errors import BadInput
from backend.spec import RunSpec
from jobs import artifacts, control, enqueue, store
from jobs.artifacts import RunDirectory
from jobs.processes import is_alive

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})
WORKER = "train-cpu-test"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group, as a work-horse does."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    yield process
    process.kill()
    process.wait()


def running(pid: int, **more: object) -> RunDirectory:
    directory = artifacts.create_run(SPEC)
    directory.write_status(
        status="running", host=socket.gethostname(), pid=pid, worker=WORKER, **more
    )
    return directory


def silent_since(directory: RunDirectory, seconds: float) -> None:
    directory.write_status(updated=time.time() - seconds)


def word(directory: RunDirectory) -> str:
    return directory.status().status


def test_a_running_run_is_asked_without_redis(sleeper: subprocess.Popen[bytes]) -> None:
    directory = running(sleeper.pid)
    control.pause(directory.id)
    assert directory.requested() == "pause"
    control.stop(directory.id)
    assert directory.requested() == "stop" and word(directory) == "running"


@pytest.mark.parametrize(("act", "after"), [(control.stop, "stopped"), (control.pause, "paused")])
def test_a_queued_run_leaves_the_queue(redis_url: str, act: object, after: str) -> None:
    run_id = enqueue.launch(SPEC)
    act(run_id)  # type: ignore[operator]
    assert word(artifacts.open_run(run_id)) == after
    assert store.queue(store.TRAIN).job_ids == []


def test_a_queued_run_that_a_worker_just_took_is_asked(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    store.queue(store.TRAIN).pop_job_id()
    control.stop(run_id)
    assert artifacts.open_run(run_id).requested() == "stop"
    assert Job.exists(run_id, store.connect())


def test_a_run_that_is_over_cannot_stop() -> None:
    directory = artifacts.create_run(SPEC)
    directory.write_status(status="finished")
    with pytest.raises(BadInput, match="finished"):
        control.stop(directory.id)


@pytest.mark.parametrize("before", ["paused", "stopped", "lost"])
def test_resume_goes_before_all_others(redis_url: str, before: str) -> None:
    others = enqueue.launch_many([SPEC, SPEC])
    directory = artifacts.create_run(SPEC)
    directory.write_status(status=before, ended=time.time(), reason="so")
    directory.request("stop")
    control.resume(directory.id)
    assert store.queue(store.TRAIN).job_ids == [directory.id, *others]
    status = directory.status()
    assert (status.status, status.reason, status.ended) == ("queued", "", None)
    assert directory.requested() is None


def test_resume_twice_at_once_queues_once(redis_url: str) -> None:
    directory = artifacts.create_run(SPEC)
    directory.write_status(status="paused")
    control.resume(directory.id)
    with pytest.raises(BadInput):
        control.resume(directory.id)
    assert store.queue(store.TRAIN).job_ids == [directory.id]


@pytest.mark.parametrize("before", ["finished", "diverged", "failed", "queued"])
def test_what_cannot_resume_says_why(redis_url: str, before: str) -> None:
    directory = artifacts.create_run(SPEC)
    directory.write_status(status=before)
    with pytest.raises(BadInput, match=directory.id):
        control.resume(directory.id)
    assert word(directory) == before
    assert store.queue(store.TRAIN).job_ids == []


def test_resume_ends_the_process_that_was_silent(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = running(sleeper.pid)
    silent_since(directory, 9)
    assert word(directory) == "lost"
    # The process was there before its run last spoke.
    directory.write_status(status="lost", updated=time.time())
    control.resume(directory.id)
    assert sleeper.wait(5) == -signal.SIGKILL


def test_reorder(redis_url: str) -> None:
    first, second, third = enqueue.launch_many([SPEC] * 3)
    control.reorder(third, 0)
    assert control.queued() == [third, first, second]
    control.reorder(third, 99)
    assert control.queued() == [first, second, third]
    control.stop(second)
    with pytest.raises(BadInput, match="not waiting"):
        control.reorder(second, 0)


def test_delete_takes_everything_and_refuses_running(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    waiting = enqueue.launch(SPEC)
    store.Publisher(waiting).publish([("scalars", b"x")])
    busy = running(sleeper.pid)
    with pytest.raises(BadInput, match="is running"):
        control.delete([waiting, busy.id])
    assert len(artifacts.list_runs()) == 2
    assert control.delete([waiting]) == 1
    assert [run.id for run in artifacts.list_runs()] == [busy.id]
    assert store.queue(store.TRAIN).job_ids == []
    assert not store.connect().exists(store.stream_key(waiting, "scalars"))


def test_kill_ends_the_whole_group(redis_url: str) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '60']).wait()"
    process = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    child = None
    deadline = time.monotonic() + 10
    while child is None and time.monotonic() < deadline:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        child = int(listed[0]) if listed else None
    assert child is not None
    directory = running(process.pid, checkpoint_step=1500)
    control.kill(directory.id)
    assert process.wait(5) == -signal.SIGKILL
    assert not is_alive(child)
    assert word(directory) == "stopped"
    assert "1,500" in directory.status().reason


def test_settle_kills_what_does_not_stop(redis_url: str, sleeper: subprocess.Popen[bytes]) -> None:
    directory = running(sleeper.pid)
    control.stop(directory.id)
    assert control.settle() == []
    old = time.time() - control.GRACE - 1
    os.utime(directory.path / "control", (old, old))
    assert len(control.settle()) == 1
    assert sleeper.wait(5) == -signal.SIGKILL
    assert word(directory) == "stopped" and "10 s" in directory.status().reason
    assert directory.requested() is None
    assert control.settle() == []


def test_settle_spares_a_younger_process_with_the_same_pid(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = running(sleeper.pid)
    silent_since(directory, 3600)
    control.settle()
    assert sleeper.poll() is None


def test_settle_writes_down_a_run_whose_process_is_gone(redis_url: str) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    directory = running(process.pid, checkpoint_step=200)
    enqueue.put(directory.id, store.connect())
    assert word(directory) == "lost"
    (sentence,) = control.settle()
    assert directory.id in sentence and WORKER in sentence
    written = directory.written_status()
    assert written.status == "lost" and written.ended is not None
    assert WORKER in written.reason and "step 200" in written.reason
    assert not Job.exists(directory.id, store.connect())
    assert control.settle() == []


def test_settle_leaves_a_slow_run_of_a_live_worker_alone(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    store.beat(store.connect(), {"name": WORKER, "queue": "train", "device": "cpu"})
    directory = running(sleeper.pid)
    silent_since(directory, 20)
    assert control.settle() == []
    assert sleeper.poll() is None
    directory.write_status()
    assert word(directory) == "running"


def test_settle_writes_down_a_run_of_a_dead_worker_elsewhere(redis_url: str) -> None:
    directory = running(1)
    directory.write_status(host="another-machine", updated=time.time() - 20)
    control.settle()
    assert directory.written_status().status == "lost"


def test_settle_queues_again_what_lost_its_job(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    store.connect().flushall()
    assert control.settle() == []  # a launch may be under way
    silent_since(artifacts.open_run(run_id), 10)
    assert len(control.settle()) == 1
    assert store.queue(store.TRAIN).job_ids == [run_id]


def test_settle_queues_again_what_a_killed_worker_had_taken(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    store.queue(store.TRAIN).pop_job_id()
    job = Job.fetch(run_id, connection=store.connect(), serializer=JSONSerializer)
    job.set_status("started")
    job.worker_name = WORKER
    job.save()
    silent_since(artifacts.open_run(run_id), 10)
    store.beat(store.connect(), {"name": WORKER, "queue": "train", "device": "cpu"})
    assert control.settle() == []
    store.forget_worker(store.connect(), WORKER)
    assert len(control.settle()) == 1
    assert store.queue(store.TRAIN).job_ids == [run_id]


def test_settle_queues_again_a_run_whose_job_expired_in_the_queue(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    store.connect().delete(f"rq:job:{run_id}")
    silent_since(artifacts.open_run(run_id), 10)
    assert len(control.settle()) == 1
    assert store.queue(store.TRAIN).job_ids == [run_id]
    assert Job.exists(run_id, store.connect())


def test_what_a_killed_worker_left_half_taken_is_cleared(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    queue = store.queue(store.TRAIN)
    store.connect().lmove(queue.key, queue.intermediate_queue_key)
    enqueue.put(run_id, store.connect())
    assert queue.job_ids == [run_id] and queue.intermediate_queue.get_job_ids() == []


def test_settle_leaves_inline_runs_to_their_command(redis_url: str) -> None:
    directory = artifacts.create_run(SPEC)
    directory.write_status(worker=control.INLINE, pid=os.getpid(), host=socket.gethostname())
    silent_since(directory, 60)
    assert control.settle() == []
    assert word(directory) == "queued"
    process = subprocess.Popen(["true"])
    process.wait()
    directory.write_status(pid=process.pid)
    control.settle()
    assert word(directory) == "lost"


def test_settle_works_without_redis() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    directory = running(process.pid)
    assert len(control.settle()) == 1
    assert directory.written_status().status == "lost"


def test_the_worker_says_what_became_of_a_process() -> None:
    directory = running(4_000_000, checkpoint_step=100)
    control.horse_ended(directory.id, 4_000_000, "Its process ended.")
    status = directory.written_status()
    assert status.status == "lost" and status.reason.startswith("Its process ended.")
    directory.write_status(status="finished")
    control.horse_ended(directory.id, 4_000_000, "Its process ended.")
    assert directory.written_status().status == "finished"
