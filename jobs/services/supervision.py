"""Supervision: `basin up` starts Redis, workers and dashboard, keeps them alive, ends them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import redis

from backend.errors import BadInput, NotAvailable
from backend.system.home import make_private
from jobs.notifications import watching
from jobs.notifications.settings import settings as notifications
from jobs.queueing import control, going_on, redis_store
from jobs.queueing.redis_store import CONNECTION
from jobs.records import run_store
from jobs.records.status import this_process
from jobs.services import entry_link, home_lock, login, peer_user
from jobs.services.children import Child, Pulse, Say, Survivor
from jobs.services.redis_server import MISSING, RedisServer, find_server_binary
from jobs.system import devices
from jobs.system.processes import PARENT, descendants, die_with_parent, end_all, identity

HOST = "127.0.0.1"
DEFAULT_PORT = 8501
REDIS_SECONDS, DASHBOARD_SECONDS = 10.0, 30.0
"""How long each may leave questions unanswered before it is started again."""
RECONCILE_SECONDS = 1.0
_STOP_SECONDS = control.GRACE + 5.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever proxy the environment names."""


@dataclass
class Supervisor:
    """Supervisor of everything `basin up` runs. `say` prints one line for a person."""

    home: Path
    port: int
    say: Say
    children: list[Child] = field(default_factory=list)
    redis: RedisServer | None = None
    stopping: bool = False
    _written_pids: list[int | None] = field(default_factory=list)
    _reconciling: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._survivor = Survivor(self._tell)

    @property
    def address(self) -> str:
        """Address of the dashboard on this machine."""
        return f"http://{HOST}:{self.port}"

    def run(self) -> None:
        """Start all, keep all alive until a signal comes, end all."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._start()
            self._wait_until_ready()
            if not self.stopping:
                self._tell(f"Basin is ready at {self._entry_address()}")
            self._keep()
        finally:
            self._stop()

    def _entry_address(self) -> str:
        """Return the address, with a token where this system cannot tell whose a browser is."""
        is_known = login.required() or peer_user.is_told()
        return self.address if is_known else entry_link.link(self.address)

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk, or nobody who reads
            self.say(line)

    def _on_signal(self, number: int, frame: object) -> None:
        self.stopping = True

    def _start(self) -> None:
        self._start_redis()
        self._write_connection()
        for device in devices.training_devices():
            label = f"train worker ({device})"
            self._add(label, f"train-{device}", ["worker", "--queue", "train", "--device", device])
        for kind in (redis_store.QUICK, redis_store.CHECK):
            self._add(f"{kind} worker", kind, ["worker", "--queue", kind, "--device", "cpu"])
        self._add(
            "dashboard",
            "dashboard",
            ["dashboard", "--host", HOST, "--port", str(self.port)],
            Pulse(lambda: _answers(f"{self.address}/_stcore/health"), DASHBOARD_SECONDS),
        )

    def _start_redis(self) -> None:
        if os.environ.get("BASIN_REDIS_URL"):
            redis_store.connect()  # theirs: only look whether it answers
            return
        if find_server_binary() is None:
            raise NotAvailable(MISSING)
        self.redis = RedisServer(self.home / "redis", self._log("redis"))
        pulse = Pulse(self._redis_answers, REDIS_SECONDS)
        child = Child("Redis", self.redis.start, self._log("redis"), pulse)
        child.launch()
        self.children.append(child)
        self.redis.wait_until_ready()
        pulse.start()

    def _redis_answers(self) -> bool:
        assert self.redis is not None
        with redis_store.client(self.redis.url, timeout=1.0) as client:
            try:
                return bool(client.ping())
            except (redis.ResponseError, redis.BusyLoadingError):
                return True  # it refuses, or loads its data: it is there

    def _write_connection(self) -> None:
        """Write where Basin is, for every command; and what to end if this process is killed."""
        pids = [child.pid for child in self.children if child.pid]
        info = {
            "redis": self.redis.url if self.redis else os.environ["BASIN_REDIS_URL"],
            "dashboard": self.address,
            **this_process(),
            "children": [[pid, identity(pid)] for pid in pids],
        }
        redis_store.write_private(CONNECTION, json.dumps(info))

    def _add(self, name: str, log: str, arguments: list[str], pulse: Pulse | None = None) -> None:
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

        child = Child(name, start, log_path, pulse)
        child.launch()
        self.children.append(child)
        if pulse is not None:
            pulse.start()

    def _log(self, name: str) -> Path:
        folder = self.home / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{name}.log"

    def _wait_until_ready(self) -> None:
        """Return once the page answers and the check worker is there to check forms."""
        while not self.stopping:
            self._look()
            if _answers(f"{self.address}/_stcore/health"):
                with contextlib.suppress(NotAvailable, redis.RedisError):
                    if any(
                        w["alive"] and w["queue"] == redis_store.CHECK
                        for w in redis_store.workers()
                    ):
                        return
            time.sleep(0.1)

    def _keep(self) -> None:
        # A thread: a disk or a Redis that hangs must not keep the children from being watched.
        self._reconciling = threading.Thread(target=self._reconcile, name="reconcile", daemon=True)
        self._reconciling.start()
        next_beat = 0.0
        while not self.stopping:
            self._look()
            if time.monotonic() >= next_beat:
                for child in self.children:
                    self._survivor.do(f"The log of {child.name}", child.rotate_log)
                beat = partial(home_lock.beat, self.home, self._write_connection)
                self._survivor.do(CONNECTION, beat)
                next_beat = time.monotonic() + home_lock.BEAT_SECONDS
            time.sleep(0.1)

    def _reconcile(self) -> None:
        watcher = watching.Watcher()

        def act() -> None:
            for sentence in control.settle():
                self._tell(sentence)

        def notify() -> None:
            watcher.look(run_store.list_runs(), self.address)

        while not self.stopping:
            self._survivor.do("Looking after runs", act)
            self._survivor.do("Notifications", notify)
            time.sleep(RECONCILE_SECONDS)

    def _look(self) -> None:
        for child in self.children:
            self._survivor.do(f"Looking after {child.name}", partial(child.look, self._tell))
        pids = [child.pid for child in self.children]
        if pids != self._written_pids:
            self._survivor.do(CONNECTION, partial(self._write_again, pids))

    def _write_again(self, pids: list[int | None]) -> None:
        self._write_connection()
        self._written_pids = pids

    def _stop(self) -> None:
        """End workers first: they stop their runs with a checkpoint. Redis last. No process
        stays."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is stopping already
        self.stopping = True
        if self._reconciling is not None:
            self._reconciling.join(timeout=2.0)
        everything = descendants(child.pid for child in self.children if child.pid)
        others = [child for child in self.children if child.name != "Redis"]
        if any(child.pid for child in others):
            then = ", and go on at the next start" if going_on.is_wanted() else ""
            self._tell(f"Stopping: running runs write a checkpoint first{then}.")
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
        with contextlib.suppress(OSError):
            (self.home / CONNECTION).unlink(missing_ok=True)
        if self.children:
            self._tell("Basin has stopped.")


