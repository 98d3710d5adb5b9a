"""One process trains a run at a time; an attempt that was overtaken writes nothing more."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from backend.errors import BadInput, NotAvailable
from backend.events import Cost, encode_block
from jobs import tasks
from jobs.execution.cadence import Cadence
from jobs.records import attempts, run_store
from jobs.records.attempts import Held, Superseded
from jobs.records.run_store import RunDirectory
from jobs.records.status import hostname
from jobs.system import atomic_files
from tests.conftest import ROOT
from tests.jobs import tiny

HOLD = """
import sys
from jobs import artifacts, attempts
with attempts.begin(artifacts.open_run(sys.argv[1])) as attempt:
    print(attempt.number, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def method(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.install(monkeypatch)


@contextlib.contextmanager
def trained_elsewhere(directory: RunDirectory) -> Iterator[None]:
    """Another process trains the run, as far as anybody can see; it is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, directory.id],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield
        process.kill()


def content(directory: RunDirectory) -> dict[str, bytes]:
    """All files of a run that hold anything."""
    found = (p for p in directory.path.rglob("[!.]*") if p.is_file())
    return {str(path.relative_to(directory.path)): path.read_bytes() for path in found}


def overtake(directory: RunDirectory) -> None:
    """As an attempt on another machine, which sees no lock of this one."""
    number = max(int(path.name) for path in (directory.path / "attempts").iterdir()) + 1
    (directory.path / "attempts" / str(number)).write_text("{}")


def test_a_second_process_leaves_everything_as_it_is(redis_url: str) -> None:
    directory = tiny.make()
    with trained_elsewhere(directory):
        before = content(directory)
        with pytest.raises(Held, match=directory.id):
            tiny.run(directory)
        tasks.train(directory.id)  # as a worker does
        assert content(directory) == before
    assert tiny.run(directory).status == "finished"


def test_what_does_not_wait_to_be_trained_is_left_alone(redis_url: str) -> None:
    directory = tiny.make()
    assert tiny.run(directory).status == "finished"
    before = content(directory)
    tasks.train(directory.id)
    assert content(directory) == before


def test_each_attempt_takes_a_number_of_its_own_and_says_who_it_is() -> None:
    directory = tiny.make()
    with attempts.begin(directory) as first:
        assert first.number == 1
        with attempts.begin(directory) as same:
            assert same is first
        said = json.loads((directory.path / "attempts" / "1").read_text())
        assert (said["host"], said["pid"]) == (hostname(), os.getpid())
    overtake(directory)  # a process of another machine
    with attempts.begin(directory) as third:
        assert third.number == 3
    directory.write_status(attempt=7)
    assert tiny.run(directory).attempt == 8


def test_an_attempt_that_was_overtaken_writes_nothing() -> None:
    directory = tiny.make()
    frame = encode_block(
        ["a"],
        np.ones((1, 1), np.float32),
        run=directory.id,
        seq=0,
        time=0.0,
        first=Cost(1),
        last=Cost(1),
    )
    writing: list[Callable[[], Any]] = [
        lambda: directory.append(frame, False),
        lambda: directory.append(frame, True),
        directory.compact,
        directory.clear_request,
        lambda: directory.void_after(0),
        lambda: directory.write_spec(directory.spec()),
        lambda: directory.write_status(step=9),
        lambda: directory.write_metrics({"a": 1.0}),
        lambda: directory.write_trace("x"),
        lambda: directory.save_checkpoint(1, {}, {}),
        lambda: directory.save_samples("final", {"x": np.ones(2)}),
    ]
    with attempts.begin(directory):
        directory.append(frame, False)
        directory.request("stop")
        overtake(directory)
        before = content(directory)
        for write in writing:
            with pytest.raises(Superseded, match="attempt 2 trains"):
                write()
        assert content(directory) == before


def begun(directory: RunDirectory) -> threading.Thread:
    """The run, being trained in a thread, some steps along."""
    cadence = Cadence(flush_seconds=0.01, first_checkpoint=0.1, checkpoint_seconds=0.1)
    thread = threading.Thread(target=tiny.run, args=(directory,), kwargs={"cadence": cadence})
    thread.start()
    deadline = time.monotonic() + 20
    while not directory.checkpoints():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return thread


@pytest.mark.parametrize("how", ["a later attempt", "a resume", "an end"])
def test_a_run_that_goes_on_elsewhere_stops_here_without_a_word_more(how: str) -> None:
    directory = tiny.make(100_000, sleep=0.001)
    thread = begun(directory)
    elsewhere = run_store.open_run(directory.id)
    if how == "a later attempt":
        overtake(elsewhere)
    else:
        elsewhere.write_status(status="queued" if how == "a resume" else "stopped")
    thread.join(10)
    assert not thread.is_alive()
    after = content(directory)
    said = elsewhere.written_status()
    if how != "a later attempt":
        assert said.status == ("queued" if how == "a resume" else "stopped")
    assert said.ended is None
    assert not any("Stopped" in t.header["meta"]["message"] for t in elsewhere.texts())
    time.sleep(0.3)
    assert content(directory) == after
    directory.close()


def test_a_run_that_was_given_up_but_goes_on_says_so() -> None:
    directory = tiny.make(100_000, sleep=0.001)
    thread = begun(directory)
    elsewhere = run_store.open_run(directory.id)
    elsewhere.write_status(status="lost", ended=time.time(), reason="silent")
    deadline = time.monotonic() + 10
    while (said := elsewhere.written_status()).status != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (said.reason, said.ended) == ("", None)
    elsewhere.request("stop")
    thread.join(10)
    assert elsewhere.status().status == "stopped"


def test_the_tables_of_a_run_are_not_made_under_it() -> None:
    directory, over = tiny.make(), tiny.make()
    tiny.run(over)
    with trained_elsewhere(directory):
        before = content(directory)
        with pytest.raises(BadInput, match="is running"):
            run_store.reindex([directory.id])
        assert [done.id for done in run_store.reindex()] == [over.id]
        assert content(directory) == before
    directory.write_status(status="running", host="another-machine", pid=1)
    with pytest.raises(BadInput, match="is running"):
        run_store.reindex([directory.id])


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_a_run_goes_on_and_it_is_said_once(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    atomic_files._say_no_locks.cache_clear()
    directory = tiny.make()
    assert tiny.run(directory).status == "finished"
    (said,) = [r for r in caplog.records if r.name == "jobs.system.atomic_files"]
    assert "without locks" in said.getMessage() and os.strerror(number) in said.getMessage()


def test_a_run_that_is_gone_is_not_available(redis_url: str) -> None:
    directory = tiny.make()
    directory.delete()
    with pytest.raises(NotAvailable):
        tasks.train(directory.id)
