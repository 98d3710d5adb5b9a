"""A process that logs five scalars two hundred times a second until it is killed, and a look at
what of it is on the disk.

    python benchmarks/faults_writer.py write|read basin|tensorboard|trackio|mlflow FOLDER

`write` prints each step once it is logged; `read` prints the last step on the disk. Runs in the
peers' environment as it is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

HZ = 200.0
NAMES = [f"loss/part_{number}" for number in range(5)]
Log = Callable[[int, list[float]], object]


def open_basin(folder: Path) -> Log:
    import numpy as np

    from backend.events import Cost
    from backend.spec import RunSpec
    from jobs.execution.emitter import Emitter
    from jobs.records import run_store

    os.environ["BASIN_HOME"] = str(folder)
    emitter = Emitter(run_store.create_run(RunSpec(method="sampling", data={"name": "ring"})))

    def log(step: int, values: list[float]) -> None:
        emitter.scalars(NAMES, np.array([values], np.float32), Cost(step), Cost(step))

    return log


def read_basin(folder: Path) -> int:
    from jobs.records import run_store

    os.environ["BASIN_HOME"] = str(folder)
    (run,) = run_store.list_runs()
    scalars = run_store.open_run(run.id).scalars()
    return int(scalars[NAMES[0]].step[-1]) if scalars else 0


def open_tensorboard(folder: Path) -> Log:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def log(step: int, values: list[float]) -> None:
        for name, value in zip(NAMES, values, strict=True):
            writer.add_scalar(name, value, step)

    return log


def read_tensorboard(folder: Path) -> int:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    known = accumulator.Tags()["scalars"]
    return max((event.step for event in accumulator.Scalars(NAMES[0])), default=0) if known else 0


def open_trackio(folder: Path) -> Log:
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    trackio.init(
        project="faults", name="killed", embed=False, auto_log_gpu=False, auto_log_cpu=False
    )

    def log(step: int, values: list[float]) -> None:
        trackio.log(dict(zip(NAMES, values, strict=True)), step=step)

    return log


def read_trackio(folder: Path) -> int:
    os.environ["TRACKIO_DIR"] = str(folder)
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("faults", "killed")
    return max((int(row["step"]) for row in rows if NAMES[0] in row), default=0)


def open_mlflow(folder: Path) -> Log:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.start_run()

    def log(step: int, values: list[float]) -> None:
        mlflow.log_metrics(dict(zip(NAMES, values, strict=True)), step=step)

    return log


def read_mlflow(folder: Path) -> int:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (run,) = client.search_runs(["0"])
    points = client.get_metric_history(run.info.run_id, NAMES[0])
    return max((point.step for point in points), default=0)


OPEN = {
    "basin": open_basin,
    "tensorboard": open_tensorboard,
    "trackio": open_trackio,
    "mlflow": open_mlflow,
}
READ = {
    "basin": read_basin,
    "tensorboard": read_tensorboard,
    "trackio": read_trackio,
    "mlflow": read_mlflow,
}


def write(log: Log) -> None:
    """Log on, and say what has been logged."""
    began = time.monotonic()
    step = 0
    while True:
        step += 1
        log(step, [float(step + number) for number in range(len(NAMES))])
        os.write(1, f"step {step}\n".encode())
        time.sleep(max(0.0, began + step / HZ - time.monotonic()))


if __name__ == "__main__":
    act, subject, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if act == "write":
        write(OPEN[subject](folder))
    else:
        print("last", READ[subject](folder))
