"""What judging and showing a sampler costs the sampling itself.

    python -m benchmarks.sampling_cost [--quick] [--json]

The same chains, steps and seed, in turn: the bare kernel; the method, which also keeps account of
its draws; a run with and without its diagnostics; and a run that is streamed to a real Redis. All
figures are CPU time of the whole process, threads included, of one core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import torch

from backend.spec import Budget, RunSpec
from benchmarks.report import Report
from jobs import artifacts, loop, store
from jobs.prepare import prepare
from jobs.redis_server import RedisServer

CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "Langevin on the ring": ("ring", {"kind": "langevin"}, 600),
    "HMC on the double well": ("double_well", {"kind": "hmc"}, 600),
}
"""Data, sampler and points of the curves; all else as it comes."""
DIAGNOSTICS_SHARE, STREAMING_SHARE = 2.0, 1.0
"""Most that each may cost, in per cent."""
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    given = parser.parse_args()
    run(quick=given.quick).show(given.json)


def run(quick: bool = False) -> Report:
    """Every case in rounds, the subjects in turn within each."""
    torch.set_num_threads(1)
    report = Report("sampling_cost")
    with tempfile.TemporaryDirectory(prefix="basin-cost-") as folder:
        os.environ["BASIN_HOME"] = folder
        server = RedisServer(Path(folder) / "redis", Path(folder) / "redis.log")
        process = server.start()
        try:
            server.wait_until_ready()
            for name, (data, sampler, points) in CASES.items():
                spec = RunSpec(
                    method="sampling", data={"name": data}, config={"sampler": sampler},
                    budget=Budget(steps=points // 20 if quick else points),
                )  # fmt: skip
                _case(report, name, spec, server.url, rounds=1 if quick else 5)
        finally:
            process.terminate()
            process.wait()
    return report


def _case(report: Report, name: str, spec: RunSpec, url: str, rounds: int) -> None:
    subjects: dict[str, Callable[[], float]] = {
        "kernel": lambda: _bare(spec),
        "method": lambda: _method(spec),
        "run, unwatched": lambda: _run(spec, watched=False),
        "run, diagnosed": lambda: _run(spec, watched=True),
        "run, streamed": lambda: _run(spec, watched=True, url=url),
    }
    seconds: dict[str, list[float]] = {subject: [] for subject in subjects}
    for _ in range(rounds):
        for subject, work in subjects.items():
            seconds[subject].append(work())
    for subject, values in seconds.items():
        report.add(name, subject, "CPU time", "s", values)
    kernel, counted, unwatched, diagnosed, streamed = (
        report.results[index].median for index in range(-5, 0)
    )
    account = 100 * (counted - kernel) / kernel
    looks = 100 * (diagnosed - unwatched) / kernel
    text = f"{name}: diagnostics, of the sampling"
    report.claim_at_most(text, account + looks, DIAGNOSTICS_SHARE, "%")
    share = 100 * (streamed - diagnosed) / kernel
    report.claim_at_most(f"{name}: streaming, of the sampling", share, STREAMING_SHARE, "%")


def _bare(spec: RunSpec) -> float:
    """Nothing but the kernel's own steps, tuned in the warm-up as in a run."""
    method: Any = prepare(spec, CPU, None).method
    num = (spec.budget.steps or 0) * method.num_steps
    state, kernel = method.state, method.kernel
    began = time.process_time()
    for index in range(num):
        state, info = kernel.step(state, method.target, method.generator)
        if index < method.config.num_warm_up:
            state = kernel.tune(state, info, index, method.config.num_warm_up)
    return time.process_time() - began


def _method(spec: RunSpec) -> float:
    method = prepare(spec, CPU, None).method
    began = time.process_time()
    for _ in range(spec.budget.steps or 0):
        method.step(0.0)
    return time.process_time() - began


def _run(spec: RunSpec, watched: bool, url: str | None = None) -> float:
    directory = artifacts.create_run(spec)
    publisher = None if url is None else store.Publisher(directory.id, url)
    observe = loop.observe_all if watched else lambda prepared: None
    began = time.process_time()
    status = loop.run(directory, publisher=publisher, observe=observe)
    spent = time.process_time() - began
    if status.status != "finished":
        raise RuntimeError(f"the run ended {status.status}: {status.reason}")
    if url is not None:
        with redis.Redis.from_url(url) as client:
            client.flushall()
    return spent


if __name__ == "__main__":
    main()
