"""Cost of judging and showing a sampler, to the sampling itself.

    python -m benchmarks.sampling_cost [--quick] [--json]

One run of the default budget of a race, streamed to a real Redis, with a stopwatch around its
parts: the kernel's steps; the statistics of the draws and the looks, which are the diagnostics; and
what is said, by the loop's own thread and by the one that writes and sends it, the streaming. All
are CPU time within one run: two runs of one piece of work differ by more than is looked for.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
import torch

from backend import catalogue, samplers
from backend.observe.draw_statistics import DrawStatistics
from backend.spec import Budget, RunSpec
from benchmarks.report import Report
from jobs.execution import loop
from jobs.execution.emitter import Emitter
from jobs.execution.observation_schedule import ObservationSchedule
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.services.redis_server import RedisServer

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "Langevin on the ring": ({"name": "ring"}, {"kind": "langevin"}, 20_000),
    "HMC on the double well": ({"name": "double_well"}, {"kind": "hmc"}, 20_000),
    "NUTS on a 10-D Gaussian": ({"name": "gaussian"}, {"kind": "nuts"}, 20_000),
}
"""Data, sampler and gradients of the budget; all else as it comes."""
DIAGNOSTICS_SHARE, STREAMING_SHARE = 2.0, 1.0
"""Most that each may cost, in per cent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short runs, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON value")
    given = parser.parse_args()
    run(quick=given.quick).show(given.json)


def run(quick: bool = False) -> Report:
    """Every case in rounds."""
    torch.set_num_threads(1)
    report = Report("sampling_cost")
    with tempfile.TemporaryDirectory(prefix="basin-cost-") as folder:
        os.environ["BASIN_HOME"] = folder
        server = RedisServer(Path(folder) / "redis", Path(folder) / "redis.log")
        process = server.start()
        try:
            server.wait_until_ready()
            for name, (data, sampler, gradients) in CASES.items():
                spec = RunSpec(
                    method="sampling",
                    data=data,
                    config={"sampler": sampler},
                    budget=Budget(gradients=gradients // 10 if quick else gradients),
                )
                _case(report, name, spec, server.url, rounds=1 if quick else 3)
        finally:
            process.terminate()
            process.wait()
    return report


def _case(report: Report, name: str, spec: RunSpec, url: str, rounds: int) -> None:
    shares: dict[str, list[float]] = {}
    for _ in range(rounds):
        spent = _timed(spec, url)
        for part in ("statistics", "looks", "said", "thread"):
            shares.setdefault(part, []).append(100 * spent[part] / spent["kernel"])
        shares.setdefault("kernel", []).append(spent["kernel"])
    report.add(name, "kernel", "CPU time", "s", shares["kernel"])
    report.add(name, "statistics of the draws", "of the kernel's time", "%", shares["statistics"])
    report.add(name, "looks", "of the kernel's time", "%", shares["looks"])
    report.add(name, "what is said", "of the kernel's time", "%", shares["said"])
    report.add(name, "thread that streams", "of the kernel's time", "%", shares["thread"])
    judged = statistics.median(map(sum, zip(shares["statistics"], shares["looks"], strict=True)))
    share = statistics.median(map(sum, zip(shares["said"], shares["thread"], strict=True)))
    report.claim_at_most(f"{name}: diagnostics", judged, DIAGNOSTICS_SHARE, "%")
    report.claim_at_most(f"{name}: streaming", share, STREAMING_SHARE, "%")


def _timed(spec: RunSpec, url: str) -> dict[str, float]:
    """CPU seconds of each part of one run."""
    spent: dict[str, float] = dict.fromkeys(
        ("kernel", "statistics", "looks", "said", "thread"), 0.0
    )
    directory = run_store.create_run(spec)
    publisher = redis_store.Publisher(directory.id, url)
    kernel = samplers.kind_of(catalogue.resolve(spec).config.sampler)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        for owner, name, part in (
            (kernel, "step", "kernel"),
            (kernel, "tune", "kernel"),
            (DrawStatistics, "take", "statistics"),
            (DrawStatistics, "point", "statistics"),
            (ObservationSchedule, "once", "looks"),
            (Emitter, "scalars", "said"),
            (Emitter, "event", "said"),
            (Emitter, "_work", "thread"),
        ):
            stack.enter_context(_stopwatch(owner, name, part, spent))
        status = loop.run(directory, publisher=publisher)
    if status.status != "finished":
        raise RuntimeError(f"the run ended {status.status}: {status.reason}")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return spent


@contextmanager
def _stopwatch(owner: type, name: str, part: str, spent: dict[str, float]) -> Iterator[None]:
    """Count what calls of a method take of this thread's CPU."""
    plain = getattr(owner, name)
    own = name in vars(owner)

    @functools.wraps(plain)
    def watched(*args: Any, **fields: Any) -> Any:
        began = time.thread_time()
        try:
            return plain(*args, **fields)
        finally:
            spent[part] += time.thread_time() - began

    setattr(owner, name, watched)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, plain)
        else:
            delattr(owner, name)


if __name__ == "__main__":
    main()
