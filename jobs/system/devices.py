"""NVIDIA devices of this machine, by the driver's own tool: no torch, no CUDA, no NVML.

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
    """NVIDIA device as this process may use it."""

    name: str
    """cuda:0, cuda:1, ... in the order of CUDA_VISIBLE_DEVICES"""
    model: str
    """the driver's name for it"""
    selector: str
    """value of CUDA_VISIBLE_DEVICES that shows it alone"""
    uuid: str = ""

    @property
    def is_slice(self) -> bool:
        """Return True for a slice of a device (MIG), which CUDA shows to a process alone."""
        return self.uuid.startswith("MIG-")


@cache
def nvidia_devices() -> tuple[Device, ...]:
    """List the devices the driver shows, less those that CUDA_VISIBLE_DEVICES hides.

    One that is cut into slices is these.
    """
    listed = _listed()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        followers = [index for index, _, _ in listed[1:]] + ["none"]
        selectors = [
            index or uuid
            for (index, _, uuid), after in zip(listed, followers, strict=False)
            if not index or after  # a device whose next line is of a slice is cut
        ]
    else:
        selectors = [part.strip() for part in visible.split(",") if part.strip() not in ("", "-1")]
    devices = []
    for number, selector in enumerate(selectors):
        matching = [
            (model, uuid)
            for index, model, uuid in listed
            if selector == index or uuid.startswith(selector)
        ]
        if not matching:
            break  # CUDA, too, stops at the first entry it does not know
        model, uuid = matching[0]
        devices.append(Device(f"cuda:{number}", model, selector, uuid))
    return tuple(devices)


def _listed() -> list[tuple[str, str, str]]:
    """List (index, model, UUID) of every device; [] without a driver.

    A slice of a device (MIG) comes after it, without an index: CUDA takes its UUID alone.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        output = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    listed: list[tuple[str, str, str]] = []
    model = ""
    for line in output.stdout.splitlines():
        if match := re.match(r"GPU (\d+): (.+?) \(UUID: ([^)]+)\)", line):
            model = match[2]
            listed.append((match[1], model, match[3]))
        elif match := re.match(r"\s+MIG (\S+)\s.*\(UUID: (MIG-[^)]+)\)", line):
            listed.append(("", f"{model}, MIG {match[1]}", match[2]))
    return listed


def training_devices() -> list[str]:
    """List the devices that get a train worker each.

    BASIN_DEVICES (`cpu`, `cuda:0,cuda:1`, or UUIDs of devices and slices), else every visible
    NVIDIA device, else the CPU. Raises BadInput.
    """
    setting = os.environ.get("BASIN_DEVICES", "")
    if names := [part.strip() for part in setting.split(",") if part.strip()]:
        return [definite(name) for name in names]
    return [device.name for device in nvidia_devices()] or ["cpu"]


def definite(name: str) -> str:
    """Resolve a device name: auto is the first NVIDIA device, else the CPU.

    A UUID, or the start of one, names a device or a slice (MIG) as the driver does. Raises BadInput
    for one that is not here.
    """
    here = [device.name for device in nvidia_devices()]
    if re.match(r"(GPU|MIG)-", name):
        fitting = [device.name for device in nvidia_devices() if device.uuid.startswith(name)]
        if len(fitting) == 1:
            return fitting[0]
        uuids = ", ".join(device.uuid for device in nvidia_devices()) or "none"
        how = "fits several devices" if fitting else "is not here"
        raise BadInput.at("device", f"`{name}` {how}; UUIDs found: {uuids}.")
    if name == "auto":
        return here[0] if here else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise BadInput.at("device", f"must be auto, cpu, cuda:N or a UUID, got {name!r}.")
    name = "cuda:0" if name == "cuda" else name
    if name != "cpu" and name not in here:
        names = ", ".join(here) or "none"
        raise BadInput.at("device", f"`{name}` is not here; NVIDIA devices found: {names}.")
    return name


def model_of(name: str) -> str:
    """Describe a device: the driver's name for it, or the number of CPU cores."""
    for device in nvidia_devices():
        if device.name == name:
            return device.model
    return f"{os.cpu_count()} CPU cores"


def selectors_of(name: str) -> list[str]:
    """List the CUDA_VISIBLE_DEVICES entries that show a device first, then all others in a ring.

    [] for the CPU. A slice is shown alone, as CUDA does.
    """
    here = list(nvidia_devices())
    first = next((place for place, device in enumerate(here) if device.name == name), None)
    if first is None:
        return []
    if here[first].is_slice:
        return [here[first].selector]
    return [one.selector for one in here[first:] + here[:first] if not one.is_slice]
