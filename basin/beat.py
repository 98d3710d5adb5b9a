"""Heartbeat of a run that the user's own loop trains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from backend.errors import BasinError
from backend.system.home import home
from jobs.execution.alarms import Alarms
from jobs.execution.emitter import Emitter
from jobs.execution.heartbeat import Heartbeat
from jobs.records.run_directory import RunDirectory

ATTACH_SECONDS = 2.0
"""How often a Basin that has begun since is looked for."""


class OwnBeat(Heartbeat):
    """Heartbeat that hands over what a silent loop logged last, and attaches to the Basin of this
    home once one runs."""

    def __init__(
        self,
        directory: RunDirectory,
        emitter: Emitter,
        alarms: Alarms,
        flush: Callable[[], None],
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        self._flush, self._facts, self._next_attach = flush, facts, 0.0
        super().__init__(directory, alarms=alarms)
        self.emitter = emitter
        self._parent = 0  # whoever started the script is not its worker

    def _beat(self, now: float) -> None:
        self._flush()
        if now >= self._next_attach:
            self._next_attach = now + ATTACH_SECONDS
            self._attach()
        self.set_fields(**self._facts())
        super()._beat(now)

    def _attach(self) -> None:
        """Send frames to Redis too, from the first look that finds one."""
        is_there = os.environ.get("BASIN_REDIS_URL") or (home() / "connection.json").exists()
        if self.emitter is not None and self.emitter.publisher is None and is_there:
            from jobs.queueing.redis_store import Publisher

            with contextlib.suppress(BasinError):
                self.emitter.publisher = Publisher(self.directory.id)
