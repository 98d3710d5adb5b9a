"""The emitter: nothing said is lost or late, saying costs next to nothing, failures are heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from backend.events import Cost, Event, Field, Points, Table, Text, unpack
from backend.spec import RunSpec
from jobs.execution.emitter import CannotWrite, Emitter
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory


class Viewers:
    """Collects what is published; `away` stands for a Redis that is gone."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.calls = 0
        self.away = False
        self.closed = False

    def publish(self, entries: list[tuple[str, bytes]]) -> bool:
        self.calls += bool(entries)
        if not self.away:
            self.entries += entries
        return not self.away

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run() -> RunDirectory:
    return run_store.create_run(RunSpec(method="tiny", data={"name": "ring"}))


@pytest.fixture
def emitter(run: RunDirectory) -> Iterator[Emitter]:
    made = Emitter(run)
    yield made
    made.close()


def field(step: int) -> Field:
    return Field("look/field", np.full((4, 4), step, np.float32), (0.0, 1.0), (0.0, 1.0))


def row(value: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([[value]], np.float32)


def test_what_is_said_is_on_disk_a_moment_later(run: RunDirectory, emitter: Emitter) -> None:
    emitter.scalars(["loss/total"], row(1.5), Cost(1), Cost(1))
    emitter.event(field(1), Cost(1))
    deadline = time.monotonic() + 2
    while not (run.read_log_frames() and run.keyframe_index()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.scalars()["loss/total"].value.tolist() == [1.5]
    assert [key.step for key in run.keyframe_index()] == [1]


def test_viewers_get_the_bytes_that_are_on_disk_in_order(run: RunDirectory) -> None:
    viewers = Viewers()
    emitter = Emitter(run, viewers)
    for step in range(5):
        emitter.scalars(["a"], row(step), Cost(step), Cost(step))
        emitter.event(field(step), Cost(step))
        emitter.text("note", f"step {step}", Cost(step))
    emitter.close()
    assert viewers.closed and viewers.calls <= 2
    scalars = [frame for stream, frame in viewers.entries if stream == "scalars"]
    frames = [frame for stream, frame in viewers.entries if stream == "frames"]
    assert b"".join(scalars) == (run.path / "log.bin").read_bytes()
    assert b"".join(frames) == (run.path / "frames.bin").read_bytes()
    assert [unpack(frame).header["seq"] for _, frame in viewers.entries] == list(range(15))


def test_sequence_numbers_go_on_through_resumes_and_compaction(run: RunDirectory) -> None:
    for attempt in range(3):
        emitter = Emitter(run)
        emitter.scalars(["a"], row(attempt), Cost(attempt), Cost(attempt))
        emitter.event(field(attempt), Cost(attempt))
        emitter.close()
        assert run.last_seq() == 2 * attempt + 1
        if attempt == 0:
            run.compact()
            assert run.last_seq() == 1


def test_the_run_goes_on_into_its_log_while_viewers_are_away(run: RunDirectory) -> None:
    viewers = Viewers()
    viewers.away = True
    emitter = Emitter(run, viewers)
    emitter.scalars(["a"], row(1), Cost(1), Cost(1))
    emitter.close()
    assert run.scalars()["a"].value.tolist() == [1.0] and viewers.entries == []


def test_a_disk_that_cannot_be_written_is_heard_of(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    emitter = Emitter(run)
    monkeypatch.setattr(RunDirectory, "append", full)
    emitter.scalars(["a"], row(1), Cost(1), Cost(1))
    with pytest.raises(CannotWrite, match="No space left on device"):
        emitter.flush()
    with pytest.raises(CannotWrite):
        emitter.scalars(["a"], row(1), Cost(2), Cost(2))
    with pytest.raises(CannotWrite):
        emitter.close()


def test_a_write_cut_short_by_a_full_disk_leaves_whole_frames_alone(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = Emitter(run)
    emitter.scalars(["a"], row(1), Cost(1), Cost(1))
    emitter.flush()
    before = (run.path / "log.bin").read_bytes()
    import os

    write = os.write
    calls = []

    def short(descriptor: int, data: Any) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(data[:10]))

    monkeypatch.setattr("jobs.system.atomic_files.os.write", short)
    emitter.scalars(["a"], row(2), Cost(2), Cost(2))
    with pytest.raises(CannotWrite):
        emitter.flush()
    monkeypatch.undo()
    assert len(calls) == 2 and (run.path / "log.bin").read_bytes() == before
    with pytest.raises(CannotWrite):
        emitter.close()


def test_calls_from_many_threads_are_all_kept_once(run: RunDirectory) -> None:
    emitter = Emitter(run, flush_seconds=0.001)

    def say(path: str) -> None:
        for step in range(300):
            emitter.scalars([path], row(step), Cost(step), Cost(step))

    threads = [threading.Thread(target=say, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    emitter.close()
    assert {path: len(found.step) for path, found in run.scalars().items()} == dict.fromkeys(
        "abcd", 300
    )
    seqs = [unpack(frame).header["seq"] for frame in run.read_log_frames()]
    assert seqs == list(range(1200))


def test_a_call_takes_microseconds(emitter: Emitter) -> None:
    values = np.zeros((1, 8), np.float32)
    paths = [f"p/{i}" for i in range(8)]
    took = []
    for step in range(5000):
        start = time.perf_counter()
        emitter.scalars(paths, values, Cost(step), Cost(step))
        took.append(time.perf_counter() - start)
    assert np.median(took) < 20e-6


@pytest.mark.parametrize(
    "event",
    [
        Points("own/cloud", np.zeros((4, 2), np.float16), "data"),
        Points("own/cloud", np.zeros((4, 2), bool), "data"),
        Table("own/cloud", ["a"], [[np.float32(1.5)]]),  # type: ignore[list-item]
        Text("own/cloud", object()),  # type: ignore[arg-type]
    ],
    ids=["float16", "bool", "a NumPy number", "no text"],
)
def test_what_cannot_be_packed_is_said_once_and_the_rest_goes_on(
    run: RunDirectory, emitter: Emitter, event: Event
) -> None:
    for step in range(5):
        emitter.event(event, Cost(step))
        emitter.scalars(["a"], row(step), Cost(step), Cost(step))
    emitter.flush()
    assert run.scalars()["a"].step.tolist() == list(range(5))
    (text,) = run.texts()
    assert text.header["path"] == "run/left_out/own/cloud"
    assert text.header["meta"]["level"] == "alarm" and "own/cloud" in text.header["meta"]["message"]
    assert [alarm["path"] for alarm in emitter.alarms.listed()] == ["run/left_out/own/cloud"]
    assert emitter._thread.is_alive()


def test_curves_that_cannot_be_packed_are_said_too(run: RunDirectory, emitter: Emitter) -> None:
    emitter.scalars([{1}], row(1), Cost(1), Cost(1))  # type: ignore[list-item]
    emitter.scalars(["a"], row(1), Cost(2), Cost(2))
    emitter.flush()
    assert list(run.scalars()) == ["a"] and len(run.texts()) == 1


def test_a_thread_that_ends_is_heard_of_and_nobody_waits_for_it(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobs.execution.emitter._MOST_WAITING", 10)
    emitter = Emitter(run)

    def broken() -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(emitter, "_flush", broken)

    def say_much() -> None:
        for step in range(100):
            emitter.scalars(["a"], row(1), Cost(step), Cost(step))

    with pytest.raises(CannotWrite, match="nobody thought of this"):
        say_much()
    with pytest.raises(CannotWrite, match="nobody thought of this"):
        emitter.check()
    assert "the thread `emitter` ended" in caplog.text
    monkeypatch.undo()
    with pytest.raises(CannotWrite):
        emitter.close()


def test_a_disk_that_takes_nothing_is_said_while_the_caller_waits(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.execution.emitter._MOST_WAITING", 10)
    monkeypatch.setattr("jobs.execution.emitter.STUCK_SECONDS", 0.05)
    emitter = Emitter(run, flush_seconds=0.01)
    listed: list[Any] = []
    write, stuck = RunDirectory.append, threading.Event()

    def slow(*arguments: Any) -> None:
        stuck.wait(10)
        write(*arguments)

    monkeypatch.setattr(RunDirectory, "append", slow)

    def look() -> None:
        deadline = time.monotonic() + 10
        while not (found := emitter.alarms.listed()) and time.monotonic() < deadline:
            time.sleep(0.01)
        listed.extend(found)
        stuck.set()

    looking = threading.Thread(target=look)
    looking.start()
    for step in range(30):
        emitter.scalars(["a"], row(1), Cost(step), Cost(step))
    looking.join()
    emitter.close()
    assert [alarm["path"] for alarm in listed] == ["run/disk"]
    assert emitter.alarms.listed() == [] and len(run.scalars()["a"].step) == 30


def test_viewers_that_fail_leave_the_record_alone(run: RunDirectory) -> None:
    class Broken(Viewers):
        def publish(self, entries: list[tuple[str, bytes]]) -> bool:
            raise ValueError("not of Redis")

    emitter = Emitter(run, Broken())
    for step in range(3):
        emitter.scalars(["a"], row(step), Cost(step), Cost(step))
        emitter.flush()
    assert [alarm["path"] for alarm in emitter.alarms.listed()] == ["run/live"]
    emitter.close()
    assert len(run.scalars()["a"].step) == 3


def test_texts_keep_their_level(run: RunDirectory) -> None:
    emitter = Emitter(run)
    emitter.text("alarm/x", "Look at this.", Cost(3), "alarm")
    emitter.event(Text("note", "fine"), Cost(4))
    emitter.close()
    found = [(text.header["meta"]["level"], text.header["last"][0]) for text in run.texts()]
    assert found == [("alarm", 3), ("info", 4)]
