"""Readings: what a run's process takes of its machine, beside the run's curves.

Read where scalars are flushed, at most once in EVERY seconds, in about 0.1 ms on a CPU: no thread
and no clock of their own. Of the run's own process; a device's figures are of all that works on it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

EVERY = 2.0
"""Seconds between two readings at least."""


class SystemReadings:
    """Readings of this process, of the devices it computes on, and of a counter of joules."""

    def __init__(self, handles: Sequence[Any], joules: Callable[[], float] | None) -> None:
        """`handles`: NVML's, of its devices. `joules`: a counter; None where nothing measures."""
        self._process = psutil.Process()
        self._handles, self._joules = handles, joules
        self._time = time.monotonic()
        self._totals = self._read_totals()

    def due(self) -> dict[str, float]:
        """Return the readings by path, {} where the last ones are fresh; rates are since those."""
        now = time.monotonic()
        elapsed = now - self._time
        if elapsed < EVERY:
            return {}
        before, self._totals = self._totals, self._read_totals()
        self._time = now
        rates = {path: (self._totals[path] - before[path]) / elapsed for path in before}
        resident = self._process.memory_info().rss / 1e9
        return {**rates, "system/memory": resident, **self._read_devices()}

    def _read_totals(self) -> dict[str, float]:
        """Read what only grows: seconds of CPU, megabytes written, joules."""
        with self._process.oneshot():
            times = self._process.cpu_times()
            totals = {"system/cpu": times.user + times.system}
            with contextlib.suppress(AttributeError, psutil.Error):  # macOS counts none
                totals["system/disk"] = self._process.io_counters().write_bytes / 1e6
        if self._joules is not None:
            totals["system/power"] = self._joules()
        return totals

    def _read_devices(self) -> dict[str, float]:
        """Read how busy the devices are, on average, and the memory taken on them."""
        if not self._handles:
            return {}
        try:
            import pynvml

            busy = [pynvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in self._handles]
            used = [pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in self._handles]
        except Exception:  # a device that has gone: the run itself says so
            return {}
        mean = sum(busy) / len(busy)
        return {"system/gpu": float(mean), "system/gpu_memory": sum(used) / 1e9}
