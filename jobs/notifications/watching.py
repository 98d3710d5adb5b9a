"""Watching for runs that end, by the processes that stay: `basin up` and the dashboard.

Whoever sees an end first leaves a mark in the run's directory and sends word; so each end is told
once, by a process that has the settings.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import replace

from backend.errors import BasinError
from jobs.notifications.sending import TOLD, tell
from jobs.notifications.settings import Settings, settings
from jobs.records import run_store
from jobs.records.status import Status

GATHER_SECONDS = 3.0
"""Ends within so many seconds are told in one message: a sweep ends in a heap."""
_log = logging.getLogger(__name__)


class Watcher:
    """Watcher of a home's runs. `look` is called every second or so, and never waits."""

    def __init__(self) -> None:
        self._began = time.time()
        self._seen: set[tuple[str, int, str]] = set()
        self._ended: queue.SimpleQueue[Status] = queue.SimpleQueue()
        self._sender: threading.Thread | None = None
        self._to: Settings | None = None
        self._address = ""

    def look(self, runs: Iterable[Status], address: str = "") -> None:
        """Take note of runs that have ended since this process began.

        address: of the pages, where the settings name none. Raises BadInput, once, for settings
        that are wrong.
        """
        if self._to is None:
            self._to = Settings()  # nobody, should they be wrong
            self._to = settings()
        if not self._to.is_wanted:
            return
        self._address = self._to.address or address
        for run in runs:
            mark = (run.id, run.attempt, run.status)
            if run.status not in TOLD or (run.ended or 0.0) < self._began or mark in self._seen:
                continue
            self._seen.add(mark)
            if not run.interrupted and _is_first(run):
                self._ended.put(run)
                self._start()

    def _start(self) -> None:
        if self._sender is None:
            self._sender = threading.Thread(target=self._send, name="notify", daemon=True)
            self._sender.start()

    def _send(self) -> None:
        while True:
            runs = [self._ended.get()]
            time.sleep(GATHER_SECONDS)
            while not self._ended.empty():
                runs.append(self._ended.get())
            try:
                assert self._to is not None
                for trouble in tell(runs, replace(self._to, address=self._address)):
                    _log.warning("%s", trouble)
            except Exception as error:  # whatever it was, the next word is sent
                _log.warning("no word of %d runs was sent: %s", len(runs), type(error).__name__)


def _is_first(run: Status) -> bool:
    """Leave the mark of an end; False where another process has, or where none can be left."""
    try:
        folder = run_store.open_run(run.id).path / "told"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = folder / f"{run.attempt}-{run.status}"
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except (OSError, BasinError):  # deleted meanwhile, or a disk that is full
        return False
    return True
