"""`basin up`: starts Redis, the workers and the dashboard, keeps them alive, ends them together."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from backend.errors import BadInput, NotAvailable
from jobs import artifacts, control, devices, store
from jobs.processes import PARENT, descendants, die_with_parent, end_all
from jobs.redis_server import MISSING, RedisServer, find_server_binary

HOST = "127.0.0.1"
DEFAULT_PORT = 8501
LOG_BYTES = 5_000_000
"""A log file that grows beyond this becomes `.1` and starts anew."""
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_HEALTHY_SECONDS = 30.0
_STOP_SECONDS = control.GRACE + 5.0

Say = Callable[[str], None]


@dataclass
class Child:
    """One process that is kept alive."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log_path: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY
    next_start: float = 0.0

    def launch(self) -> None:
        self.process = self.start()
        self.started = time.monotonic()

    def look(self, say: Say) -> None:
        """Start it again, after a pause that doubles, when it has ended."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.next_start:
                self.launch()
            return
        code = self.process.poll()
        if code is None:
            return
        if now - self.started > _HEALTHY_SECONDS:
            self.delay = _FIRST_DELAY
        say(
            f"{self.name} ended ({_how(code)}); starting it again in {self.delay:g} s. "
            f"Its log: {self.log_path}"
        )
        self.process = None
        self.next_start = now + self.delay
        self.delay = min(self.delay * 2, _LONGEST_DELAY)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.poll() is None else None


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"killed by {signal.Signals(-code).name}"


@dataclass
class Supervisor:
    """Everything `basin up` runs. `say` prints one line for a person."""

    home: Path
    port: int
    say: Say
    children: list[Child] = field(default_factory=list)
    redis: RedisServer | None = None
    stopping: bool = False
    _written: list[int | None] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    def run(self) -> None:
        """Start all, keep all alive until a signal comes, end all."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._start()
            self._wait_until_ready()
            if not self.stopping:
                self.say(f"Basin is ready at {self.address}")
            self._keep()
        finally:
            self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        self.stopping = True

    def _start(self) -> None:
        self._start_redis()
        self._write_connection()
        for device in devices.training_devices():
            label = f"train worker ({device})"
            self._add(label, f"train-{device}", ["worker", "--queue", "train", "--device", device])
        for kind in (store.QUICK, store.CHECK):
            self._add(f"{kind} worker", kind, ["worker", "--queue", kind, "--device", "cpu"])
        self._add("dashboard", "dashboard", ["dashboard", "--host", HOST, "--port", str(self.port)])

    def _start_redis(self) -> None:
        if os.environ.get("BASIN_REDIS_URL"):
            store.connect()  # theirs: only look whether it answers
            return
        if find_server_binary() is None:
            raise NotAvailable(MISSING)
        self.redis = RedisServer(self.home / "redis", self._log("redis"))
        child = Child("Redis", self.redis.start, self._log("redis"))
        child.launch()
        self.children.append(child)
        self.redis.wait_until_ready()

    def _write_connection(self) -> None:
        """Say where Basin is, for every command; and what to end if this process is killed."""
        children = []
        for pid in filter(None, (child.pid for child in self.children)):
            with contextlib.suppress(psutil.Error):
                children.append([pid, psutil.Process(pid).create_time()])
        info = {
            "redis": self.redis.url if self.redis else os.environ["BASIN_REDIS_URL"],
            "dashboard": self.address,
            "pid": os.getpid(),
            "children": children,
        }
        store.write_private("connection.json", json.dumps(info))

    def _add(self, name: str, log: str, arguments: list[str]) -> None:
        log_path = self._log(log.replace(":", ""))

        def start() -> subprocess.Popen[bytes]:
            with log_path.open("ab") as file:
                return subprocess.Popen(
                    [sys.executable, "-m", "jobs.cli", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
                    preexec_fn=die_with_parent,
                )

        child = Child(name, start, log_path)
        child.launch()
        self.children.append(child)

    def _log(self, name: str) -> Path:
        folder = self.home / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{name}.log"

    def _wait_until_ready(self) -> None:
        """Return once the page answers and the check worker is there to check forms."""
        while not self.stopping:
            self._look()
            if _answers(f"{self.address}/_stcore/health") and _answers(self.address):
                with contextlib.suppress(NotAvailable, redis.RedisError):
                    if any(w["alive"] and w["queue"] == store.CHECK for w in store.workers()):
                        return
            time.sleep(0.1)

    def _keep(self) -> None:
        next_settle = 0.0
        while not self.stopping:
            self._look()
            if time.monotonic() >= next_settle:
                for sentence in control.settle():
                    self.say(sentence)
                self._rotate_logs()
                next_settle = time.monotonic() + 1.0
            time.sleep(0.1)

    def _look(self) -> None:
        before = [child.pid for child in self.children]
        for child in self.children:
            child.look(self.say)
        if before != self._written:
            self._write_connection()
            self._written = before

    def _rotate_logs(self) -> None:
        """Copy and cut: the children keep the file open, and append wherever its end is."""
        for child in self.children:
            if child.log_path.exists() and child.log_path.stat().st_size > LOG_BYTES:
                child.log_path.with_suffix(".log.1").write_bytes(child.log_path.read_bytes())
                os.truncate(child.log_path, 0)

    def _stop(self) -> None:
        """Workers first: they stop their runs with a checkpoint. Redis last. No process stays."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is stopping already
        everything = descendants(child.pid for child in self.children if child.pid)
        others = [child for child in self.children if child.name != "Redis"]
        if any(child.pid for child in others):
            self.say("Stopping: running runs write a checkpoint first.")
        for child in others:
            if child.process is not None and child.pid:
                child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while any(child.pid for child in others):
            if time.monotonic() > deadline and not control.any_at_work():
                break
            time.sleep(0.05)
        redis_pid = self.redis.process.pid if self.redis and self.redis.process else None
        end_all([process for process in everything if process.pid != redis_pid])
        if self.redis is not None:
            self.redis.stop()
        (self.home / "connection.json").unlink(missing_ok=True)
        if self.children:
            self.say("Basin has stopped.")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def up(port: int | None, say: Say) -> None:
    """Run Basin here until a signal comes. Raises BadInput or NotAvailable, one line each."""
    home = _writable_home()
    with _lock(home):
        _end_leftovers(say)
        chosen = port or _port_from_environment()
        _need_free(chosen)
        Supervisor(home, chosen, say).run()


def _writable_home() -> Path:
    home = artifacts.home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInput.at(
            "BASIN_HOME", f"{home} cannot be written ({error.strerror}). Set BASIN_HOME to a "
            "folder that can."
        ) from error  # fmt: skip
    home.chmod(0o700)
    return home


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Held by the one supervisor of a BASIN_HOME; the system frees it however that ends."""
    with (home / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            info = store.connection_info()
            where = info.get("dashboard", "an address it has not written yet")
            pid = info.get("pid", "?")
            raise NotAvailable(
                f"Basin is running already at {where} (process {pid}). Stop it with Ctrl-C there, "
                f"or with `kill {pid}`."
            ) from None
        yield


def _end_leftovers(say: Say) -> None:
    """End what a killed supervisor left: its Redis must let go of the data before ours starts."""
    left = []
    for pid, born in store.connection_info().get("children", []):
        with contextlib.suppress(psutil.Error):
            if abs(psutil.Process(pid).create_time() - born) < 1.0:
                left += descendants([pid])
    if left:
        say("Ending what an earlier Basin left behind.")
        end_all(left, grace=5.0)


def _port_from_environment() -> int:
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise BadInput.at("PORT", f"must be a port number, 1 to 65535, got {text!r}.")
    return int(text)


def _need_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server will: a port that only waits out its last connections counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput.at(
                "PORT", f"port {port} is in use by another program ({error.strerror}). "
                f"Choose another one: PORT={port + 1} make up"
            ) from error  # fmt: skip
