"""Cost meter: wall seconds and joules of training alone.

Joules come from counters of the hardware: NVML for an NVIDIA device (the device alone), RAPL for
a CPU (the whole package, other work on it included). Where neither can be read they are unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from backend.events import Cost

RAPL = Path("/sys/class/powercap")

Counter = Callable[[], float]
"""Joules since some moment in the past."""


def joule_counter(*devices: torch.device) -> Counter | None:
    """Find a counter of the devices' energy; None where one of them has none that can be read."""
    if devices[0].type != "cuda":
        return rapl(RAPL)
    counters = [counter for counter in map(_nvml, devices) if counter is not None]
    if len(counters) < len(devices):
        return None
    return lambda: sum(counter() for counter in counters)


def nvml_handle(device: torch.device) -> Any:
    """Find NVML's handle of an NVIDIA device by its UUID, which no environment variable renumbers.

    Raises whatever NVML does. A slice of a device (MIG) has no counter of its own: NVMLError.
    """
    import pynvml

    pynvml.nvmlInit()
    identity = str(torch.cuda.get_device_properties(device).uuid)
    identity = identity if identity.startswith(("GPU-", "MIG-")) else f"GPU-{identity}"
    return pynvml.nvmlDeviceGetHandleByUUID(identity)


def nvml_handles(devices: Iterable[torch.device]) -> list[Any]:
    """Find the handles of the NVIDIA devices among some; [] where one of them cannot be read."""
    try:
        return [nvml_handle(device) for device in devices if device.type == "cuda"]
    except Exception:  # no driver, a slice, a container that hides it
        return []


def _nvml(device: torch.device) -> Counter | None:
    try:
        import pynvml

        handle = nvml_handle(device)

        def read() -> float:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

        read()
    except Exception:  # no driver, a device too old, a container that hides it: unknown all alike
        return None
    return read


def rapl(folder: Path) -> Counter | None:
    """Sum the counters of CPU packages under `folder`, through their overflow; None without any."""
    packages = []
    for path in sorted(folder.glob("intel-rapl:*")):
        if path.name.count(":") != 1:
            continue  # a part of a package, counted in it
        try:
            package = _Package(path)
            package.read()
        except (OSError, ValueError):
            return None
        packages.append(package)
    if not packages:
        return None
    return lambda: sum(package.read() for package in packages)


class _Package:
    """Energy counter of a CPU package, in microjoules, which starts over at its range."""

    def __init__(self, path: Path) -> None:
        self._file = path / "energy_uj"
        self._range = int((path / "max_energy_range_uj").read_text())
        self._last = int(self._file.read_text())
        self._total = 0

    def read(self) -> float:
        reading = int(self._file.read_text())
        self._total += (reading - self._last) % (self._range + 1)
        self._last = reading
        return self._total / 1e6


class Stopwatch:
    """Stopwatch of seconds and joules; the costs of an earlier attempt come first."""

    def __init__(
        self, counter: Counter | None, seconds: float = 0.0, joules: float | None = None
    ) -> None:
        self._counter = counter
        self._seconds, self._joules = seconds, joules
        self._since: float | None = None
        self._joules_at = 0.0

    def start(self) -> None:
        """Start or go on."""
        if self._since is None:
            self._since = time.perf_counter()
            if self._counter is not None:
                self._joules_at = self._counter()

    def stop(self) -> None:
        """Stop; time that follows does not count."""
        if self._since is not None:
            self._seconds, self._joules = self.seconds, self.joules
            self._since = None

    @property
    def seconds(self) -> float:
        if self._since is None:
            return self._seconds
        return self._seconds + time.perf_counter() - self._since

    @property
    def joules(self) -> float | None:
        """Joules; None where nothing measures them, or did not in an earlier attempt."""
        if self._joules is None or self._counter is None:
            return None
        if self._since is None:
            return self._joules
        return self._joules + self._counter() - self._joules_at

    @property
    def source(self) -> str | None:
        """Source of the joules, as a status names it; None where they are unknown."""
        return None if self._counter is None or self._joules is None else "counter"


def cost_of_row(row: int, num_rows: int, before: Cost, first_gradients: int, end: Cost) -> Cost:
    """Interpolate the cost after row 1, 2, ... of a block, the rows evenly spread in time.

    before: at the end of the last block. first_gradients: ∇E evaluations after the first row.
    end: after the last row.
    """
    if row == num_rows:
        return end
    share = row / num_rows
    joules = None
    if before.joules is not None and end.joules is not None:
        joules = before.joules + share * (end.joules - before.joules)
    along = (row - 1) / (num_rows - 1)
    return Cost(
        before.step + row,
        first_gradients + round(along * (end.gradients - first_gradients)),
        before.seconds + share * (end.seconds - before.seconds),
        joules,
    )
