"""Home lock: one supervisor of a BASIN_HOME at a time, and none of an earlier one's processes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backend.errors import NotAvailable
from jobs.queueing import redis_store
from jobs.queueing.redis_store import CONNECTION
from jobs.services.children import Say
from jobs.system import atomic_files
from jobs.system.processes import descendants, end_all, is_there

BEAT_SECONDS = 1.0
"""Seconds between two beats of a supervisor, for those on another machine."""


@contextlib.contextmanager
def held(home: Path, say: Say) -> Iterator[None]:
    """Supervise a BASIN_HOME alone, for the length of a `with` block.

    The system frees the lock however the process ends. Raises NotAvailable while another
    supervisor runs, OSError.
    """
    with (home / "up.lock").open("a") as file:
        if not atomic_files.try_lock(file.fileno(), home):
            raise NotAvailable(_running_already(redis_store.connection_info()))
        _need_silence(home, say)
        _end_leftovers(say)
        yield


def is_supervised() -> bool:
    """Return True while a `basin up` of this machine looks after BASIN_HOME."""
    info = redis_store.connection_info()
    return is_there(info.get("pid"), info.get("process", "")) is True


def beat(home: Path, write: Callable[[], None]) -> None:
    """Show a `basin up` on another machine, which sees neither process nor lock, that one runs.

    write: writes the connection file, in case it is gone.
    """
    try:
        os.utime(home / CONNECTION)
    except FileNotFoundError:
        write()


def _need_silence(home: Path, say: Say) -> None:
    """Raise NotAvailable while another supervisor beats.

    The lock does not tell where there are no locks, or another machine's are not seen.
    """
    info = redis_store.connection_info()
    if not info or is_there(info.get("pid"), info.get("process", "")) is False:
        return
    say(f"Basin ran in {home} on {info.get('host') or 'a machine'}; looking if it still does.")
    first = _changed(home / CONNECTION)
    for _ in range(4):
        time.sleep(BEAT_SECONDS)
        if _changed(home / CONNECTION) != first:
            raise NotAvailable(_running_already(info))


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _running_already(info: dict[str, Any]) -> str:
    where = info.get("dashboard", "an address it has not written yet")
    pid, host = info.get("pid", "?"), info.get("host")
    if redis_store.is_elsewhere(info):
        return (
            f"Basin is running already in this folder, on the machine {host} at {where} (process "
            f"{pid} there). Stop it there, or set BASIN_HOME to a folder of this machine's own."
        )
    return (
        f"Basin is running already at {where} (process {pid}). Stop it with Ctrl-C there, or with "
        f"`kill {pid}`."
    )


def _end_leftovers(say: Say) -> None:
    """End the processes that a killed supervisor left: its Redis must let go of the data before
    ours starts."""
    info = redis_store.connection_info()
    alive = [pid for pid, who in info.get("children", []) if is_there(pid, who) and who]
    if leftovers := descendants(alive):
        say("Ending what an earlier Basin left behind.")
        end_all(leftovers, grace=5.0)
