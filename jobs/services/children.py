"""Children: processes that `basin up` keeps alive, each with its log and its pulse."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from backend.errors import BasinError
from jobs.records.silence import Watch
from jobs.system.processes import descendants

LOG_BYTES = 5_000_000
"""A log file that grows beyond this becomes `.1` and starts anew."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
HEALTHY_SECONDS = 30.0
START_SECONDS = 120.0
"""How long a process may take to its first answer."""
_ASK_SECONDS = 1.0

Say = Callable[[str], None]


@dataclass
class Pulse:
    """Liveness probe of a process, asked once a second beside everything else."""

    answers: Callable[[], bool]
    patience: float
    """seconds without an answer after which it counts as hung"""
    _num: int = 0
    """answers so far, and when this process was first seen"""
    _first: int = 0
    _of: object = None
    _watch: Watch = field(default_factory=Watch)

    def start(self) -> None:
        """Start to ask, in a thread that nothing ends."""
        threading.Thread(target=self._ask, name="pulse", daemon=True).start()

    def has_stopped(self, process: object) -> bool:
        """Return True when this process has not answered for too long.

        Its time counts from its first answer, and by calls: a supervisor that slept takes no
        process for hung.
        """
        if self._of is not process:
            self._of, self._first = process, self._num
            self._watch.forget("")
        silent = self._watch.seconds("", self._num)
        return silent > (self.patience if self._num > self._first else START_SECONDS)

    def _ask(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # whatever went wrong, it was no answer
                self._num += bool(self.answers())
            time.sleep(_ASK_SECONDS)


@dataclass
class Child:
    """Process that is kept alive."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    log_path: Path
    pulse: Pulse | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    next_start: float = 0.0
    _hung: object = None

    def launch(self) -> None:
        """Start the process. Raises OSError, BasinError."""
        self.process = self.start()
        self.started = time.monotonic()

    def look(self, say: Say) -> None:
        """Restart the process when it has ended, after a pause that doubles; end it when it
        hangs."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.next_start:
                self._try_to_launch(say)
            return
        code = self.process.poll()
        if code is None:
            self._check_pulse(say)
            return
        if now - self.started > HEALTHY_SECONDS:
            self.delay = FIRST_DELAY
        self._retry_later(f"{self.name} ended ({_exit_in_words(code)})", say)

    def _try_to_launch(self, say: Say) -> None:
        try:
            self.launch()
        except (OSError, subprocess.SubprocessError, BasinError) as error:
            self._retry_later(f"{self.name} could not be started ({error})", say)

    def _retry_later(self, what: str, say: Say) -> None:
        self.process = None
        self.next_start = time.monotonic() + self.delay
        say(f"{what}; starting it again in {self.delay:g} s. Its log: {self.log_path}")
        self.delay = min(self.delay * 2, LONGEST_DELAY)

    def _check_pulse(self, say: Say) -> None:
        process = self.process
        if self.pulse is None or process is None or process is self._hung:
            return
        if not self.pulse.has_stopped(process):
            return
        self._hung = process
        say(f"{self.name} has not answered for {self.pulse.patience:g} s and is ended.")
        for each in descendants([process.pid]):
            with contextlib.suppress(psutil.Error):
                each.kill()

    def rotate_log(self) -> None:
        """Copy and cut a long log: the process keeps it open, and appends wherever its end is.

        Where there is no room for the copy, the content is dropped. Raises OSError.
        """
        if not self.log_path.is_file() or self.log_path.stat().st_size <= LOG_BYTES:
            return
        old = self.log_path.with_suffix(".log.1")
        try:
            shutil.copyfile(self.log_path, old)
        except OSError:
            old.unlink(missing_ok=True)
        os.truncate(self.log_path, 0)

    @property
    def pid(self) -> int | None:
        """Pid while the process runs, else None."""
        return self.process.pid if self.process and self.process.poll() is None else None


def _exit_in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


class Survivor:
    """Runner of one thing after another whatever goes wrong, reporting each trouble once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._reported: dict[str, str] = {}

    def do(self, name: str, act: Callable[[], object]) -> None:
        """Call `act`; an error is reported when it is not the one of the last time."""
        try:
            act()
        except Exception as error:
            text = f"{name}: {type(error).__name__}: {error}. Going on."
            if self._reported.get(name) != text:
                self._reported[name] = text
                self._say(text)
                if not isinstance(error, OSError):
                    logging.getLogger(__name__).exception("%s", name)
        else:
            self._reported.pop(name, None)
