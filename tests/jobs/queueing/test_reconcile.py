"""Settle: what runs say against the processes and jobs there are, with a real Redis."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from backend.spec import RunSpec
from jobs.queueing import control, enqueue, reconcile, redis_store
from jobs.records import attempts, progress, run_directory, run_store, status
from jobs.records.run_store import RunDirectory
from jobs.records.silence import Watch
from jobs.records.status import SILENCE
from jobs.system import atomic_files, processes
from jobs.system.processes import is_alive

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})
WORKER = "train-cpu-test"


@dataclass
class Clock:
    """A steady clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def settle_for(self, seconds: float) -> list[str]:
        """What is done in so many seconds, one settle in each."""
        done = control.settle()
        for _ in range(int(seconds)):
            self.now += 1.0
            done += control.settle()
        return done


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which this process tells the silence of runs."""
    made = Clock()
    monkeypatch.setattr(status, "_watch", Watch(made))
    return made


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group, as a work-horse does."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], process_group=0)
    yield process
    process.kill()
    process.wait()


def running(pid: int, **more: object) -> RunDirectory:
    directory = run_store.create_run(SPEC)
    told = {"host": socket.gethostname(), "pid": pid, "worker": WORKER, **more}
    directory.write_status(status="running", **told)
    return directory


def silent_since(directory: RunDirectory, seconds: float) -> None:
    directory.write_status(updated=time.time() - seconds)


def word(directory: RunDirectory) -> str:
    return directory.status().status


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


def test_a_run_that_is_getting_on_is_given_more_time(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = running(sleeper.pid, progressed=time.time() - 2)
    control.stop(directory.id)
    old = time.time() - 10 * control.GRACE
    os.utime(directory.path / "control", (old, old))
    assert control.settle() == [] and control.any_at_work()
    directory.write_status(progressed=time.time() - control.GRACE - 1)
    assert len(control.settle()) == 1 and not control.any_at_work()
    assert sleeper.wait(5) == -signal.SIGKILL


def test_a_run_killed_over_its_questions_says_that_they_are_missing(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = running(sleeper.pid, doing=progress.QUESTIONS, checkpoint_step=200)
    control.stop(directory.id)
    old = time.time() - control.GRACE - 1
    os.utime(directory.path / "control", (old, old))
    control.settle()
    found = directory.status()
    assert found.status == "stopped"
    assert "still missing: final figures or answers. It can resume from step 200." in found.reason


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
    enqueue.put(directory.id, redis_store.connect())
    assert word(directory) == "lost"
    (sentence,) = control.settle()
    assert directory.id in sentence and WORKER in sentence
    written = directory.written_status()
    assert written.status == "lost" and written.ended is not None
    assert WORKER in written.reason and "step 200" in written.reason
    assert not Job.exists(directory.id, redis_store.connect())
    assert control.settle() == []


def test_settle_leaves_a_slow_run_of_a_live_worker_alone(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    redis_store.beat(redis_store.connect(), {"name": WORKER, "queue": "train", "device": "cpu"})
    directory = running(sleeper.pid)
    silent_since(directory, 20)
    assert control.settle() == []
    assert sleeper.poll() is None
    assert word(directory) == "running"


def test_settle_writes_down_a_run_of_a_dead_worker_elsewhere_once_it_was_silent(
    redis_url: str, clock: Clock
) -> None:
    directory = running(1, host="another-machine", updated=time.time() - 3600)
    assert clock.settle_for(SILENCE) == []  # a first look knows of no silence
    assert directory.status().status == "running"
    assert len(clock.settle_for(2.0)) == 1
    assert directory.written_status().status == "lost"


def test_a_run_of_a_machine_whose_clock_differs_is_left_alone(redis_url: str, clock: Clock) -> None:
    directory = running(1, host="another-machine")
    for second in range(40):
        directory.write_status(updated=time.time() - 3600 + second)
        assert clock.settle_for(1.0) == []
    assert directory.written_status().status == "running"


def test_settle_that_slept_itself_takes_nobody_for_silent(redis_url: str, clock: Clock) -> None:
    running(1, host="another-machine")
    assert clock.settle_for(1.0) == []
    clock.now += 3600.0
    assert control.settle() == []


def test_settle_kills_nothing_for_silence(redis_url: str, clock: Clock) -> None:
    """Not even a run whose parent is gone, as of a command that outlived its terminal."""
    code = (
        "import os, sys, time\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True); os._exit(0)\n"
        "os.close(1); time.sleep(60)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    pid = int(process.stdout)
    try:
        directory = running(pid, worker=control.INLINE)
        assert clock.settle_for(5 * SILENCE) == []
        assert is_alive(pid) and directory.status().status == "running"
        assert "has said nothing" in directory.status().reason
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_machine_of_the_same_name_is_another_machine(redis_url: str, clock: Clock) -> None:
    directory = running(4_000_000, process="another-boot/pid:[1]/12345")
    assert directory.status().status == "running"
    clock.settle_for(SILENCE + 2.0)
    assert directory.written_status().status == "lost"


def test_a_younger_process_with_the_same_pid_is_not_the_run(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    system = processes.identity(sleeper.pid).rpartition("/")[0]
    directory = running(sleeper.pid, process=f"{system}/1")
    assert directory.status().status == "lost"
    assert len(control.settle()) == 1
    assert sleeper.poll() is None


def test_settle_queues_again_what_lost_its_job(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    redis_store.connect().flushall()
    assert control.settle() == []  # a launch may be under way
    silent_since(run_store.open_run(run_id), 10)
    assert len(control.settle()) == 1
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]


def test_settle_queues_again_what_a_killed_worker_had_taken(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    redis_store.queue(redis_store.TRAIN).pop_job_id()
    job = Job.fetch(run_id, connection=redis_store.connect(), serializer=JSONSerializer)
    job.set_status("started")
    job.worker_name = WORKER
    job.save()
    silent_since(run_store.open_run(run_id), 10)
    redis_store.beat(redis_store.connect(), {"name": WORKER, "queue": "train", "device": "cpu"})
    assert control.settle() == []
    redis_store.forget_worker(redis_store.connect(), WORKER)
    assert len(control.settle()) == 1
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]


def test_settle_queues_again_a_run_whose_job_expired_in_the_queue(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    redis_store.connect().delete(f"rq:job:{run_id}")
    silent_since(run_store.open_run(run_id), 10)
    assert len(control.settle()) == 1
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]
    assert Job.exists(run_id, redis_store.connect())


def test_what_a_killed_worker_left_half_taken_is_cleared(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    queue = redis_store.queue(redis_store.TRAIN)
    redis_store.connect().lmove(queue.key, queue.intermediate_queue_key)
    enqueue.put(run_id, redis_store.connect())
    assert queue.job_ids == [run_id] and queue.intermediate_queue.get_job_ids() == []


def test_settle_leaves_inline_runs_to_their_command(redis_url: str) -> None:
    directory = run_store.create_run(SPEC)
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


def test_settle_leaves_a_run_to_the_worker_that_has_taken_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = enqueue.launch(SPEC)
    silent_since(run_store.open_run(run_id), 30)
    queue = redis_store.queue(redis_store.TRAIN)
    redis_store.connect().lmove(queue.key, queue.intermediate_queue_key)
    assert control.settle() == [] and queue.job_ids == []
    # A worker that was killed just then does not come back for it.
    later = Clock(now=time.monotonic())
    monkeypatch.setattr(reconcile, "_taken", Watch(later))
    assert later.settle_for(reconcile.TAKEN_SECONDS - 1.0) == []
    assert len(later.settle_for(3.0)) == 1
    assert queue.job_ids == [run_id] and queue.intermediate_queue.get_job_ids() == []


def test_nothing_is_queued_twice_by_two_who_find_it_missing_at_once(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    redis_store.connect().flushdb()

    def is_wanted() -> bool:
        enqueue.put(run_id, redis_store.connect())  # the other was faster
        return True

    assert not enqueue.put_if(run_id, redis_store.connect(), is_wanted)
    assert redis_store.queue(redis_store.TRAIN).job_ids == [run_id]


def test_nothing_is_queued_that_was_trained_meanwhile(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    directory = run_store.open_run(run_id)
    silent_since(directory, 30)
    seen = run_store.list_runs()
    redis_store.connect().flushdb()
    directory.write_status(status="finished")
    alive: set[str] = set()
    assert reconcile._reconcile(seen[0], redis_store.connect(), alive) is None
    with attempts.held(directory):
        directory.write_status(status="queued", updated=time.time() - 30)
        assert control.settle() == []
    assert redis_store.queue(redis_store.TRAIN).job_ids == []
    assert len(control.settle()) == 1


def test_one_settles_at_a_time(redis_url: str) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    running(process.pid)
    with (run_store.home() / "settle.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert control.settle() == []
    assert len(control.settle()) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.ESTALE])
def test_trouble_with_one_run_is_said_once_and_keeps_nothing_from_others(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    first, second = running(process.pid), running(process.pid)
    real = atomic_files.write

    def write(path: Path, content: str | bytes, *, sync: bool = False) -> None:
        if path.parent == second.path:
            raise OSError(number, os.strerror(number))
        real(path, content, sync=sync)

    monkeypatch.setattr(run_directory, "write", write)
    said = control.settle()
    assert len(said) == 2
    assert any(second.id in line and os.strerror(number) in line for line in said)
    assert first.written_status().status == "lost"
    assert control.settle() == []
    monkeypatch.undo()
    monkeypatch.setenv("BASIN_HOME", str(first.path.parent.parent))
    monkeypatch.setenv("BASIN_REDIS_URL", redis_url)
    assert len(control.settle()) == 1
    assert second.written_status().status == "lost"


def test_a_long_queue_costs_a_settle_no_call_a_run(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in map(run_store.open_run, enqueue.launch_many([SPEC] * 50)):
        silent_since(directory, 30)
    calls: list[str] = []
    real = redis.connection.Connection.send_packed_command

    def send(self: redis.connection.Connection, command: object, **more: object) -> None:
        calls.append("")
        real(self, command, **more)

    monkeypatch.setattr(redis.connection.Connection, "send_packed_command", send)
    assert control.settle() == []
    assert len(calls) < 20
