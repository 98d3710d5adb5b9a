"""Load of many viewers and many runs: that Basin stays as it is for long.

    python -m benchmarks.load [--quick] [--json] [--minutes N]

60 viewers of 8 runs that speak at 5 Hz, every fourth of them on the list of all runs too; 5,000
runs in the home, 200 in the queue behind one that a worker trains. Of every process of Basin, and
of those that speak: its memory, and how much that grew by the line through it after a warm-up, in
percent. Of what was said: how long it took from the moment the loop said it to its arrival at a
viewer. The streams in Redis are full to their caps from the start, as after hours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from backend.events import Cost, Points
from backend.spec import Budget, RunSpec
from benchmarks.live_stage import HZ, apart, percentile
from benchmarks.live_work import NAMES, Basin, Viewer, cpu_seconds, running, speaking
from benchmarks.report import Report
from jobs.execution.emitter import Emitter
from jobs.queueing import control, enqueue, redis_store
from jobs.records import run_store, status
from jobs.records.run_directory import RunDirectory

NUM_VIEWERS, NUM_RUNS, NUM_KEPT, NUM_QUEUED = 60, 8, 5000, 200
MINUTES = 30.0
MOST_GROWTH = 5.0
"""percent"""
MOST_SECONDS = 0.3
"""from said to arrived, p95"""
_ENERGY = """
import time
event_shape = (2,)
def energy(x):
    time.sleep(0.05)
    return 0.5 * x.square().sum(1)
"""


@dataclass
class Load:
    """Sizes of the load, and its duration."""

    warm_up: float
    seconds: float
    every: float
    """seconds between two looks at the processes"""


def run(minutes: float, quick: bool) -> Report:
    """Measure once."""
    seconds = 60 * minutes
    load = Load(0.1 * seconds, 0.9 * seconds, 10.0) if not quick else Load(12.0, 24.0, 1.0)
    report = Report("load")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "home") as basin:
        _fill_home(NUM_KEPT)
        _fill_queue(Path(folder), NUM_QUEUED)
        runs = [_with_past() for _ in range(NUM_RUNS)]
        with contextlib.ExitStack() as stack:
            spoken = load.warm_up + load.seconds + 60
            speakers = [stack.enter_context(speaking(each, HZ, spoken)).pid for each in runs]
            _measure(report, load, basin, runs, speakers)
        report.add("a look at all runs", "basin", "artifacts.list_runs", "ms of CPU", _looks())
    return report


def _measure(
    report: Report, load: Load, basin: Basin, runs: list[RunDirectory], speakers: list[int]
) -> None:
    viewers = [
        Viewer(
            basin.address,
            runs[number % len(runs)].id,
            counts_only=number >= len(runs),
            also=("runs",) if number % 4 == 3 else (),
        )
        for number in range(NUM_VIEWERS)
    ]
    sizes: dict[str, list[float]] = {}
    shares: dict[str, float] = {}

    async def go() -> None:
        until = asyncio.Event()
        tasks = [asyncio.create_task(viewer.watch(until)) for viewer in viewers]
        await asyncio.sleep(load.warm_up)
        for viewer in viewers:
            viewer.delays.clear()
            viewer.messages = 0
        named = dict(_processes(basin, speakers))
        before = {name: cpu_seconds(process) for name, process in named.items()}
        began = time.monotonic()
        while time.monotonic() < began + load.seconds:
            for name, process in named.items():
                with contextlib.suppress(psutil.Error):
                    sizes.setdefault(name, []).append(process.memory_info().rss / 1e6)
            await asyncio.sleep(load.every)
        for name, process in named.items():
            with contextlib.suppress(psutil.Error):
                used = cpu_seconds(process) - before[name]
                shares[name] = 100 * used / (time.monotonic() - began)
        until.set()
        await asyncio.gather(*tasks)

    apart(go())
    _report(report, load, viewers, sizes, shares)


def _report(
    report: Report,
    load: Load,
    viewers: list[Viewer],
    sizes: dict[str, list[float]],
    shares: dict[str, float],
) -> None:
    case = (
        f"{NUM_VIEWERS} viewers, {NUM_RUNS} runs at {HZ:g} Hz, {NUM_KEPT:,} kept, "
        f"{NUM_QUEUED} queued"
    )
    delays = [delay for viewer in viewers for delay in viewer.delays]
    report.add(case, "basin", "said to arrived, p50", "s", [percentile(delays, 0.5)])
    report.add(case, "basin", "said to arrived, p95", "s", [percentile(delays, 0.95)])
    report.claim_at_most("said to arrived, p95", percentile(delays, 0.95), MOST_SECONDS, "s")
    fewest = min(viewer.messages for viewer in viewers) / load.seconds
    report.add(case, "basin", "messages to the viewer that got fewest", "1/s", [fewest])
    report.claim_at_least("messages to the viewer that got fewest", fewest, 0.9 * HZ, "1/s")
    full = len(max(sizes.values(), key=len))
    for name, values in sizes.items():
        if len(values) < full:
            report.notes.append(f"{name} ended while it was measured")
            continue
        growth = _growth(values)
        report.add(name, "basin", "memory", "MB", values)
        report.add(name, "basin", "CPU", "% of a core", [shares.get(name, float("nan"))])
        report.add(name, "basin", "growth", "%", [growth])
        report.claim_at_most(
            f"growth of {name} in {load.seconds / 60:.3g} min", growth, MOST_GROWTH, "%"
        )


def _growth(values: list[float]) -> float:
    """Percent that the straight line through them rises from its start to its end."""
    slope, start = np.polyfit(np.arange(len(values)), values, 1)
    return float(100 * slope * (len(values) - 1) / start)


def _processes(basin: Basin, speakers: list[int]) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of Basin, by what it does."""
    supervisor = psutil.Process(basin.process.pid)
    yield "supervisor", supervisor
    kinds = {
        "streamlit": "dashboard",
        "redis-server": "Redis",
        "valkey-server": "Redis",
        "--queue check": "check worker",
        "quick": "quick worker",
        "train": "train worker",
    }
    seen: dict[str, int] = {}
    for process in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = " ".join(process.cmdline())
            name = next((kind for word, kind in kinds.items() if word in words), "other")
            seen[name] = seen.get(name, 0) + 1
            # what a worker forks to do a job bears its command line
            yield (name if seen[name] == 1 else f"{name}, {seen[name]}"), process
    for number, pid in enumerate(speakers, 1):
        yield f"run {number}", psutil.Process(pid)


