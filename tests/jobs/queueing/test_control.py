"""Stop, pause, resume, reorder and delete, against a real Redis and real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq.job import Job

from backend.errors import BadInput
from backend.spec import RunSpec
from jobs.queueing import control, enqueue, redis_store
from jobs.records import attempts, run_store
from jobs.records import status as status_module
from jobs.records.run_store import RunDirectory
from jobs.system.processes import is_alive

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
    directory = run_store.create_run(SPEC)
    told = {"host": socket.gethostname(), "pid": pid, "worker": WORKER, **more}
    directory.write_status(status="running", **told)
    return directory


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
    assert word(run_store.open_run(run_id)) == after
    assert redis_store.queue(redis_store.TRAIN).job_ids == []


def test_a_queued_run_that_a_worker_just_took_is_asked(redis_url: str) -> None:
    run_id = enqueue.launch(SPEC)
    redis_store.queue(redis_store.TRAIN).pop_job_id()
    control.stop(run_id)
    assert run_store.open_run(run_id).requested() == "stop"
    assert Job.exists(run_id, redis_store.connect())


def test_a_run_that_is_over_cannot_stop() -> None:
    directory = run_store.create_run(SPEC)
    directory.write_status(status="finished")
    with pytest.raises(BadInput, match="finished"):
        control.stop(directory.id)


@pytest.mark.parametrize("before", ["paused", "stopped", "lost"])
def test_resume_goes_before_all_others(redis_url: str, before: str) -> None:
    others = enqueue.launch_many([SPEC, SPEC])
    directory = run_store.create_run(SPEC)
    directory.write_status(status=before, ended=time.time(), reason="so")
    directory.request("stop")
    control.resume(directory.id)
    assert redis_store.queue(redis_store.TRAIN).job_ids == [directory.id, *others]
    status = directory.status()
    assert (status.status, status.reason, status.ended) == ("queued", "", None)
    assert directory.requested() is None


def test_resume_twice_at_once_queues_once(redis_url: str) -> None:
    directory = run_store.create_run(SPEC)
    directory.write_status(status="paused")
    control.resume(directory.id)
    with pytest.raises(BadInput):
        control.resume(directory.id)
    assert redis_store.queue(redis_store.TRAIN).job_ids == [directory.id]


@pytest.mark.parametrize("before", ["finished", "diverged", "failed", "queued"])
def test_what_cannot_resume_says_why(redis_url: str, before: str) -> None:
    directory = run_store.create_run(SPEC)
    directory.write_status(status=before)
    with pytest.raises(BadInput, match=directory.id):
        control.resume(directory.id)
    assert word(directory) == before
    assert redis_store.queue(redis_store.TRAIN).job_ids == []


def test_a_process_that_is_here_is_not_lost_however_silent(
    redis_url: str, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = running(sleeper.pid)
    directory.write_status(updated=time.time() - 3600)
    assert word(directory) == "running"
    with pytest.raises(BadInput, match="is running and cannot resume"):
        control.resume(directory.id)
    # Even one that was given up elsewhere can be ended here, and goes on from its checkpoint then.
    directory.write_status(status="lost", ended=time.time())
    control.kill(directory.id)
    assert sleeper.wait(5) == -signal.SIGKILL
    control.resume(directory.id)
    assert word(directory) == "queued"


def test_a_run_that_is_trained_cannot_resume_or_be_deleted(redis_url: str) -> None:
    directory = run_store.create_run(SPEC)
    directory.write_status(status="lost", ended=time.time())
    with attempts.held(directory):
        for act in (control.resume, lambda run_id: control.delete([run_id])):
            with pytest.raises(BadInput, match="Stop it first"):
                act(directory.id)
    assert word(directory) == "lost" and redis_store.queue(redis_store.TRAIN).job_ids == []
    control.resume(directory.id)
    assert redis_store.queue(redis_store.TRAIN).job_ids == [directory.id]


def test_resume_waits_for_a_word_of_another_machine(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "SILENCE", 0.3)
    monkeypatch.setattr(control, "SILENCE", 0.3)
    dead, alive = running(1, host="another-machine"), running(1, host="another-machine")
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.02):
            alive.write_status()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(BadInput, match="is running and cannot resume"):
            control.resume(alive.id)
        control.resume(dead.id)
    finally:
        ended.set()
        thread.join()
    assert redis_store.queue(redis_store.TRAIN).job_ids == [dead.id]


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
    redis_store.Publisher(waiting).publish([("scalars", b"x")])
    busy = running(sleeper.pid)
    with pytest.raises(BadInput, match="is running"):
        control.delete([waiting, busy.id])
    assert len(run_store.list_runs()) == 2
    assert control.delete([waiting]) == 1
    assert [run.id for run in run_store.list_runs()] == [busy.id]
    assert redis_store.queue(redis_store.TRAIN).job_ids == []
    assert not redis_store.connect().exists(redis_store.stream_key(waiting, "scalars"))


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


def test_a_run_that_was_resumed_before_its_process_was_gone_stays_queued(redis_url: str) -> None:
    directory = run_store.create_run(SPEC)
    with attempts.begin(directory) as attempt:
        directory.write_status(**attempt.facts())
        directory.write_status(status="paused", ended=time.time())
    control.resume(directory.id)
    control.horse_ended(directory.id, os.getpid(), "Its process ended.")
    assert word(directory) == "queued"
    # One that dies on its way to its first word has none that could have ended.
    control.horse_ended(directory.id, 4_000_000, "Its process ended.")
    assert word(directory) == "lost"


def test_the_worker_says_what_became_of_a_process() -> None:
    directory = running(4_000_000, checkpoint_step=100)
    control.horse_ended(directory.id, 4_000_000, "Its process ended.")
    status = directory.written_status()
    assert status.status == "lost" and status.reason.startswith("Its process ended.")
    directory.write_status(status="finished")
    control.horse_ended(directory.id, 4_000_000, "Its process ended.")
    assert directory.written_status().status == "finished"
