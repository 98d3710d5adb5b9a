"""The work that logging is measured on, and the peers that log it.

Needs torch alone, so that the peers' environment can run it as it is:

    .venv-peers/bin/python benchmarks/streaming_work.py PEER STEPS REPEATS INNER

PEER: tensorboard, trackio, wandb (offline) or mlflow.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Log = Callable[[int, dict[str, Tensor]], None]
NUM_SCALARS = 8


class Work:
    """Persistent contrastive divergence on points: an MLP, `num_inner` Langevin steps an update."""

    def __init__(self, num_inner: int) -> None:
        self.num_inner = num_inner
        self.generator = torch.Generator().manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1)
        )
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.chains = torch.randn(256, 2, generator=self.generator)

    def step(self) -> dict[str, Tensor]:
        """One update; eight scalars on the device."""
        x_data = torch.randn(256, 2, generator=self.generator)
        x = self.chains
        for _ in range(self.num_inner):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(self.net(x).sum(), x)
            noise = torch.randn(x.shape, generator=self.generator)
            x = x.detach() - 0.005 * gradient + 0.1 * noise
        self.chains = x
        data, model = self.net(x_data), self.net(x)
        loss = data.mean() - model.mean() + 0.005 * (data.square() + model.square()).mean()
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            values = (
                loss,
                data.mean(),
                model.mean(),
                data.mean() - model.mean(),
                data.abs().max(),
                norm,
                x.norm(dim=1).max(),
                gradient.norm(),
            )
        return {f"scalar/{index}": value.detach() for index, value in enumerate(values)}


def time_loop(work: Work, num_steps: int, log: Log | None) -> dict[str, Any]:
    """Seconds and CPU seconds of a loop, and of every log call in it."""
    calls: list[float] = []
    log_cpu = 0.0
    start, start_cpu = time.perf_counter(), time.thread_time()
    for index in range(num_steps):
        values = work.step()
        if log is not None:
            before, before_cpu = time.perf_counter(), time.thread_time()
            log(index, values)
            calls.append(time.perf_counter() - before)
            log_cpu += time.thread_time() - before_cpu
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.thread_time() - start_cpu,
        "log_cpu": log_cpu,
        "calls": calls,
    }


def compare(
    open_log: Callable[[], tuple[Log, Callable[[], dict[str, float]]]],
    num_steps: int,
    repeats: int,
    num_inner: int,
) -> list[dict[str, float]]:
    """Figures of every repeat: the loop with logging beside the same loop without, in turn.

    open_log: starts a log and returns what logs a step, and what ends it and gives more figures.
    """
    torch.set_num_threads(1)
    time_loop(Work(num_inner), max(20, num_steps // 10), None)
    rows = []
    for _ in range(repeats):
        plain = time_loop(Work(num_inner), num_steps, None)
        log, close = open_log()
        process_cpu = time.process_time()
        logged = time_loop(Work(num_inner), num_steps, log)
        process_cpu = time.process_time() - process_cpu
        more = close()
        calls = sorted(logged["calls"])
        rows.append(
            {
                "call_median_us": 1e6 * statistics.median(calls),
                "call_p99_us": 1e6 * calls[int(0.99 * (len(calls) - 1))],
                "slow_down": logged["cpu"] / plain["cpu"],
                "slow_down_wall": logged["seconds"] / plain["seconds"],
                "log_cpu_share": 100 * logged["log_cpu"] / (logged["cpu"] - logged["log_cpu"]),
                "other_threads_core_share": 100
                * max(0.0, process_cpu - logged["cpu"])
                / logged["seconds"],
                "step_ms": 1e3 * plain["seconds"] / num_steps,
                **more,
            }
        )
    return rows


def folder_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def open_tensorboard(num_steps: int) -> tuple[Log, Callable[[], dict[str, float]]]:
    from torch.utils.tensorboard import SummaryWriter

    folder = tempfile.mkdtemp()
    writer = SummaryWriter(folder)

    def log(index: int, values: dict[str, Tensor]) -> None:
        for path, value in values.items():
            writer.add_scalar(path, value.item(), index)

    def close() -> dict[str, float]:
        writer.close()
        return {"disk_mb": folder_bytes(folder) / NUM_SCALARS / num_steps}

    return log, close


def open_trackio(num_steps: int) -> tuple[Log, Callable[[], dict[str, float]]]:
    import trackio

    folder = os.environ["TRACKIO_DIR"]
    before = folder_bytes(folder)
    trackio.init(project="streaming", embed=False, auto_log_gpu=False, auto_log_cpu=False)

    def log(index: int, values: dict[str, Tensor]) -> None:
        trackio.log({path: value.item() for path, value in values.items()}, step=index)

    def close() -> dict[str, float]:
        trackio.finish()
        return {"disk_mb": (folder_bytes(folder) - before) / NUM_SCALARS / num_steps}

    return log, close


def open_wandb(num_steps: int) -> tuple[Log, Callable[[], dict[str, float]]]:
    import wandb

    folder = tempfile.mkdtemp()
    run = wandb.init(
        project="streaming", dir=folder, mode="offline", settings=wandb.Settings(silent=True)
    )

    def log(index: int, values: dict[str, Tensor]) -> None:
        run.log({path: value.item() for path, value in values.items()}, step=index)

    def close() -> dict[str, float]:
        run.finish()
        return {"disk_mb": folder_bytes(folder) / NUM_SCALARS / num_steps}

    return log, close


def open_mlflow(num_steps: int) -> tuple[Log, Callable[[], dict[str, float]]]:
    import mlflow

    folder = tempfile.mkdtemp()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.start_run()
    before = folder_bytes(folder)

    def log(index: int, values: dict[str, Tensor]) -> None:
        mlflow.log_metrics({path: value.item() for path, value in values.items()}, step=index)

    def close() -> dict[str, float]:
        mlflow.end_run()
        return {"disk_mb": (folder_bytes(folder) - before) / NUM_SCALARS / num_steps}

    return log, close


OPENERS = {
    "tensorboard": open_tensorboard,
    "trackio": open_trackio,
    "wandb": open_wandb,
    "mlflow": open_mlflow,
}


def main(subject: str, num_steps: int, repeats: int, num_inner: int) -> None:
    """Measure one peer and print the rows as the last line."""
    os.environ["TRACKIO_DIR"] = tempfile.mkdtemp()
    rows = compare(lambda: OPENERS[subject](num_steps), num_steps, repeats, num_inner)
    print(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
