"""Processes: tell if one is alive, end one with all it started, die when the parent dies."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

PARENT = "BASIN_PARENT_PID"
"""Environment variable: the pid of the process whose death ends this one's work."""

_PR_SET_PDEATHSIG = 1


def is_alive(pid: int | None) -> bool:
    """Return True when a process with this pid runs here and is not a zombie."""
    if not pid:
        return False
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def identity(pid: int) -> str:
    """Return a text that no other process has, here or on another machine, now or later.

    The boot of the system, the namespace of pids, when it started. "" when it is gone.
    """
    try:
        started = _started(pid)
    except (psutil.Error, OSError, IndexError):
        return ""
    return f"{_system()}/{started}"


def is_there(pid: int | None, who: str) -> bool | None:
    """Return True when the process of a pid and an `identity` runs here; None when unknown.

    Unknown where it was of another boot or container, which may be another machine of the same
    name.
    """
    if not who:
        return is_alive(pid)
    if not is_of_here(who):
        return None
    return is_alive(pid) and identity(pid or 0) == who


def is_of_here(who: str) -> bool:
    """Return True when an `identity` is of a process that was started where this one was."""
    return bool(who) and who.rpartition("/")[0] == _system()


def _started(pid: int) -> str:
    """Start time, in a measure that setting the clock does not change where there is one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:  # gone, or no Linux
        return f"{psutil.Process(pid).create_time():.2f}"


@functools.cache
def _system() -> str:
    """Identity of this boot of this machine, and of the namespace that pids here are of."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return "local"


def die_with_parent() -> None:
    """Begin a session and ask for SIGTERM when the parent dies, in a child between fork and exec.

    The signal is Linux's; elsewhere a killed supervisor leaves its children running.
    """
    os.setsid()
    _ask_for_signal()


def end_with_parent(parent: int) -> None:
    """Ask for SIGTERM when the parent dies, on Linux, or has died already; in a child that has
    begun."""
    _ask_for_signal()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _ask_for_signal() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def on_signals(act: Callable[[], object], *numbers: int) -> Iterator[None]:
    """Call `act` at these signals instead of their handlers; as before afterwards."""
    before = {number: signal.signal(number, lambda *_: act()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def descendants(pids: Iterable[int]) -> list[psutil.Process]:
    """List the processes with these pids that are alive and everything they started."""
    by_pid: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                by_pid[each.pid] = each
    return list(by_pid.values())


def end_all(processes: Iterable[psutil.Process], grace: float = 1.0) -> int:
    """Send SIGTERM, then SIGKILL after `grace` seconds. Returns how many needed the latter."""
    alive = [process for process in processes if is_alive(process.pid)]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(alive, timeout=grace)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=1.0)
    return len(stubborn)


def kill_group(pid: int | None, born_before: float) -> bool:
    """Send SIGKILL to a process, and to its group where it leads one; False when it was not there.

    born_before: unix seconds; a process born later only has the pid by chance and is spared.
    """
    if not pid or pid == os.getpid():
        return False
    try:
        if psutil.Process(pid).create_time() > born_before:
            return False
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except (psutil.Error, OSError):
        return False
    deadline = time.monotonic() + 2.0
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True