# ---------------------------------------------------------------------- what is there at first


def _fill_home(num: int) -> None:
    """Finished runs of some days, as small as they come."""
    spec = RunSpec(method="contrastive_divergence", data={"name": "ring"})
    folder, text = run_store.runs_folder(), spec.to_yaml()
    now = time.time()
    for number in range(num):
        when = now - 86_400 - 60 * number
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(when))
        path = folder / f"{stamp}-{number:04x}"
        path.mkdir(mode=0o700)
        (path / "spec.yaml").write_text(text)
        first = status.from_spec(path.name, spec)
        old = replace(first, status="finished", created=when, updated=when, ended=when)
        (path / "status.json").write_text(json.dumps(old.as_dict()))


def _fill_queue(folder: Path, num: int) -> None:
    """One run that a worker trains slowly, and runs that wait behind it."""
    path = folder / "slow.py"
    path.write_text(_ENERGY)
    slow = RunSpec(
        method="sampling",
        data={"name": "energy_file", "path": str(path)},
        config={
            "num_chains": 8,
            "num_steps": 10,
            "num_warm_up": 0,
            "sampler": {"kind": "langevin", "step_size": 0.05},
        },
        budget=Budget(steps=1_000_000),
    )
    first = run_store.open_run(enqueue.launch(slow))
    deadline = time.monotonic() + 60
    while first.status().status != "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    if first.status().status != "running":
        raise RuntimeError(f"the run before the queue is {first.status()}")
    waiting = RunSpec(method="contrastive_divergence", data={"name": "ring"})
    for seed in range(num):
        enqueue.launch(waiting.model_copy(update={"seed": seed}))
    if len(control.queued()) < num:
        raise RuntimeError("the queue did not fill")


def _with_past() -> RunDirectory:
    """A run that has said as much as its streams in Redis hold."""
    run = run_store.create_run(
        RunSpec(
            method="contrastive_divergence", data={"name": "ring"}, budget=Budget(steps=10_000_000)
        )
    )
    emitter = Emitter(run, redis_store.Publisher(run.id))
    points = np.zeros((512, 2), np.float32)
    num_frames = redis_store.STREAM_BYTES[redis_store.FRAMES] // points.nbytes
    num_blocks = redis_store.STREAM_BYTES[redis_store.SCALARS] // 300
    per_frame = num_blocks // num_frames
    for step in range(1, num_blocks + 1):
        cost = Cost(step, 21 * step, step / 100, None)
        emitter.scalars(NAMES, np.zeros((1, len(NAMES)), np.float32), cost, cost)
        if step % per_frame == 0:
            emitter.event(Points("samples/train_time", points, "train_time"), cost)
        if step % 1000 == 0:
            emitter.flush()
    emitter.close()
    return run


def _looks() -> list[float]:
    """CPU of a look at the list when little of it has changed."""
    run_store.list_runs()
    looks = []
    for _ in range(5):
        before = time.process_time()
        run_store.list_runs()
        looks.append(1000 * (time.process_time() - before))
    return looks


def main() -> None:
    """Measure and print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="about a minute in all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of load, warm-up included")
    arguments = parser.parse_args()
    report = run(arguments.minutes, arguments.quick)
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
