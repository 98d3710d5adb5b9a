"""Logs to a peer as a training loop would, and tells when; runs in the peers' environment.

    .venv-peers/bin/python benchmarks/live_peers_work.py trackio|tensorboard FOLDER HZ
    .venv-peers/bin/python benchmarks/live_peers_work.py trackio-page PORT

Logs until its standard input closes, so that it never outlives who started it. Every line of its
standard output is JSON: a step and the moment before it was logged.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable

PROJECT = "live"
NAMES = tuple(f"scalar/{index}" for index in range(5))

Log = Callable[[int, dict[str, float]], None]


def open_trackio() -> Log:
    """Without the machine's own figures, which it would log beside ours."""
    import trackio

    trackio.init(project=PROJECT, name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    return lambda step, values: trackio.log(values, step=step)


def open_tensorboard(folder: str) -> Log:
    """Flushed at every step, so that the writer's 120 s between flushes cannot count against it."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(os.path.join(folder, "run"))

    def log(step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return log


def log_on(log: Log, hz: float) -> None:
    """Log for ever; a step and its moment to the real standard output."""
    began = time.monotonic()
    step = 0
    while True:
        time.sleep(max(0.0, began + step / hz - time.monotonic()))
        values = {name: math.sin(0.1 * step + index) for index, name in enumerate(NAMES)}
        stamp = time.time()
        log(step, values)
        print(json.dumps({"step": step, "stamp": stamp}), file=sys.__stdout__, flush=True)
        step += 1


def show_trackio(port: int) -> None:
    """Trackio's dashboard, in a process of its own as `trackio show` has it."""
    import trackio

    trackio.show(PROJECT, open_browser=False, block_thread=True, share=False, server_port=port)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main(task: str, *arguments: str) -> None:
    """Do one task until standard input closes."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    # What the peers print must not mix with the steps.
    with contextlib.redirect_stdout(sys.stderr):
        if task == "trackio-page":
            show_trackio(int(arguments[0]))
            return
        folder, hz = arguments
        log_on(open_trackio() if task == "trackio" else open_tensorboard(folder), float(hz))


if __name__ == "__main__":
    main(*sys.argv[1:])
