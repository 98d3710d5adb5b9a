"""Races made by hand, for browser tests that need no sampling."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backend import catalogue
from backend.config import turnable
from backend.events import Event, Field, Points, Table, Text, Trajectory, encode, encode_block
from backend.observe.draw_reading import ROW, reading
from backend.spec import Budget
from jobs.races import Race
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.dashboard.runs import cost

NUM = 300
RACERS = ({"kind": "langevin", "step_size": 0.02}, {"kind": "mala"}, {"kind": "hmc"})
LAST = {
    "langevin": {
        "error/mode_weights": 0.4,
        "error/mean": 0.3,
        "error/variance": 0.5,
        "sampler/r_hat": 1.002,
        "sampler/bulk_ess": 9000.0,
        "sampler/ess_per_second": 5e4,
        "sampler/ess_per_kilogradient": 300.0,
    },
    "mala": {
        "error/mode_weights": 0.05,
        "error/mean": 0.04,
        "error/variance": 0.03,
        "sampler/r_hat": 1.01,
        "sampler/bulk_ess": 900.0,
        "sampler/ess_per_second": 1000.0,
        "sampler/ess_per_kilogradient": 40.0,
        "sampler/acceptance_rate": 0.57,
    },
    "hmc": {
        "error/mode_weights": 0.2,
        "error/mean": 0.2,
        "error/variance": 0.1,
        "sampler/r_hat": 1.8,
        "sampler/bulk_ess": 30.0,
        "sampler/ess_per_second": 2000.0,
        "sampler/ess_per_kilogradient": 3.0,
        "sampler/acceptance_rate": 0.9,
    },
}
"""Langevin is fast and wrong, MALA right, HMC has not mixed."""
FLOOR = 0.03


def make_race(
    *, running: str = "", queued: str = "", dim: int = 2, energy_of: str = ""
) -> list[RunDirectory]:
    """A run each racer, with errors, floors, diagnostics, a target and walking chains.

    running, queued: kinds of racers that are not over. dim: of the positions; beyond 2 there is
    no landscape. energy_of: the run whose energy they sample.
    """
    asked = Race({"name": "ring"}, RACERS, Budget(gradients=10 * NUM), energy_of)
    found = []
    for spec in asked.specs():
        run = run_store.create_run(spec)
        kind = str(spec.config["sampler"]["kind"])
        if kind != queued:
            _fill(run, kind, dim)
        changes: dict[str, Any] = {"step": NUM, "gradients": 10 * NUM, "fraction": 1.0}
        if kind == queued:
            changes = {
                "status": "queued",
                "worker": "command line",
                "pid": os.getpid(),
                "host": socket.gethostname(),
            }
        elif kind == running:
            run.close()
            run.write_settings({}, turnable(catalogue.resolve(spec).config))
            changes |= {"status": "running", "pid": os.getpid(), "host": socket.gethostname()}
        else:
            run.compact()
            changes |= {"status": "finished"}
        run.write_status(**changes)
        found.append(run)
    return found


def _fill(run: RunDirectory, kind: str, dim: int) -> None:
    rng = np.random.default_rng(len(kind))
    last = LAST[kind]
    paths = [*last, *(f"{path}/floor" for path in last if path.startswith("error/"))]
    values = np.stack([_curve(path, last, rng) for path in paths], 1)
    block = encode_block(paths, values, run=run.id, seq=0, time=0.0, first=cost(1), last=cost(NUM))
    run.append(block, keyframe=False)
    said: list[tuple[Event, int]] = []
    if dim == 2:
        grid = np.linspace(-3, 3, 64)
        angles = np.arange(8) * np.pi / 4
        squares = [
            (grid[None] - 2 * np.cos(a)) ** 2 + (grid[:, None] - 2 * np.sin(a)) ** 2 for a in angles
        ]
        energy = np.min(squares, 0) / (2 * 0.3**2)
        values, view = energy.astype(np.float32), (-3.0, 3.0)
        said.append((Field("landscape/truth", values, view, view), 1))
        said.append((Field("landscape/model", values / 2, view, view), 1))
    for step in (1, NUM // 2, NUM):
        modes = rng.integers(0, 8, 24) * np.pi / 4
        start = 2 * np.stack([np.cos(modes), np.sin(modes)], 1)
        walk = start + np.cumsum(rng.normal(0, 0.1, (25, 24, 2)), 0)
        if dim == 2:
            said.append((Trajectory("chains/walk", walk.astype(np.float32), "long_run"), step))
        points = rng.normal(size=(200, min(dim, 8))).astype(np.float32)
        said.append((Points("samples/long_run", points, "long_run"), step))
    floors = {f"{path}/floor": FLOOR for path in last if path.startswith("error/")}
    verdict = [ROW, *reading(last | floors)]
    said.append((Table("chains/diagnostics", ["figure", "value", "reading"], [verdict]), 1))
    for seq, (event, step) in enumerate(said, 1):
        run.append(encode(event, run=run.id, seq=seq, time=0.0, cost=cost(step)), keyframe=True)
    if kind == "langevin":
        text = Text("run/changed", "Step size 0.005 → 0.02.")
        run.append(encode(text, run=run.id, seq=99, time=0.0, cost=cost(100)), keyframe=False)


def _curve(path: str, last: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Towards its last value: errors and floors fall, all else stands."""
    ramp = np.linspace(1 / NUM, 1, NUM)
    if path.endswith("/floor"):
        return FLOOR / np.sqrt(ramp)
    if not path.startswith("error/"):
        return np.full(NUM, last[path])
    noise = np.exp(rng.normal(0, 0.1, NUM) * (ramp < 1))
    return (last[path] + (0.8 - last[path]) * np.exp(-ramp * 6) * (ramp < 1)) * noise


@contextmanager
def beating(run: RunDirectory) -> Iterator[None]:
    """A run of this process that says it is alive, until the block is left; then it is over."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(1.0):
            run.write_status(status="running")

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        run.write_status(status="finished")
