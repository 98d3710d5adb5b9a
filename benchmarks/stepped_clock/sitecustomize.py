"""The wall clock of a Python process, off by the seconds that a file holds.

Put on PYTHONPATH by `benchmarks.faults`: the clock of a whole machine is not a benchmark's to turn.
"""

from __future__ import annotations

import os
import time

FILE = "BASIN_FAULTS_CLOCK"
_SECONDS = 0.1
"""How long what the file holds is taken for granted."""


def _step(path: str) -> None:
    wall, wall_ns, steady = time.time, time.time_ns, time.monotonic
    known = [0.0, -_SECONDS]

    def offset() -> float:
        if steady() - known[1] >= _SECONDS:
            with open(path) as file:
                known[:] = float(file.read()), steady()
        return known[0]

    time.time = lambda: wall() + offset()
    time.time_ns = lambda: wall_ns() + int(offset() * 1e9)


if FILE in os.environ:
    _step(os.environ[FILE])