def _answers(address: str) -> bool:
    try:
        with _DIRECT.open(address, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def up(port: int | None, say: Say) -> None:
    """Run Basin here until a signal comes. Raises BadInput or NotAvailable, one line each."""
    home = _writable_home(say)
    going_on.is_wanted()
    notifications()
    try:
        with home_lock.held(home, say):
            run_store.sweep()
            port = port or _port_from_environment()
            _need_free(port)
            Supervisor(home, port, say).run()
    except OSError as error:
        raise NotAvailable(f"Basin cannot run in {home}: {error}.") from error


def _writable_home(say: Say) -> Path:
    """Return the home, closed to others where that can be done. Raises BadInput."""
    home = run_store.home()
    try:
        make_private(home)
        probe = home / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadInput.at(
            "BASIN_HOME",
            f"{home} cannot be written ({error.strerror}). Set BASIN_HOME to a folder that can.",
        ) from error
    try:
        home.chmod(0o700)
    except OSError as error:  # it is another user's, who shares it
        if mode := home.stat().st_mode & 0o077:
            say(
                f"{home} stays open to others (0{mode:o}): it belongs to another user "
                f"({error.strerror}). Who may write there can read and change runs."
            )
    return home


def _port_from_environment() -> int:
    text = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise BadInput.at("PORT", f"must be a port number, 1 to 65535, got {text!r}.")
    return int(text)


def _need_free(port: int) -> None:
    """Raise BadInput for a port that this user cannot have now, with one that is free."""
    if (error := _refusal(port)) is None:
        return
    why = {
        errno.EADDRINUSE: "is in use by another program",
        errno.EACCES: "is reserved for the system's administrator",
    }.get(error.errno or 0, f"cannot be had ({error.strerror})")
    others = (*range(port + 1, port + 100), *range(DEFAULT_PORT, DEFAULT_PORT + 100))
    free = next((p for p in others if 1024 <= p < 65536 and _refusal(p) is None), DEFAULT_PORT)
    raise BadInput.at("PORT", f"port {port} {why}. Choose another one: PORT={free} make up")


def _refusal(port: int) -> OSError | None:
    with socket.socket() as probe:
        # As the server will: a port that only waits out its last connections counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error
    return None
