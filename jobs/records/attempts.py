"""Attempts: one process trains a run at a time, and each attempt at it has a number.

    BASIN_HOME/runs/<id>/
        lock            held (flock) for the life of an attempt: nobody else begins on this machine
        attempts/<n>    made by attempt n, and by nobody else: says which process that is

A machine that was cut off from the others, or a process that was frozen, may come back when a later
attempt trains the run. It finds the higher number, and writes nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import NotAvailable
from jobs.records.status import Status, this_process
from jobs.system import atomic_files

if TYPE_CHECKING:
    from jobs.records.run_directory import RunDirectory

PATIENCE = 1.0
"""Seconds to wait for a lock that somebody may hold for a moment, to look or to compact."""
_POLL_SECONDS = 0.02


class Held(NotAvailable):
    """Error: another process trains this run, or has done so already."""


class Superseded(OSError):
    """Error: a later attempt trains this run, or its end was written down.

    This one writes no more.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(errno.EBUSY, sentence)


@dataclass
class Attempt:
    """One attempt at a run, by this process."""

    run_id: str
    folder: Path
    """`attempts` in the run's directory"""
    number: int
    superseded: str = ""
    """why this one writes nothing more; "" while it may"""

    def check(self) -> None:
        """Raise Superseded when a later attempt has begun, OSError when that cannot be seen."""
        if not self.superseded and (highest := _highest(self.folder)) > self.number:
            self.superseded = f"attempt {highest} trains `{self.run_id}` now"
        if self.superseded:
            raise Superseded(self.superseded)

    def facts(self) -> dict[str, Any]:
        """Return the status fields that say who trains the run."""
        return {"status": "running", "attempt": self.number, **this_process()}

    def changes_of(self, status: Status, changes: dict[str, Any]) -> dict[str, Any]:
        """Return the status changes this attempt may make; it revives a run that others gave up.

        Raises Superseded when a later attempt has begun or was asked for, or when somebody else
        wrote down its end.
        """
        if status.attempt > self.number:
            self.superseded = f"attempt {status.attempt} trains `{self.run_id}` now"
        elif status.attempt == self.number and status.status not in ("running", "lost"):
            self.superseded = f"`{self.run_id}` is {status.status} now"
        self.check()
        if status.status == "lost" and "status" not in changes:
            return {**self.facts(), "ended": None, "reason": "", **changes}
        return changes


@contextlib.contextmanager
def begin(directory: RunDirectory, *, queued: bool = False) -> Iterator[Attempt]:
    """Begin the next attempt at a run, for the length of a `with` block.

    Where `directory` has an attempt that is on, that one goes on.

    queued: only if the run is that. Raises Held when another process trains the run or it is not
    queued any more: then nothing was touched. Raises OSError.
    """
    if directory.attempt is not None:
        yield directory.attempt
        return
    with held(directory):
        if queued and (state := directory.written_status().status) != "queued":
            raise Held(f"`{directory.id}` is {state}, not queued.")
        directory.attempt = _next(directory)
        try:
            yield directory.attempt
        finally:
            directory.attempt = None


@contextlib.contextmanager
def held(directory: RunDirectory, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the run's lock: nobody on this machine trains it while the block lasts.

    Raises Held when somebody does for longer than `patience` seconds, OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(directory.path / "lock", flags, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not atomic_files.try_lock(descriptor, directory.path):
            if time.monotonic() >= deadline:
                raise Held(f"`{directory.id}` is being trained already{_by(directory)}.")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def is_held(directory: RunDirectory) -> bool:
    """Return True while a process of this machine trains the run."""
    try:
        with held(directory, patience=0.0):
            return False
    except Held:
        return True


def pid_of(directory: RunDirectory, number: int) -> int | None:
    """Return the pid of an attempt's process; None where there was no such attempt."""
    try:
        return int(atomic_files.read_json(directory.path / "attempts" / str(number))["pid"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _by(directory: RunDirectory) -> str:
    status = directory.written_status()
    return f", by process {status.pid} on {status.host}" if status.pid else ""


def _next(directory: RunDirectory) -> Attempt:
    folder = directory.path / "attempts"
    folder.mkdir(mode=0o700, exist_ok=True)
    number = max(_highest(folder), directory.written_status().attempt) + 1
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(folder / str(number), flags, 0o600)
        except FileExistsError:  # a process of another machine was faster
            number += 1
            continue
        attempt = Attempt(directory.id, folder, number)
        with open(descriptor, "w") as file:
            json.dump({**attempt.facts(), "began": time.time()}, file)
        return attempt


def _highest(folder: Path) -> int:
    # Listed rather than asked for by name: over a network that a name was missing is remembered.
    names = (entry.name for entry in os.scandir(folder))
    return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)
