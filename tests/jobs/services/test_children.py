"""What `basin up` keeps alive: started again when it ends or hangs, whatever else goes wrong."""

from __future__ import annotations

import errno
import itertools
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.records.silence import Watch
from jobs.services import children
from jobs.services.children import Child, Pulse, Survivor


def wait_for(condition: Any, timeout: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def test_what_dies_is_started_again_later_and_later(tmp_path: Path) -> None:
    said: list[str] = []
    starts: list[float] = []

    def start() -> subprocess.Popen[bytes]:
        starts.append(time.monotonic())
        return subprocess.Popen(["false"])

    child = Child("thing", start, tmp_path / "thing.log", delay=0.05)
    child.launch()
    wait_for(lambda: child.look(said.append) or len(starts) == 4)
    assert child.process is not None
    child.process.wait()
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert gaps[0] >= 0.05 and gaps[1] >= 0.1 and gaps[2] >= 0.2
    assert said[0] == (
        f"thing ended (exit code 1); starting it again in 0.05 s. Its log: {tmp_path}/thing.log"
    )


def test_what_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    tries: list[float] = []

    def start() -> subprocess.Popen[bytes]:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return subprocess.Popen(["sleep", "60"])

    child = Child("thing", start, tmp_path / "thing.log", delay=0.02)
    wait_for(lambda: child.look(said.append) or child.pid)
    assert child.process is not None
    child.process.kill()
    child.process.wait()
    assert len(said) == 2 and all("No space left" in line for line in said)


def test_logs_are_rotated_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_BYTES", 1000)
    log = tmp_path / "x.log"
    child = Child("x", lambda: subprocess.Popen(["true"]), log)
    child.rotate_log()  # nothing is there yet
    with log.open("ab", buffering=0) as file:
        for number in range(30):
            file.write(b"%03d" % number + b"x" * 97)
            child.rotate_log()
    assert log.stat().st_size <= 1100
    assert b"029" in log.read_bytes()
    assert (tmp_path / "x.log.1").stat().st_size <= 1200


def test_a_long_log_makes_room_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copyfile(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(children, "LOG_BYTES", 1000)
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    log = tmp_path / "x.log"
    log.write_bytes(b"x" * 2000)
    Child("x", lambda: subprocess.Popen(["true"]), log).rotate_log()
    left = [(path.name, path.stat().st_size) for path in tmp_path.glob("x.log*")]
    assert left == [("x.log", 0)]


class Server:
    """A process that answers or not."""

    def __init__(self) -> None:
        self.answers = True

    def ask(self) -> bool:
        if not self.answers:
            raise TimeoutError
        return True


def test_what_hangs_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_ASK_SECONDS", 0.01)
    server, said = Server(), list[str]()
    pulse = Pulse(server.ask, patience=0.3)
    pulse.start()
    child = Child("thing", lambda: subprocess.Popen(["sleep", "60"]), tmp_path, pulse, delay=0.01)
    child.launch()
    first = child.process
    assert first is not None
    wait_for(lambda: child.look(said.append) or pulse._num > pulse._first)
    first.send_signal(signal.SIGSTOP)  # as one that hangs: it would not heed SIGTERM
    server.answers = False
    wait_for(lambda: child.look(said.append) or child.process not in (None, first))
    assert first.returncode == -signal.SIGKILL
    assert said[0] == "thing has not answered for 0.3 s and is ended."
    assert len(said) == 2 and "SIGKILL" in said[1]
    # The next one has its time to come up, and answers by the same thread.
    for _ in range(100):
        child.look(said.append)
        time.sleep(0.005)
    assert len(said) == 2
    server.answers = True
    wait_for(lambda: child.look(said.append) or pulse._num > pulse._first)
    assert child.process is not None
    child.process.kill()
    child.process.wait()


def test_a_supervisor_that_slept_takes_nobody_for_hung() -> None:
    now = [0.0]
    pulse = Pulse(lambda: True, patience=10.0, _watch=Watch(lambda: now[0]))
    process = object()
    assert not pulse.has_stopped(process)
    pulse._num += 1
    for _ in range(11):
        assert not pulse.has_stopped(process)
        now[0] += 1.0
    assert pulse.has_stopped(process)
    pulse._num += 1
    assert not pulse.has_stopped(process)
    now[0] += 3600.0
    assert not pulse.has_stopped(process)


def test_a_trouble_is_said_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    survivor = Survivor(said.append)
    troubles: list[Exception | None] = [
        OSError(28, "full"),
        OSError(28, "full"),
        None,
        KeyError(1),
        KeyError(1),
        OSError(28, "full"),
    ]
    for trouble in troubles:

        def act(error: Exception | None = trouble) -> None:
            if error is not None:
                raise error

        survivor.do("work", act)
    assert [line.split(":")[1].strip() for line in said] == ["OSError", "KeyError", "OSError"]
    assert [r.exc_info is not None for r in caplog.records] == [True]
