"""Runs that the end of Basin cut off go on by themselves, with a real Redis."""

from __future__ import annotations

import signal
import socket
import subprocess
import time

import pytest

from backend.errors import BadInput
from backend.spec import RunSpec
from jobs import tasks
from jobs.execution import loop
from jobs.queueing import control, going_on, redis_store
from jobs.records import run_store
from jobs.records.run_store import RunDirectory
from jobs.records.status import went_on_in_words
from jobs.services import supervision

SPEC = RunSpec(method="contrastive_divergence", data={"name": "ring"})
LONG_AGO = going_on._BEGAN - 100.0


def a_worker_is_there() -> None:
    worker = {"name": "train-cpu-test", "queue": "train", "device": "cpu"}
    redis_store.beat(redis_store.connect(), worker)


def interrupted(step: int = 40, ended: float = LONG_AGO) -> RunDirectory:
    directory = run_store.create_run(SPEC)
    directory.write_status(
        status="stopped",
        interrupted=True,
        checkpoint_step=step,
        ended=ended,
        reason=f"Basin was stopped when it was at step {step}. It goes on by itself once Basin "
        "runs again.",
    )
    return directory


def cut_off(**more: object) -> RunDirectory:
    """A run that says it runs, and whose process ended with Basin."""
    process = subprocess.Popen(["true"])
    process.wait()
    directory = run_store.create_run(SPEC)
    told = {"host": socket.gethostname(), "pid": process.pid, "worker": "train-cpu-gone", **more}
    directory.write_status(status="running", checkpoint_step=40, **told)
    directory.write_status(updated=LONG_AGO)
    return directory


def test_an_interrupted_run_goes_on_once_there_is_a_worker(redis_url: str) -> None:
    directory = interrupted()
    assert control.settle() == []
    a_worker_is_there()
    (sentence,) = control.settle()
    assert sentence == f"{directory.id} goes on from step 40: it ran when Basin was stopped"
    status = directory.status()
    assert status.status == "queued" and status.went_on == [40]
    assert status.reason == "It goes on by itself from step 40, where Basin was stopped."
    assert went_on_in_words(status) == "went on by itself from step 40, where Basin was stopped"
    assert control.queued() == [directory.id]
    assert control.settle() == []
    assert directory.status().reason == status.reason, "until it is taken"


def test_a_run_that_ends_with_basin_is_not_begun_by_what_ends_as_well(redis_url: str) -> None:
    a_worker_is_there()
    directory = interrupted(ended=time.time())
    assert control.settle() == [] and directory.status().status == "stopped"


def test_a_run_whose_machine_went_down_goes_on(redis_url: str) -> None:
    directory = cut_off()
    control.settle()
    written = directory.written_status()
    assert written.status == "lost" and written.interrupted
    assert written.reason == (
        "It was cut off: Basin ended, or its machine, without a word. It can resume from step 40. "
        "It goes on by itself once Basin runs again."
    )
    a_worker_is_there()
    assert len(control.settle()) == 1 and control.queued() == [directory.id]


def test_what_died_while_basin_looked_on_stays_lost(redis_url: str) -> None:
    directory = cut_off()
    directory.write_status(updated=time.time())
    a_worker_is_there()
    control.settle()
    assert directory.written_status().status == "lost" and control.settle() == []
    assert not directory.written_status().interrupted


def test_a_command_that_died_is_not_taken_up_by_a_worker(redis_url: str) -> None:
    directory = cut_off(worker=control.INLINE)
    a_worker_is_there()
    control.settle()
    assert control.settle() == [] and directory.written_status().status == "lost"


def test_a_run_that_may_be_what_ends_basin_is_left_alone(redis_url: str) -> None:
    directory = interrupted()
    directory.write_status(went_on=[10, 40, 40, 40])
    a_worker_is_there()
    (sentence,) = control.settle()
    assert "does not go on by itself: It went on from step 40 3 times already." in sentence
    assert directory.status().reason == (
        "Basin was stopped when it was at step 40. It does not go on by itself: It went on from "
        "step 40 3 times already. Resume it by hand."
    )
    assert control.settle() == [] and directory.status().status == "stopped"


def test_it_can_be_turned_off(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIN_RESUME", "never")
    directory = interrupted()
    a_worker_is_there()
    (sentence,) = control.settle()
    assert "BASIN_RESUME is `never`" in sentence and not directory.status().interrupted
    monkeypatch.setenv("BASIN_RESUME", "sometimes")
    with pytest.raises(BadInput, match=r"BASIN_RESUME.*interrupted, never, got 'sometimes'"):
        supervision.up(None, print)


def test_a_person_may_leave_it_stopped(redis_url: str) -> None:
    directory = interrupted()
    control.stop(directory.id)
    status = directory.status()
    assert status.status == "stopped" and not status.interrupted
    assert status.reason == "Basin was stopped when it was at step 40. Left so on request."
    a_worker_is_there()
    assert control.settle() == []


def test_a_run_whose_data_changed_says_so_instead(redis_url: str) -> None:
    directory = interrupted()
    a_worker_is_there()

    def refused(run_id: str, by_itself: bool) -> None:
        raise BadInput.at("data", "the file has changed.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "resume", refused)
        (sentence,) = control.settle()
    assert "the file has changed" in sentence and "changed" in directory.status().reason


def test_a_stop_outranks_a_pause_and_either_outranks_an_interruption() -> None:
    directory = run_store.create_run(SPEC)
    for end in ("interrupt", "pause", "stop", "pause", "interrupt"):
        directory.request(end)
    assert directory.requested() == "stop"


def test_a_worker_that_is_told_to_end_interrupts_its_run(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run_store.create_run(SPEC)

    def ends(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(loop, "run", ends)
    tasks.train(directory.id)
    assert directory.requested() == "interrupt"


def test_a_run_killed_over_its_interruption_goes_on(redis_url: str) -> None:
    directory = cut_off()
    directory.request("interrupt")
    status = directory.written_status()
    assert status.pid is not None
    control.horse_ended(directory.id, status.pid, "Its process was killed.")
    written = directory.written_status()
    assert written.status == "stopped" and written.interrupted
    assert directory.requested() is None
