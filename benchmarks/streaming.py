"""Cost to a run of being watched: Basin's emitter beside TensorBoard and Trackio.

    python -m benchmarks.streaming [--quick] [--json]

All log eight scalars at every step of the same training loop: Basin into its device block and,
every 100 ms, through the emitter to the run's files and a real Redis; the peers as their guides
say. A loop without logging runs in turn with each. The peers come from `.venv-peers` (`make
peers`) and are left out, with a word, where it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import torch
from torch import Tensor

from backend.events import Cost, unpack
from backend.spec import RunSpec
from benchmarks.report import Report
from benchmarks.streaming_work import NUM_SCALARS, Log, compare, folder_bytes
from jobs.execution.device_scalars import ScalarBlock
from jobs.execution.emitter import FLUSH_SECONDS, Emitter
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.services.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
CASES = {"20 Langevin steps an update": 20, "1 Langevin step an update": 1}
METRICS = {
    "call_median_us": ("log call, median", "µs a step"),
    "call_p99_us": ("log call, 99th percentile", "µs a step"),
    "log_cpu_share": ("CPU in log calls", "% of the loop's"),
    "other_threads_core_share": ("CPU of all other threads", "% of a core"),
    "emitter_core_share": ("CPU of the emitter's thread", "% of a core"),
    "slow_down": ("CPU of the loop against none", "×"),
    "slow_down_wall": ("wall time against none", "×"),
    "disk_mb": ("on disk", "MB a million scalars"),
    "redis_mb": ("in Redis", "MB a million scalars"),
    "step_ms": ("an update without logging", "ms"),
}


def open_basin(
    url: str, client: redis.Redis, num_steps: int
) -> tuple[Log, Callable[[], dict[str, float]]]:
    """Log as the loop does: a device block, emptied into the emitter every 100 ms."""
    directory = run_store.create_run(RunSpec(method="streaming", data={"name": "none"}))
    emitter = Emitter(directory, redis_store.Publisher(directory.id, url))
    block = ScalarBlock(1024, torch.device("cpu"))
    began = time.perf_counter()
    next_flush = began + FLUSH_SECONDS
    last = Cost()

    def log(index: int, values: dict[str, Tensor]) -> None:
        nonlocal next_flush, last
        block.add(values)
        now = time.perf_counter()
        if now >= next_flush or block.is_full:
            next_flush = now + FLUSH_SECONDS
            rows = block.take()
            first = Cost(last.step + 1, last.gradients + 1, now - began)
            last = Cost(index + 1, index + 1, now - began)
            emitter.scalars(block.paths, rows, first, last)

    def close() -> dict[str, float]:
        seconds = time.perf_counter() - began
        emitter.close()
        key = redis_store.stream_key(directory.id, redis_store.SCALARS)
        entries: Any = client.xrange(key)
        held = sum(unpack(entry[b"f"]).arrays["values"].size for _, entry in entries)
        size: Any = client.memory_usage(key, samples=0)
        on_disk = folder_bytes(str(directory.path)) / NUM_SCALARS / num_steps
        client.delete(key)
        return {
            "emitter_core_share": 100 * emitter.cpu_seconds / seconds,
            "redis_mb": size / held,
            "disk_mb": on_disk,
        }

    return log, close


def measure_peer(name: str, steps: int, repeats: int, inner: int) -> list[dict[str, float]]:
    """The same loop in the peers' environment. Raises CalledProcessError."""
    script = ROOT / "benchmarks" / "streaming_work.py"
    command = [str(PEERS), str(script), name, str(steps), str(repeats), str(inner)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    rows: list[dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return rows


def run(quick: bool, url: str) -> Report:
    """Measure everything against the Redis at `url`."""
    report = Report("streaming")
    steps = {20: 150, 1: 1000} if quick else {20: 600, 1: 6000}
    repeats = 2 if quick else 5
    client = redis.Redis.from_url(url)
    for case, inner in CASES.items():
        rows = {
            "basin": compare(
                lambda inner=inner: open_basin(url, client, steps[inner]),  # type: ignore[misc]
                steps[inner],
                repeats,
                inner,
            )
        }
        for peer in ("tensorboard", "trackio"):
            if not PEERS.exists():
                continue
            try:
                rows[peer] = measure_peer(peer, steps[inner], repeats, inner)
            except (subprocess.SubprocessError, ValueError) as error:
                report.notes.append(f"{peer} was left out: {last_line(error)}")
        for subject, figures in rows.items():
            for key, (metric, unit) in METRICS.items():
                if key in figures[0]:
                    report.add(case, subject, metric, unit, [row[key] for row in figures])
    if not PEERS.exists():
        report.notes.append("TensorBoard and Trackio were left out: run `make peers` first.")
    _claim(report)
    client.close()
    return report


def last_line(error: Exception) -> str:
    """Return the last line that a process left which failed."""
    text = getattr(error, "stderr", None) or str(error)
    return (str(text).strip().splitlines() or ["no word"])[-1]


def _claim(report: Report) -> None:
    usual, fast = CASES

    def figure(case: str, key: str) -> float:
        metric = METRICS[key][0]
        return next(
            row.median
            for row in report.results
            if (row.case, row.subject, row.metric) == (case, "basin", metric)
        )

    report.claim_at_most("log call, median", figure(usual, "call_median_us"), 20, "µs")
    report.claim_at_most("log call, p99", figure(usual, "call_p99_us"), 200, "µs")
    share = figure(usual, "log_cpu_share")
    report.claim_at_most("CPU in log calls", share, 1, "% of the loop's")
    thread = max(figure(case, "emitter_core_share") for case in CASES)
    report.claim_at_most("CPU of the emitter's thread", thread, 2, "% of a core")
    report.claim_at_most("Redis a million scalars", figure(fast, "redis_mb"), 7, "MB")


def main() -> None:
    """Start a Redis of the benchmark's own, measure, print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer steps and repeats")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BASIN_HOME"] = folder
        server = RedisServer(Path(folder) / "redis", Path(folder) / "redis.log")
        server.start()
        try:
            server.wait_until_ready()
            report = run(arguments.quick, server.url)
        finally:
            server.stop()
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
