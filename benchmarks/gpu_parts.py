"""Parts of the measurement of a device, each a process of its own that prints lines of JSON.

python -m benchmarks.gpu_parts PART cuda|cpu quick|whole SECONDS
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from backend.claims.report import Result
from benchmarks.gpu import ROOT
from benchmarks.report import Report

JOULES_APART = 0.10
"""Share by which the counter of joules and power summed over time may differ."""


class Streamed(Report):
    """Report whose results and claims are printed as they are added, one line of JSON each."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # what libraries print must not come between the lines
        self._file = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def say(self, kind: str, value: Any) -> None:
        print(json.dumps([kind, value]), file=self._file, flush=True)

    def add(
        self, case: str, subject: str, metric: str, unit: str, values: Sequence[float]
    ) -> Result:
        result = super().add(case, subject, metric, unit, values)
        self.say("result", asdict(result))
        return result

    def claim_at_most(self, text: str, value: float, target: float, unit: str = "") -> None:
        super().claim_at_most(text, value, target, unit)
        self.say("claim", asdict(self.claims[-1]))

    def claim_at_least(self, text: str, value: float, target: float, unit: str = "") -> None:
        super().claim_at_least(text, value, target, unit)
        self.say("claim", asdict(self.claims[-1]))

    def note(self, text: str) -> None:
        self.say("note", text)

    def curve(self, name: str, values: Sequence[float]) -> None:
        self.say("curve", {"name": name, "values": list(values)})

    @contextlib.contextmanager
    def attempt(self, text: str) -> Iterator[None]:
        """Do something that may fail without ending the part: it is a claim that does not hold."""
        try:
            yield
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            words = f"{type(error).__name__}: {lines[0] if lines else ''}"
            self.claim_at_most(f"{text}: errors ({words})", 1, 0)


@dataclass(frozen=True)
class Bench:
    """Everything that a part is given."""

    report: Streamed
    device: torch.device
    quick: bool
    deadline: float
    """of the monotonic clock: what would end later is left out"""

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def synchronise(self) -> None:
        """Wait until the device has done all its work."""
        if self.on_gpu:
            torch.cuda.synchronize()


def facts(bench: Bench) -> None:
    """Versions, the device, and how fast it multiplies and copies."""
    report = bench.report
    report.note(f"torch {torch.__version__}, Python {sys.version.split()[0]}.")
    report.claim_at_least("Python, minor version", sys.version_info.minor, 11)
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    report.claim_at_least("torch, 100 major + minor version", 100 * major + minor, 211)
    if bench.on_gpu:
        properties = torch.cuda.get_device_properties(bench.device)
        report.note(
            f"{properties.name}, {properties.multi_processor_count} multiprocessors, capability "
            f"{properties.major}.{properties.minor}, CUDA {torch.version.cuda}, "
            f"cuDNN {torch.backends.cudnn.version()}, {torch.cuda.device_count()} device(s)."
        )
        report.add("device", "memory", "in all", "GiB", [properties.total_memory / 2**30])
    size = 256 if bench.quick else 8192
    for name in ("float32", "bfloat16"):
        with report.attempt(f"matrix product, {name}"):
            a, b = (
                torch.randn(size, size, device=bench.device).to(getattr(torch, name))
                for _ in range(2)
            )
            seconds = timed(bench, lambda a=a, b=b: torch.mm(a, b), 10)  # type: ignore[misc]
            rate = 2 * size**3 / seconds / 1e12
            report.add(f"product of {size} squared", name, "rate", "TFLOP/s", [rate])
    with report.attempt("copy"):
        source = torch.randn(2**20 if bench.quick else 2**29, device=bench.device)
        target = torch.empty_like(source)
        seconds = timed(bench, lambda: target.copy_(source), 10)
        report.add("copy", "device", "rate", "GB/s", [8 * source.numel() / seconds / 1e9])


def timed(bench: Bench, act: Callable[[], Any], times: int) -> float:
    """Seconds of one call, after three that do not count."""
    for _ in range(3):
        act()
    bench.synchronise()
    began = time.perf_counter()
    for _ in range(times):
        act()
    bench.synchronise()
    return (time.perf_counter() - began) / times


