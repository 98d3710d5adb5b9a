"""Training steps on an NVIDIA device, for `benchmarks.gpu`: speed, idle time, waits, precision."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from backend import catalogue
from backend.data import Data
from backend.method import Method, Task
from backend.randomness import generator_of
from backend.spec import RunSpec
from benchmarks.gpu_parts import Bench

PERSISTENT = ("contrastive_divergence", "persistent")
LARGE = ("contrastive_divergence", "images_32")
IDLE_SHARE = 0.10
"""Largest share of a persistent-CD step in which the device waits to be told what to do."""
TIMES_FASTER = 1.5
"""bfloat16 over float32 at 32 × 32, at least."""
ROUNDING = 16 * 2**-8
"""Largest error of an energy in bfloat16, as a share of the largest energy."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
TINY: dict[str, Any] = {"features": 4, "multipliers": "1", "num_blocks": 1}
SECONDS = 4.0
"""of steps that are timed, about"""


@dataclass(frozen=True)
class Step:
    """Figures of one training step."""

    seconds: float
    busy: float
    """seconds in which a kernel or a copy was running"""
    kernels: float
    waits: float
    """calls that waited for the device"""
    to_host: float
    """copies from the device to the host"""


def set_up(
    bench: Bench, method: str, preset: str, precision: str = "float32", **config: Any
) -> Method:
    """A preset on the device, its data shipped ones in the shape of its own; nothing is fetched."""
    cls = catalogue.methods()[method]
    data = cls.presets[preset].data or {"name": "ring"}
    if bench.quick:
        config = catalogue.merge(_tiny(method, preset), config)
    spec = RunSpec(method=method, preset=preset, data=data, config=config, precision=precision)
    resolved = catalogue.resolve(spec)
    missing = bool(resolved.dataset.missing())
    loaded = resolved.dataset.stand_in() if missing else resolved.dataset.load()
    loaded = (_digits_like(loaded) if missing else loaded).to(bench.device)
    generator = generator_of("gpu", device=bench.device)
    task = Task(loaded, bench.device, generator, precision=getattr(torch, precision))
    return resolved.method(resolved.config, task)


def _tiny(method: str, preset: str) -> dict[str, Any]:
    """Settings that make a step of a preset that wants a GPU a rehearsal; {} for others."""
    settings = catalogue.methods()[method].presets[preset]
    if not settings.wants_gpu:
        return {}
    networks = [name for name, part in settings.config.items() if "features" in str(part)]
    tiny: dict[str, Any] = {**dict.fromkeys(networks, TINY), "train": {"batch_size": 4}}
    if "num_steps" in catalogue.methods()[method].Config.model_fields:
        tiny["num_steps"] = 2
    return tiny


def _digits_like(stand_in: Data) -> Data:
    """The shipped digits, blown up to the shape of images that are not here."""
    from backend.datasets.digits import DigitsConfig, DigitsData

    shape = stand_in.event_shape
    digits = DigitsData(DigitsConfig()).load()

    def blown_up(x: Tensor) -> Tensor:
        images = F.interpolate(x[:, None], size=tuple(shape[:2]), mode="bilinear")[:, 0]
        return images if len(shape) == 2 else images[..., None].expand(-1, *shape).contiguous()

    return replace(
        stand_in,
        train=blown_up(digits.train),
        held_out=blown_up(digits.held_out),
        labels=digits.labels,
        held_out_labels=digits.held_out_labels,
    )


