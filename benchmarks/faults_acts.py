"""The faults: each is done to one process, or to what it stands on, and undone after a while."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.faults_stage import Stage, wait_for
from benchmarks.stepped_clock.sitecustomize import FILE as CLOCK
from jobs.queueing import redis_store
from jobs.records.run_directory import RunDirectory
from jobs.system.atomic_files import write
from jobs.system.processes import is_alive

SERVERS = ("redis-server", "valkey-server")


@dataclass
class Scene:
    """One run on a stage, at the moment of a fault."""

    stage: Stage
    run: RunDirectory
    inline: subprocess.Popen[bytes] | None
    seconds: float
    """how long the fault lasts, where it is undone"""

    def pid_of(self, process: str) -> int:
        if process == "supervisor":
            assert self.stage.process is not None
            return self.stage.process.pid
        if process == "redis":
            return self.stage.child(SERVERS).pid
        if process == "dashboard":
            return self.stage.child(["server.py"]).pid
        if process == "inline":
            assert self.inline is not None
            return self.inline.pid
        if process == "job":
            return wait_for(lambda: self.run.status().pid, "the job's pid", 10)
        kind = {"train worker": "train", "quick worker": "quick"}[process]
        return next(
            int(w["pid"]) for w in redis_store.workers() if w["alive"] and w["queue"] == kind
        )

    @contextlib.contextmanager
    def lasting(self) -> Iterator[None]:
        """To be entered once the fault is there."""
        yield
        time.sleep(self.seconds)


Act = Callable[[Scene], AbstractContextManager[None]]


def kill(process: str) -> Act:
    """SIGKILL; nothing is undone."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        pid = scene.pid_of(process)
        os.kill(pid, signal.SIGKILL)
        # a process is a zombie before the last of its threads is gone: of our own, ask ourselves
        for mine in (scene.stage.process, scene.inline):
            if mine is not None and mine.pid == pid:
                mine.wait(10)
        wait_for(lambda: not is_alive(pid), f"the end of the {process}", 10)
        yield

    return act


def freeze(process: str) -> Act:
    """SIGSTOP, and SIGCONT after a while: a suspended machine, a swapping one, a hang."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        pid = scene.pid_of(process)
        os.kill(pid, signal.SIGSTOP)
        try:
            with scene.lasting():
                yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    return act


def refuse(setting: str, value: str, before: str) -> Act:
    """A Redis that answers and takes no writes."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        redis_store.connect().config_set(setting, value)
        try:
            with scene.lasting():
                yield
        finally:
            with contextlib.suppress(Exception):
                redis_store.connect().config_set(setting, before)

    return act


@contextlib.contextmanager
def restart(scene: Scene) -> Iterator[None]:
    """Redis ended in good order; whoever keeps it starts it again."""
    with contextlib.suppress(Exception):
        redis_store.connect().shutdown()
    yield


@contextlib.contextmanager
def full(scene: Scene) -> Iterator[None]:
    """The disk of BASIN_HOME has no byte left."""
    filler = scene.stage.home / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1_000_000, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        with scene.lasting():
            yield
    finally:
        filler.unlink()


def read_only(whole_home: bool) -> Act:
    """A folder mounted over itself, read-only: EROFS for all but files that are open already."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        folder = str(scene.stage.home if whole_home else scene.run.path)
        command("mount", "--bind", folder, folder)
        try:
            command("mount", "-o", "remount,bind,ro", folder)
            with scene.lasting():
                yield
        finally:
            command("umount", "--lazy", folder)

    return act


def no_growth(process: str) -> Act:
    """No file of one process may grow (RLIMIT_FSIZE): every write of it fails with EFBIG."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        limited = psutil.Process(scene.pid_of(process))
        soft, hard = limited.rlimit(resource.RLIMIT_FSIZE)
        limited.rlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with scene.lasting():
                yield
        finally:
            with contextlib.suppress(psutil.Error):
                limited.rlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return act


def step_clock(seconds: int) -> Act:
    """The wall clock of every process of Basin jumps, and stays."""

    @contextlib.contextmanager
    def act(scene: Scene) -> Iterator[None]:
        write(Path(scene.stage.settings[CLOCK]), str(seconds))
        with scene.lasting():
            yield

    return act


@contextlib.contextmanager
def cut(scene: Scene) -> Iterator[None]:
    """The worker's cable is pulled, and put back."""
    link = scene.stage.link
    command("ip", "link", "set", link, "down")
    try:
        with scene.lasting():
            yield
    finally:
        command("ip", "link", "set", link, "up")


def command(*words: str) -> None:
    """Run a program; raises RuntimeError with what it says when it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


# ---------------------------------------------------------------------- process × fault


@dataclass(frozen=True)
class Cell:
    """One fault done to one process, and what must come of it."""

    process: str
    fault: str
    act: Act
    ends: bool | None
    """whether it ends the attempt; None: it may or may not"""
    seconds: tuple[float, float] = (0.0, 0.0)
    """how long it lasts"""
    stage: str = "plain"
    """`plain`, or `disk`, `clock`, `network`: what must be at hand"""

    @property
    def name(self) -> str:
        return f"{self.process}: {self.fault}"


SHORT, LONG = (2.0, 6.0), (9.0, 12.0)
"""Seconds; the longer are more than a run may be silent."""
MEMORY = refuse("maxmemory", "1", "0")
REPLICAS = refuse("min-replicas-to-write", "1", "0")
CELLS = [
    Cell("job", "SIGKILL", kill("job"), True),
    Cell("train worker", "SIGKILL", kill("train worker"), None),
    Cell("supervisor", "SIGKILL", kill("supervisor"), None),
    Cell("redis", "SIGKILL", kill("redis"), False),
    Cell("redis", "refuses writes (memory)", MEMORY, False, LONG),
    Cell("inline run", "SIGSTOP", freeze("inline"), False, LONG),
    Cell("dashboard", "SIGKILL", kill("dashboard"), False),
    Cell("home", "disk full", full, None, SHORT, "disk"),
    Cell("inline run", "SIGKILL", kill("inline"), True),
    Cell("job", "SIGSTOP", freeze("job"), False, SHORT),
    Cell("job", "long SIGSTOP", freeze("job"), False, LONG),
    Cell("job", "writes fail (EFBIG)", no_growth("job"), None, SHORT),
    Cell("job", "its folder read-only (EROFS)", read_only(False), None, SHORT, "disk"),
    Cell("train worker", "SIGSTOP", freeze("train worker"), False, LONG),
    Cell("supervisor", "SIGSTOP", freeze("supervisor"), False, LONG),
    Cell("redis", "SIGSTOP", freeze("redis"), False, LONG),
    Cell("redis", "refuses writes (replicas)", REPLICAS, False, LONG),
    Cell("redis", "restarted", restart, False),
    Cell("quick worker", "SIGKILL", kill("quick worker"), False),
    Cell("quick worker", "SIGSTOP", freeze("quick worker"), False, LONG),
    Cell("dashboard", "SIGSTOP", freeze("dashboard"), False, LONG),
    Cell("inline run", "writes fail (EFBIG)", no_growth("inline"), None, SHORT),
    Cell("home", "read-only (EROFS)", read_only(True), None, SHORT, "disk"),
    Cell("home", "clock 30 s on", step_clock(30), False, SHORT, "clock"),
    Cell("home", "clock 30 s back", step_clock(-30), False, SHORT, "clock"),
    Cell("train worker", "network cut", cut, False, LONG, "network"),
]
"""The first eight are those of `--quick`."""
NUM_QUICK = 8