def nccl(bench: Bench) -> None:
    """Rows of an energy shared in a group of one process: NCCL's operations on one device."""
    import torch.distributed as dist

    from backend.energies.mlp import MLPConfig, MLPEnergy
    from backend.networks import row_sharing
    from backend.randomness import generator_of
    from jobs.execution import process_team

    report = bench.report
    network = MLPEnergy(MLPConfig(), torch.Size([2]), generator_of("nccl")).to(bench.device)
    x = torch.randn(257, 2, device=bench.device, requires_grad=True)
    with tempfile.TemporaryDirectory() as folder:
        process_team.join(Path(folder), 0, 1, bench.device)
        answers = []
        for energy in (network, lambda x: row_sharing.shared(network, x, None)):
            value = energy(x)
            wanted = [x, *network.parameters()]
            answers.append([value, *torch.autograd.grad(value.square().sum(), wanted)])
        apart = max(float((a - b).abs().max()) for a, b in zip(*answers, strict=True))
        report.claim_at_most("shared rows, energies and gradients apart from those alone", apart, 0)
        process_team.send(process_team.STEP, 0.5)
        flat = torch.ones(2**16 if bench.quick else 2**26, device=bench.device)
        seconds = timed(bench, lambda: dist.all_reduce(flat), 5)
        report.add("group of one", "all-reduce", "time", "ms", [1000 * seconds])
        report.claim_at_most("sum over one process, away from 1", float((flat - 1).abs().max()), 0)
        report.note(f"process group: {dist.get_backend()}.")
        dist.destroy_process_group()


def joules(bench: Bench) -> None:
    """The device's counter of joules against its power summed over time, under load."""
    from jobs.system.joule_meter import meter, nvml_handle

    report = bench.report
    measure = meter(bench.device)
    if measure is None:
        report.note(f"joules: nothing measures them on {bench.device}.")
        if bench.on_gpu:
            report.claim_at_least("joules: counters that can be read", 0, 1)
        return
    size = 256 if bench.quick else 8192
    a = torch.randn(size, size, device=bench.device)
    seconds = 0.3 if bench.quick else min(8.0, bench.seconds_left - 5)
    ended, powers = threading.Event(), []

    def watch() -> None:
        import pynvml

        handle = nvml_handle(bench.device)
        while not ended.wait(0.02):
            powers.append((time.perf_counter(), pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3))

    thread = threading.Thread(target=watch, daemon=True)
    if bench.on_gpu:
        thread.start()

    def work(until: float) -> None:
        while time.perf_counter() < until:
            torch.mm(a, a)
            bench.synchronise()

    work(time.perf_counter() + 0.25 * seconds)  # power is a mean over the last second
    began, first = time.perf_counter(), measure.read()
    work(began + seconds)
    counted, ended_at = measure.read() - first, time.perf_counter()
    ended.set()
    report.add("joules", "counter", "power", "W", [counted / (ended_at - began)])
    if not bench.on_gpu:
        return
    thread.join()
    within = [(at, watts) for at, watts in powers if began <= at <= ended_at]
    summed = sum(
        0.5 * (one + two) * (later - earlier)
        for (earlier, one), (later, two) in itertools.pairwise(within)
    ) * ((ended_at - began) / (within[-1][0] - within[0][0]))
    report.add("joules", "power over time", "power", "W", [summed / (ended_at - began)])
    report.claim_at_most(
        "joules: counter apart from power over time, share", abs(counted / summed - 1), JOULES_APART
    )


