"""Joule meter: the energy that devices take, and a stopwatch of seconds and joules.

From counters of the hardware: NVML for an NVIDIA device (the device alone, whoever works on it),
RAPL for a CPU (the whole package, other work on it included). Of an NVIDIA device without a
counter its power is sampled. Where a person gives the watts of the CPU in BASIN_CPU_WATTS, a CPU
without a counter is estimated as CodeCarbon does by load. Else joules are unknown.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from backend.errors import BadInput

if TYPE_CHECKING:
    import torch

RAPL = Path("/sys/class/powercap")
WATTS = "BASIN_CPU_WATTS"
COUNTER, SAMPLED, ESTIMATE = "counter", "sampled", "estimate"
SOURCES = (COUNTER, SAMPLED, ESTIMATE)
"""Sources of joules, the surest first."""
SAMPLE_SECONDS = 0.1
"""Between two looks at a power that is sampled."""

Counter = Callable[[], float]
"""Joules since some moment in the past."""


@dataclass(frozen=True)
class Meter:
    """Meter of joules, with what it stands for."""

    read: Counter
    source: str
    """one of SOURCES"""
    of: str
    """what is measured and by what: the same for all that share a counter on one machine"""


def meter(*devices: torch.device) -> Meter | None:
    """Find the best meter of the devices; None where one of them has none that can be read.

    Raises BadInput for a BASIN_CPU_WATTS that is no number of watts.
    """
    if devices[0].type != "cuda":
        return of_cpu() if len(devices) == 1 else rapl(RAPL)
    parts = [part for device in devices if (part := _nvml(device)) is not None]
    if len(parts) < len(devices):
        return None
    return Meter(
        lambda: sum(part.read() for part in parts),
        max((part.source for part in parts), key=SOURCES.index),
        ", ".join(part.of for part in parts),
    )


def of_cpu() -> Meter | None:
    """Find the CPU's counter, else its estimate where a person gives its watts, else None.

    Raises BadInput for a BASIN_CPU_WATTS that is no number of watts.
    """
    return rapl(RAPL) or _by_load()


def absence() -> str:
    """Explain why joules of the CPU are not measured here, and what helps; "" where they are."""
    if rapl(RAPL) is not None:
        return ""
    closed = [path for path in RAPL.glob("intel-rapl:*/energy_uj") if not os.access(path, os.R_OK)]
    why = (
        f"{closed[0]} is not readable to this user; `sudo chmod a+r` makes it so."
        if closed
        else f"no RAPL counter in {RAPL}, as in most virtual machines."
    )
    return f"{why} {WATTS}=65, say, estimates by the CPU's load."


# ------------------------------------------------------------------------------ NVIDIA devices


def nvml_handle(device: torch.device) -> Any:
    """Find NVML's handle of an NVIDIA device by its UUID, which no environment variable renumbers.

    Raises whatever NVML does. A slice of a device (MIG) has no counter of its own: NVMLError.
    """
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(_uuid(device))


def nvml_handles(devices: Iterable[torch.device]) -> list[Any]:
    """Find the handles of the NVIDIA devices among some; [] where one of them cannot be read."""
    try:
        return [nvml_handle(device) for device in devices if device.type == "cuda"]
    except Exception:  # no driver, a slice, a container that hides it
        return []


def _uuid(device: torch.device) -> str:
    import torch

    identity = str(torch.cuda.get_device_properties(device).uuid)
    return identity if identity.startswith(("GPU-", "MIG-")) else f"GPU-{identity}"


def _nvml(device: torch.device) -> Meter | None:
    """Find the counter of one device, else the sum of its sampled power, else None."""
    try:
        import pynvml

        handle, name = nvml_handle(device), _uuid(device)
    except Exception:  # no driver, a container that hides it: unknown all alike
        return None
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # a device too old, or a slice
        try:
            pynvml.nvmlDeviceGetPowerUsage(handle)
        except Exception:
            return None
        return Meter(_sampled_nvml(name).read, SAMPLED, f"NVML power of {name}")
    return Meter(
        lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3,
        COUNTER,
        f"NVML counter of {name}",
    )


@cache
def _sampled_nvml(name: str) -> SampledPower:
    """Sample the power of a device; all who ask in this process share one thread."""
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByUUID(name)
    return SampledPower(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3)


class SampledPower:
    """Joules as the integral of a sampled power, by trapezoids; NaN once it cannot be read."""

    def __init__(self, watts: Callable[[], float], every: float = SAMPLE_SECONDS) -> None:
        self._watts, self._every = watts, every
        self._lock = threading.Lock()
        self._at, self._power, self._joules = time.perf_counter(), watts(), 0.0
        threading.Thread(target=self._sample, name="power", daemon=True).start()

    def read(self) -> float:
        """Read the joules since the start."""
        with self._lock:
            try:
                power = self._watts()
            except Exception:  # what was missed is unknown for good
                self._joules = math.nan
                return self._joules
            now = time.perf_counter()
            self._joules += (now - self._at) * (self._power + power) / 2
            self._at, self._power = now, power
            return self._joules

    def _sample(self) -> None:
        while math.isfinite(self.read()):
            time.sleep(self._every)


# ------------------------------------------------------------------------------ CPUs


def rapl(folder: Path) -> Meter | None:
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
    words = "RAPL counter of " + (
        "the CPU package" if len(packages) == 1 else f"{len(packages)} CPU packages"
    )
    return Meter(lambda: sum(package.read() for package in packages), COUNTER, words)


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


def _by_load() -> Meter | None:
    """Estimate the CPU's joules: its watts at full load, times the share of its cores' time that
    this process took; None unless a person gives the watts. Raises BadInput."""
    given = os.environ.get(WATTS, "")
    if not given:
        return None
    try:
        watts = float(given)
    except ValueError:
        watts = math.nan
    if not 0 < watts <= 10_000:
        raise BadInput.at(
            WATTS, f"must be the watts of the CPU at full load, up to 10,000, got {given!r}."
        )
    process, cores = psutil.Process(), os.cpu_count() or 1

    def read() -> float:
        times = process.cpu_times()
        return watts * float(times.user + times.system) / cores

    return Meter(read, ESTIMATE, f"{watts:g} W × this process's share of {cores} cores")


class Stopwatch:
    """Stopwatch of seconds and joules; the costs of an earlier attempt come first."""

    def __init__(
        self,
        meter: Meter | None,
        seconds: float = 0.0,
        joules: float | None = 0.0,
        source: str | None = None,
    ) -> None:
        """`source`: of the joules that come first; the less sure one of both is said."""
        self._meter = meter
        self._seconds, self._joules, self._source = seconds, joules, source
        self._since: float | None = None
        self._joules_at = 0.0

    def start(self) -> None:
        """Start or go on."""
        if self._since is None:
            self._since = time.perf_counter()
            if self._meter is not None:
                self._joules_at = self._meter.read()

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
        if self._joules is None or self._meter is None:
            return None
        if self._since is None:
            return self._joules
        joules = self._joules + self._meter.read() - self._joules_at
        return joules if math.isfinite(joules) else None

    @property
    def source(self) -> str | None:
        """Source of the joules, as a status names it; None where they are unknown."""
        if self._meter is None or self._joules is None:
            return None
        named = [name for name in (self._source, self._meter.source) if name in SOURCES]
        return max(named, key=SOURCES.index)

    @property
    def of(self) -> str:
        """Description of what measures the joules; "" where they are unknown."""
        return "" if self._meter is None or self._joules is None else self._meter.of
