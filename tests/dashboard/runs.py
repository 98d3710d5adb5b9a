"""Runs made by hand, for browser tests that need no training."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import numpy as np

from backend.events import (
    Cost,
    Event,
    Field,
    Histogram,
    Points,
    Table,
    Trajectory,
    encode,
    encode_block,
)
from backend.spec import Budget, RunSpec
from jobs.execution.emitter import Emitter
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PATHS = ["loss/total", "energy/gap"]
MORE = [*PATHS, "optimiser/learning_rate"]
NUM = 3000


def cost(step: int) -> Cost:
    return Cost(step, 10 * step, step / 10, None)


def make_run(*, finished: bool = True, seed: int = 0, data: str = "ring") -> RunDirectory:
    """A run with curves, a landscape of three moments, chains, energies and a table."""
    spec = RunSpec(
        method="contrastive_divergence", data={"name": data}, budget=Budget(steps=NUM), seed=seed
    )
    run = run_store.create_run(spec)
    rng = np.random.default_rng(seed)
    values = 2 + np.stack([np.sin(np.arange(NUM) / 300)] * 3, 1) + rng.normal(0, 0.1, (NUM, 3))
    said: list[tuple[Event, int]] = []
    for step in (1, 1500, 3000):
        field = np.add.outer(np.linspace(-2, 2, 24) ** 2, np.linspace(-2, 2, 24) ** 2)
        walk = np.cumsum(rng.normal(0, 0.1, (5, 3, 2)), 0)
        counts = np.full((2, 4), 0.25, np.float32)
        said += [
            (Field("landscape/model", field.astype(np.float32), (-2.0, 2.0), (-2.0, 2.0)), step),
            (Trajectory("chains/walk", walk.astype(np.float32), "train_time"), step),
            (
                Histogram(
                    "energy/histogram",
                    np.arange(5, dtype=np.float32),
                    counts,
                    ["data", "train_time"],
                    np.zeros((2, 2), np.int32),
                ),
                step,
            ),
        ]
    said += [
        (Points("samples/data", rng.normal(size=(50, 2)).astype(np.float32), "data"), 1),
        (Table("quality/final", ["figure", "value"], [["KL, nats", 0.25]]), NUM),
    ]
    block = encode_block(MORE, values, run=run.id, seq=0, time=0.0, first=cost(1), last=cost(NUM))
    run.append(block, keyframe=False)
    for seq, (event, step) in enumerate(said, 1):
        run.append(encode(event, run=run.id, seq=seq, time=0.0, cost=cost(step)), keyframe=True)
    if finished:
        run.compact()
        run.write_status(status="finished", step=NUM)
    else:
        run.close()
        run.write_status(status="running", step=NUM, pid=os.getpid(), host=socket.gethostname())
    return run


class Speaker:
    """A run of this process that says one step at a time, on the running Basin."""

    def __init__(self, run: RunDirectory) -> None:
        self.run, self.step = run, NUM
        self.emitter = Emitter(run, redis_store.Publisher(run.id))

    def say(self, num: int = 1) -> None:
        for _ in range(num):
            self.step += 1
            here = cost(self.step)
            self.emitter.scalars(PATHS, np.full((1, 2), 2.0, np.float32), here, here)
        self.emitter.flush()

    def end(self) -> None:
        self.emitter.close()
        self.run.write_status(status="finished", step=self.step)


def zoom(page: Page, plot: Locator, left: float = 0.4, right: float = 0.7) -> list[float]:
    """Drag across a chart, between two shares of its width; the range that this chose."""
    box = plot.bounding_box()
    assert box is not None
    whole = plot.evaluate("plot => plot._fullLayout.xaxis.range")
    page.mouse.move(box["x"] + left * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + 62, steps=5)
    page.mouse.up()
    chosen = wait_for(lambda: [plot.evaluate("plot => plot._fullLayout.xaxis.range")], "the zoom")[
        0
    ]
    assert chosen != whole
    return list(chosen)
