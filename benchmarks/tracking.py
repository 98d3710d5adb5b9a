"""Cost to a loop of one's own of `basin.track`, beside TensorBoard, W&B offline, Trackio, MLflow.

    python -m benchmarks.tracking [--quick] [--json]

All log the same eight scalars, 0-d tensors, at every step of the same training loop, each as its
guide says; Basin without a server, and with one that it has attached to. What a loop pays is the
CPU of its log calls, as a share of all else it computes: on a busy machine wall time says less, and
stands beside it. The service that W&B starts, a process of its own, is not counted. The peers come
from `.venv-peers` (`make peers`); one that is not there is left out, with a word.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

import basin
from benchmarks.report import Report
from benchmarks.streaming import PEERS, last_line, measure_peer
from benchmarks.streaming_work import NUM_SCALARS, OPENERS, Log, compare, folder_bytes
from jobs.services.redis_server import RedisServer

INNER = 20
CASE = f"{INNER} Langevin steps an update"
MOST_CALL_US, MOST_SHARE = 20, 1
METRICS = {
    "call_median_us": ("log call, median", "µs a step"),
    "call_p99_us": ("log call, 99th percentile", "µs a step"),
    "log_cpu_share": ("CPU in log calls", "% of the loop's"),
    "other_threads_core_share": ("CPU of all other threads", "% of a core"),
    "slow_down_wall": ("wall time against none", "×"),
    "disk_mb": ("on disk", "MB a million scalars"),
    "step_ms": ("an update without logging", "ms"),
}


def open_tracked(num_steps: int) -> tuple[Log, Callable[[], dict[str, float]]]:
    """Log as a person's own loop does."""
    run = basin.track("tracking")

    def log(index: int, values: dict[str, Tensor]) -> None:
        run.log(values, index)

    def close() -> dict[str, float]:
        run.finish()
        return {"disk_mb": folder_bytes(str(run.directory.path)) / NUM_SCALARS / num_steps}

    return log, close


def measure(num_steps: int, repeats: int, redis_url: str = "") -> list[dict[str, float]]:
    """Measure Basin's own; redis_url: of the server that it attaches to, none by default."""
    os.environ.pop("BASIN_REDIS_URL", None)
    if redis_url:
        os.environ["BASIN_REDIS_URL"] = redis_url
    return compare(lambda: open_tracked(num_steps), num_steps, repeats, INNER)


def run(quick: bool, redis_url: str) -> Report:
    """Measure all of them; the attached one with the Redis at `redis_url`."""
    report = Report("tracking")
    num_steps, repeats = (150, 2) if quick else (300, 3)
    rows = {
        "basin": measure(num_steps, repeats),
        "basin, attached": measure(num_steps, repeats, redis_url),
    }
    for peer in OPENERS if PEERS.exists() else ():
        try:
            rows[peer] = measure_peer(peer, num_steps, repeats, INNER)
        except (subprocess.SubprocessError, ValueError) as error:
            report.notes.append(f"{peer} was left out: {last_line(error)}")
    for subject, figures in rows.items():
        for key, (metric, unit) in METRICS.items():
            report.add(CASE, subject, metric, unit, [row[key] for row in figures])
    if not PEERS.exists():
        report.notes.append("The peers were left out: run `make peers` first.")
    for subject in ("basin", "basin, attached"):
        figure = {row.metric: row.median for row in report.results if row.subject == subject}
        call, share = (figure[METRICS[key][0]] for key in ("call_median_us", "log_cpu_share"))
        report.claim_at_most(f"{subject}: log call, median", call, MOST_CALL_US, "µs")
        report.claim_at_most(f"{subject}: CPU in log calls", share, MOST_SHARE, "% of the loop's")
    return report


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