IN_A_FORK = """
import multiprocessing, os, sys
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
from jobs.queueing import worker
worker.preload()
import torch
assert not torch.cuda.is_initialized(), "importing has initialised CUDA"
torch.cuda.is_available()
assert not torch.cuda.is_initialized(), "a look has initialised CUDA"
def job():
    os.environ["CUDA_VISIBLE_DEVICES"], os.environ["BASIN_WORKER"] = sys.argv[1], "gpu"
    from jobs.models.method_setup import find_device
    device = find_device(sys.argv[2])
    x = torch.ones(64, 64, device=device)
    count = torch.cuda.device_count() if device.type == "cuda" else 0
    print(device, count, float((x @ x).sum()), flush=True)
process = multiprocessing.get_context("fork").Process(target=job)
process.start(); process.join(60); sys.exit(process.exitcode)
"""


def workers(bench: Bench) -> None:
    """Every device seen alone by a process forked as a worker forks one for a job."""
    from jobs.system import devices

    report, here = bench.report, devices.nvidia_devices()
    if bench.on_gpu:
        apart = abs(len(here) - torch.cuda.device_count())
        report.claim_at_most("devices by the driver's tool, apart from CUDA's count", apart, 0)
    asked = [(one.selector, one.name, "cuda:0 1 262144.0") for one in here]
    for selector, name, wanted in [*asked, ("", "auto", "cpu 0 262144.0")]:
        done = subprocess.run(
            [sys.executable, "-c", IN_A_FORK, selector, name],
            capture_output=True,
            text=True,
            timeout=max(bench.seconds_left, 1),
            cwd=ROOT,
        )
        answer = done.stdout.strip()
        if answer != wanted or done.returncode:
            lines = done.stderr.strip().splitlines()
            report.note(f"{name}: said {answer!r}, {lines[-1] if lines else 'no error'}.")
        text = f"a fork for {name} sees that device alone and computes"
        report.claim_at_least(text, float(answer == wanted and not done.returncode), 1)


def tests(bench: Bench) -> None:
    """The tests marked `gpu`, one process, each with its outcome."""
    report = bench.report
    marked = [path for path in ROOT.glob("tests/**/test_*.py") if "mark.gpu" in path.read_text()]
    with tempfile.TemporaryDirectory() as folder:
        outcomes = Path(folder) / "outcomes.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider"]
        if bench.quick:
            command.append("--collect-only")
        command += [f"--junitxml={outcomes}", *map(str, sorted(marked))]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        cases = list(ElementTree.parse(outcomes).iter("testcase")) if outcomes.exists() else []
        output = (done.stdout + done.stderr).strip().splitlines()
    if bench.quick:
        report.claim_at_most("collecting the tests marked gpu, exit code", done.returncode, 0)
        return
    wrong = [
        case for case in cases if any(case.find(tag) is not None for tag in ("failure", "error"))
    ]
    skipped = [case for case in cases if case.find("skipped") is not None]
    for case in cases:
        report.add(case.get("name", ""), "test", "time", "s", [float(case.get("time", 0))])
    for case in wrong:
        reasons = [node.get("message") for node in case if node.tag in ("failure", "error")]
        report.note(f"{case.get('name')}: {reasons[0]}")
    if not cases:
        report.note(f"tests: {output[-1] if output else 'no word'}")
    report.claim_at_most("tests marked gpu that failed", len(wrong), 0)
    if bench.on_gpu:
        report.claim_at_least("tests marked gpu that ran", len(cases) - len(skipped), 1)


def main(arguments: list[str]) -> None:
    name, device, size, seconds = arguments
    from benchmarks import gpu_paths, gpu_samplers, gpu_training

    parts: dict[str, Callable[[Bench], None]] = {
        "facts": facts,
        "samplers": gpu_samplers.samplers,
        "training": gpu_training.training,
        "precision": gpu_training.precision,
        "compiled": gpu_training.compiled,
        "waits": gpu_paths.waits,
        "runs": gpu_paths.runs,
        "resume": gpu_paths.resume,
        "nccl": nccl,
        "joules": joules,
        "workers": workers,
        "tests": tests,
    }
    from jobs.models.method_setup import find_device

    deadline = time.monotonic() + float(seconds)
    bench = Bench(Streamed(name), find_device(device), size == "quick", deadline)
    parts[name](bench)


if __name__ == "__main__":
    main(sys.argv[1:])
