"""The heartbeat: a disk that stumbles does not end it, and it tells training from hanging."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.spec import RunSpec
from jobs.execution.emitter import CannotWrite, Emitter
from jobs.execution.heartbeat import FOLDER, HANG, Heartbeat
from jobs.records import progress, run_store
from jobs.records.progress import FIGURES, LOOKING, SAVING, SETTING_UP, TRAINING, Progress
from jobs.records.run_directory import RunDirectory
from jobs.records.status import Status, this_process


@pytest.fixture
def run() -> RunDirectory:
    return run_store.create_run(RunSpec(method="tiny", data={"name": "ring"}))


@pytest.fixture
def beat(run: RunDirectory) -> Iterator[Heartbeat]:
    made = Heartbeat(run)
    made.start()
    yield made
    made.stop()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def failing(times: int, error: OSError, original: Callable[..., Any]) -> Callable[..., Any]:
    """Raises a few times, then does what it did before."""
    calls = []

    def act(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return original(*arguments, **more)

    return act


@pytest.mark.parametrize("name", ["requested", "asks_to_turn", "write_status"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_disk_that_stumbles_is_said_once_and_the_run_can_still_be_stopped(
    run: RunDirectory, beat: Heartbeat, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    error = OSError(number, "stumbled")
    monkeypatch.setattr(RunDirectory, name, failing(3, error, getattr(RunDirectory, name)))
    until(lambda: beat.alarms.listed())
    (run.path / "control").write_text("stop")
    until(lambda: beat.request == "stop")
    beat.check()
    until(lambda: run.written_status().alarms)
    (alarm,) = run.written_status().alarms
    assert alarm["path"] == FOLDER and "stumbled" in alarm["message"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_status_that_cannot_be_written_any_more_ends_the_run(
    beat: Heartbeat, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(RunDirectory, "write_status", full)
    until(lambda: beat._error)
    with pytest.raises(CannotWrite, match="full"):
        beat.check()


def test_a_control_file_that_is_no_text_is_passed_over(run: RunDirectory, beat: Heartbeat) -> None:
    (run.path / "control").write_bytes(b"\xff\xfe")
    time.sleep(0.3)
    assert beat.request is None
    run.clear_request()
    run.request("pause")
    until(lambda: beat.request == "pause")


def test_a_run_whose_folder_is_gone_stops(run: RunDirectory, beat: Heartbeat) -> None:
    run.delete()
    until(lambda: beat.request == "stop")


def test_steps_that_do_not_come_are_said_and_that_they_come_again(
    run: RunDirectory, beat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LEAST_SECONDS", 0.5)
    beat.emitter = Emitter(run, alarms=beat.alarms)
    beat.progress.doing = TRAINING
    while beat.progress.pace is None:
        beat.progress.step += 1
        time.sleep(0.01)
    (alarm,) = until(lambda: run.written_status().alarms)
    assert alarm["path"] == HANG and "No step for" in alarm["message"]
    assert alarm["step"] == beat.progress.step and run.written_status().doing == TRAINING
    beat.progress.step += 1
    until(lambda: not run.written_status().alarms)
    beat.emitter.close()
    assert [text.header["meta"]["level"] for text in run.texts()] == ["alarm", "info"]


def seen(steps: int, seconds: float) -> Progress:
    """A run that has trained some steps."""
    found = Progress()
    found.doing = TRAINING
    now = time.monotonic()
    for step in range(steps + 1):
        found.step = step
        found.look(now + step * seconds)
    return found


def test_patience_follows_the_pace_of_the_run() -> None:
    assert seen(0, 1.0).patience == progress.ELSEWHERE_SECONDS
    assert seen(1000, 0.004).patience == progress.LEAST_SECONDS
    slow = seen(10, 60.0)
    assert slow.pace == pytest.approx(60.0) and slow.patience == pytest.approx(1200.0)
    with slow.during(LOOKING):
        assert slow.patience == progress.ELSEWHERE_SECONDS
    assert slow.doing == TRAINING


def test_a_checkpoint_and_a_slow_step_are_signs_of_life_for_a_while() -> None:
    found = seen(10, 5.0)
    end = time.monotonic() + 50.0
    for quiet, counts in ((14.0, True), (16.0, False)):
        found.sign = 0.0
        found.look(end + quiet)
        assert (found.sign > 0) == counts
    with found.during(SAVING):
        found.look(end + 20.0)
        for quiet, counts in ((200.0, True), (400.0, False)):
            found.sign = 0.0
            found.look(end + 20.0 + quiet)
            assert (found.sign > 0) == counts


def test_the_time_left_is_of_judging_too_and_says_what_is_done(
    run: RunDirectory, beat: Heartbeat
) -> None:
    beat.judging_seconds = 60.0
    run.write_status(status="running", **this_process())
    beat.progress.doing = TRAINING
    beat.set_fields(fraction=0.5)
    time.sleep(0.6)
    beat.set_fields(fraction=0.999)
    training = until(lambda: run.written_status().seconds_left)
    assert 60.0 < training < 75.0  # a second of training at most, and what comes after it
    assert run.status().ahead == "1m left"
    beat.progress.doing = FIGURES
    until(lambda: run.status().ahead == "judging the samples, about 1m" or None)
    beat.judging_seconds = 0.1
    until(lambda: run.status().ahead == "judging the samples" or None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seconds_left": 41.0, "fraction": 0.01, "doing": TRAINING}, "about 45s left"),
        ({"seconds_left": 41.0, "fraction": 0.5, "doing": LOOKING}, "45s left"),
        ({"seconds_left": None, "fraction": 0.5, "doing": TRAINING}, ""),
        ({"seconds_left": None, "doing": SETTING_UP}, "setting up"),
        ({"seconds_left": 30.0, "status": "finished"}, ""),
    ],
)
def test_what_a_run_has_ahead_in_words(fields: dict[str, Any], words: str) -> None:
    assert Status("x", **{"status": "running", **fields}).ahead == words
