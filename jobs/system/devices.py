"""Which NVIDIA devices are here, as the driver's own tool tells: no torch, no CUDA, no NVML.

A process that is going to fork must not touch CUDA, and `nvidia-smi` touches nothing here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from backend.errors import BadInput


@dataclass(frozen=True)
class Device:
    """One NVIDIA device as this process may use it."""

    name: str
    """cuda:0, cuda:1, ... in the order of CUDA_VISIBLE_DEVICES"""
    model: str
    """what the driver calls it"""
    selector: str
    """what CUDA_VISIBLE_DEVICES must hold to see it alone"""


@cache
def nvidia_devices() -> tuple[Device, ...]:
    """The devices the driver shows, less those that CUDA_VISIBLE_DEVICES hides."""
    listed = _listed()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        selectors = [index for index, _, _ in listed]
    else:
        selectors = [part.strip() for part in chosen.split(",") if part.strip() not in ("", "-1")]
    devices = []
    for number, selector in enumerate(selectors):
        models = [m for index, m, uuid in listed if selector == index or uuid.startswith(selector)]
        if not models:
            break  # CUDA, too, stops at the first entry it does not know
        devices.append(Device(f"cuda:{number}", models[0], selector))
    return tuple(devices)


def _listed() -> list[tuple[str, str, str]]:
    """(index, model, UUID) of every device; [] without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        found = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+): (.+?) \(UUID: ([^)]+)\)", found.stdout, flags=re.MULTILINE)


def training_devices() -> list[str]:
    """Devices that get a train worker each: BASIN_DEVICES (`cpu` or `cuda:0,cuda:1`), else every
    visible NVIDIA device, else the CPU. Raises BadInput."""
    chosen = os.environ.get("BASIN_DEVICES", "")
    if names := [part.strip() for part in chosen.split(",") if part.strip()]:
        return [definite(name) for name in names]
    return [device.name for device in nvidia_devices()] or ["cpu"]


def definite(name: str) -> str:
    """A device name made definite: auto is the first NVIDIA device, else the CPU.

    Raises BadInput for one that is not here.
    """
    here = [device.name for device in nvidia_devices()]
    if name == "auto":
        return here[0] if here else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise BadInput.at("device", f"must be auto, cpu or cuda:N, got {name!r}.")
    name = "cuda:0" if name == "cuda" else name
    if name != "cpu" and name not in here:
        found = ", ".join(here) or "none"
        raise BadInput.at("device", f"`{name}` is not here; NVIDIA devices found: {found}.")
    return name


def model_of(name: str) -> str:
    """What a device is, in words: the driver's name for it, or the number of CPU cores."""
    for device in nvidia_devices():
        if device.name == name:
            return device.model
    return f"{os.cpu_count()} CPU cores"


def selectors_of(name: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES must hold to see a device and then all others, those after it
    before those that come earlier; [] for the CPU."""
    here = list(nvidia_devices())
    first = next((place for place, device in enumerate(here) if device.name == name), None)
    return [] if first is None else [one.selector for one in here[first:] + here[:first]]
