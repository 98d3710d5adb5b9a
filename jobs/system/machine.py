"""Machine: how busy a whole machine is, and what its devices take; read by a worker of it.

NVIDIA devices are asked through the driver's own tool: a process that is going to fork must not
touch CUDA or NVML.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from functools import cache
from typing import Any

import psutil

from jobs.system import devices, joule_meter

_FIELDS = "uuid,utilization.gpu,memory.used,memory.total,power.draw"
_SECONDS = 3.0
"""How long the driver's tool may take."""


def about() -> dict[str, Any]:
    """Describe what does not change: `cores`, `memory_total` in bytes, `models` of its devices."""
    return {
        "cores": psutil.cpu_count() or 1,
        "memory_total": psutil.virtual_memory().total,
        "models": {device.name: device.model for device in devices.nvidia_devices()},
    }


def read() -> dict[str, Any]:
    """Read the machine: shares of 1, bytes and watts.

    `cpu` is the mean of all cores since the last call in this process, and `power` that of the CPU
    where a counter of its own can be read; `gpus` has `busy`, `memory`, `memory_total` and `power`
    by name, those that the driver tells.
    """
    memory = psutil.virtual_memory()
    watts = _cpu_power().watts()
    return {
        "cpu": psutil.cpu_percent() / 100,
        "memory": memory.total - memory.available,
        "gpus": _read_devices(),
        **({} if watts is None else {"power": watts}),
    }


class _CpuPower:
    """Mean power of the CPU from one look to the next, by its RAPL counter."""

    def __init__(self) -> None:
        self._meter = joule_meter.rapl(joule_meter.RAPL)
        self._last: tuple[float, float] | None = None

    def watts(self) -> float | None:
        """Return the watts since the last look; None at the first one, and without a counter."""
        before, self._last = self._last, None
        if self._meter is None:
            return None
        try:
            self._last = time.monotonic(), self._meter.read()
        except (OSError, ValueError):  # closed to this user since
            return None
        if before is None or self._last[0] <= before[0]:
            return None
        return (self._last[1] - before[1]) / (self._last[0] - before[0])


@cache
def _cpu_power() -> _CpuPower:
    return _CpuPower()


def _read_devices() -> dict[str, dict[str, float]]:
    names = {device.uuid: device.name for device in devices.nvidia_devices()}
    program = shutil.which("nvidia-smi")
    if not names or program is None:
        return {}
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parsed(output, names)


def parsed(output: str, names: dict[str, str]) -> dict[str, dict[str, float]]:
    """Parse what the driver's tool prints, a device a line; `names`: of devices by UUID.

    >>> parsed("GPU-a, 91, 2, 8, 228.10", {"GPU-a": "cuda:0"})["cuda:0"]
    {'busy': 0.91, 'memory': 2097152.0, 'memory_total': 8388608.0, 'power': 228.1}
    >>> parsed("GPU-a, [N/A], 2, 8, [N/A]", {"GPU-a": "cuda:0"})["cuda:0"]
    {'memory': 2097152.0, 'memory_total': 8388608.0}
    """
    scales = {"busy": 0.01, "memory": 2**20, "memory_total": 2**20, "power": 1.0}
    read: dict[str, dict[str, float]] = {}
    for line in output.splitlines():
        uuid, *values = (part.strip() for part in line.split(","))
        if uuid not in names or len(values) != len(scales):
            continue
        read[names[uuid]] = {
            name: float(value) * scale
            for (name, scale), value in zip(scales.items(), values, strict=True)
            if value.replace(".", "", 1).isdigit()  # not what the driver does not know
        }
    return read
