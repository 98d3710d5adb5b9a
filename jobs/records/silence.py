"""Silence: seconds for which this process has seen a run write nothing, by its own steady clock.

A run's status holds the wall clock of the machine that trains it, which another machine's clock
must not be held against. So silence is counted from look to look: a first look knows of none.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_GAP = 2.0
"""Seconds that one look adds at most: who slept itself knows nothing of the time it slept."""


class Watch:
    """Last mark seen of each of many things, and how long it has stayed so."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[object, float, float]] = {}

    def seconds(self, name: str, mark: object) -> float:
        """Return the seconds for which `mark` was seen to stay the same, 0 when it is new."""
        now = self._clock()
        before, silent, looked = self._seen.get(name, (None, 0.0, now))
        silent = silent + min(now - looked, LONGEST_GAP) if before == mark else 0.0
        self._seen[name] = (mark, silent, now)
        return silent

    def forget(self, name: str) -> None:
        """Forget a thing."""
        self._seen.pop(name, None)