def measured(bench: Bench, method: Method, seconds: float = SECONDS) -> Step:
    """Figures of a method's steps: time without the profiler, and what the profiler saw."""
    for progress in (0.0, 0.01, 0.02):
        method.step(progress)
    bench.synchronise()
    began, count, most = time.perf_counter(), 0, 2 if bench.quick else 200
    while count < 2 or (time.perf_counter() - began < seconds and count < most):
        method.step(0.1)
        bench.synchronise()  # else the steps queued in `seconds` take minutes
        count += 1
    each = (time.perf_counter() - began) / count
    num = 1 if each > 0.5 or bench.quick else 3
    activities = [ProfilerActivity.CPU]
    if bench.on_gpu:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as seen:
        with record_function("steps"):
            for _ in range(num):
                method.step(0.1)
        bench.synchronise()
    events = seen.events()
    span = next(event.time_range for event in events if event.name == "steps")
    # spans that the host has named are drawn on the device's line too
    on_device = [
        event
        for event in events
        if event.device_type != DeviceType.CPU and not event.is_user_annotation
    ]
    during = [event for event in events if span.start <= event.time_range.start <= span.end]
    waits = [event for event in during if event.name in WAITS]
    to_host = [event for event in on_device if "DtoH" in event.name]
    spans = [(event.time_range.start, event.time_range.end) for event in on_device]
    busy = covered(spans) / 1e6
    numbers = (len(on_device) / num, len(waits) / num, len(to_host) / num)
    return Step(each, busy / num, *numbers)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans (start, end).

    >>> covered([(0, 2), (1, 3), (5, 6)])
    4.0
    """
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def training(bench: Bench) -> None:
    """Steps of the persistent preset on points and of every preset that wants a GPU."""
    report = bench.report
    wanted = [
        (name, preset)
        for name, cls in catalogue.methods().items()
        for preset, settings in cls.presets.items()
        if settings.wants_gpu
    ]
    ordered = sorted(wanted, key=lambda pair: pair != LARGE)
    for name, preset in ordered[:2] if bench.quick else ordered:
        seconds: dict[str, float] = {}
        for precision in ("float32", "bfloat16"):
            case = f"{name} {preset}"
            with report.attempt(f"{case}, {precision}"):
                seconds[precision] = _shown(bench, name, preset, precision)
        if bench.on_gpu and len(seconds) == 2 and preset == "images_32":
            times = seconds["float32"] / seconds["bfloat16"]
            text = f"{name} {preset}: bfloat16 against float32, times as fast"
            report.claim_at_least(text, times, TIMES_FASTER)
        if (name, preset) == LARGE:
            with report.attempt("the persistent preset on points"):
                _shown(bench, *PERSISTENT, "float32")


def _shown(bench: Bench, name: str, preset: str, precision: str, **config: Any) -> float:
    """Add a preset's figures and claims; returns the seconds of a step."""
    report, case = bench.report, f"{name} {preset}"
    subject = precision + (" compiled" if config else "")
    if bench.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    method = set_up(bench, name, preset, precision, **config)
    step = measured(bench, method)
    size = method.config.train.batch_size
    report.add(case, subject, "step", "ms", [1000 * step.seconds])
    report.add(case, subject, "data points", "1/s", [size / step.seconds])
    if not bench.on_gpu:
        return step.seconds
    idle = max(0.0, 1 - step.busy / step.seconds)
    report.add(case, subject, "time the device idles", "share", [idle])
    report.add(case, subject, "kernels and copies a step", "", [step.kernels])
    report.add(case, subject, "waits for the device a step", "", [step.waits])
    report.add(case, subject, "memory, peak", "GiB", [torch.cuda.max_memory_allocated() / 2**30])
    text = f"{case}, {subject}: waits and copies to the host in a step"
    report.claim_at_most(text, step.waits + step.to_host, 0)
    if name == PERSISTENT[0] and precision == "float32":
        report.claim_at_most(f"{case}, {subject}: time the device idles", idle, IDLE_SHARE)
    return step.seconds


def precision(bench: Bench) -> None:
    """Energies of one network in both precisions, and the losses of two runs from one seed."""
    report, num = bench.report, 3 if bench.quick else 40
    small: dict[str, Any] = {} if bench.quick else {"energy": {"features": 32}, "num_steps": 10}
    methods = {name: set_up(bench, *LARGE, name, **small) for name in ("float32", "bfloat16")}
    energies = []
    for method in methods.values():
        energy = method.energy().eval()
        with torch.no_grad():
            energies.append(energy(method.task.data.held_out[:16]))
        energy.train()
    exact, rounded = energies
    error = float((rounded - exact).abs().max() / exact.abs().max())
    report.claim_at_most("energies in bfloat16, largest error over the largest", error, ROUNDING)
    curves: dict[str, list[float]] = {}
    for name, method in methods.items():
        rows = [method.step(index / num) for index in range(num)]
        for path in ("loss/total", "energy/gap"):
            values = torch.stack([row[path] for row in rows]).tolist()
            curves[f"{path} {name}"] = values
            report.curve(f"{path}, {name}", values)
            report.add("precision", name, f"{path}, last half", "", values[num // 2 :])
    finite = all(math.isfinite(value) for values in curves.values() for value in values)
    report.claim_at_least("losses and energies are finite in both precisions", float(finite), 1)
    first = curves["loss/total float32"][0]
    apart = abs(curves["loss/total bfloat16"][0] - first)
    report.add("precision", "bfloat16", "first loss, apart from float32", "", [apart])
    late = [mean(curves[f"loss/total {name}"][num // 2 :]) for name in methods]
    report.add("precision", "bfloat16", "late loss, apart from float32", "", [late[1] - late[0]])


def compiled(bench: Bench) -> None:
    """The step of the largest network as torch.compile makes it, in bfloat16."""
    if not bench.on_gpu:
        bench.report.note("compiled: left out of a rehearsal.")
        return
    _shown(bench, *LARGE, "bfloat16", energy={"compile": True})
