"""Stage of the faults: one Basin, its runs, a viewer of each, and what must hold after."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from redis import RedisError

from backend.errors import BasinError
from backend.events import split, unpack
from backend.spec import Budget, RunSpec
from benchmarks.live_work import ROOT, Viewer
from jobs.queueing import enqueue, redis_store
from jobs.record_files.scalar_table import Series
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.services.redis_server import free_port
from jobs.system.processes import descendants, end_all, is_alive

T = TypeVar("T")
PATHS = ("loss/total", "energy/gap", "energy/max")
"""Curves of every step; what is looked at by the clock differs from run to run."""
WHOLE_SECONDS = 120.0
BASIN = [sys.executable, "-m", "jobs.cli"]


def wait_for(condition: Callable[[], T | None], what: str, seconds: float) -> T:
    """The first answer of `condition` that counts as true. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BasinError, RedisError, OSError, psutil.Error):
            if value := condition():
                return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def spec_of(steps: int) -> RunSpec:
    """Persistent chains on the ring: weights, an optimiser, a replay buffer and generators."""
    return RunSpec(
        method="contrastive_divergence",
        preset="persistent",
        data={"name": "ring", "num": 300, "num_held_out": 100},
        config={"num_steps": 4, "buffer_size": 1000, "train": {"batch_size": 32}},
        budget=Budget(steps=steps),
        seed=3,
    )


class Shown(Viewer):
    """A page's client that remembers every point of `PATHS` it was shown."""

    def __init__(self, address: str, run: str) -> None:
        super().__init__(address, run)
        self.points: dict[str, dict[int, float]] = {path: {} for path in PATHS}
        self.said = 0.0
        """when the loop said the newest of them, unix seconds"""
        self._leave: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Shown:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # it has left by itself
            self._leave()
        self._thread.join(10)

    def _work(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        until, loop = asyncio.Event(), asyncio.get_running_loop()
        self._leave = lambda: loop.call_soon_threadsafe(until.set)
        await self.watch(until)

    def take(self, data: bytes) -> None:
        for offset, size in split(data):
            header, arrays = unpack(memoryview(data)[offset : offset + size])
            if header.get("kind") != "scalar":
                continue
            if header["meta"].get("history"):
                self._keep(header["path"], arrays["step"], arrays["value"])
                continue
            values = arrays["values"]
            steps = np.linspace(header["first"][0], header["last"][0], len(values)).round()
            for column, path in enumerate(header["meta"]["paths"]):
                self._keep(path, steps.astype(int), values[:, column])
            self.said = max(self.said, header["time"])
        super().take(data)

    def _keep(self, path: str, steps: Any, values: Any) -> None:
        if path in self.points:
            self.points[path].update(zip(steps.tolist(), values.tolist(), strict=True))

    def missing(self, record: dict[str, Series]) -> set[int]:
        """Steps shown that the record does not hold, or holds otherwise."""
        gone: set[int] = set()
        for path, points in list(self.points.items()):
            held = record.get(path)
            in_record = (
                {}
                if held is None
                else dict(zip(held.step.tolist(), held.value.tolist(), strict=True))
            )
            gone |= {step for step, value in list(points.items()) if in_record.get(step) != value}
        return gone


@dataclass
class Stage:
    """One `basin up`, kept over many trials and made whole before each."""

    home: Path
    link: str = ""
    """network device of the train worker, where it has one of its own"""
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> Path:
        return self.home.parent / f"{self.home.name}-said.txt"

    def environment(self) -> dict[str, str]:
        return {**os.environ, "BASIN_HOME": str(self.home), **self.settings}

    def make_whole(self) -> None:
        """Start what is not there. Raises TimeoutError when it does not come."""
        if self.process is None or self.process.poll() is not None:
            with self.said.open("ab") as file:
                self.process = subprocess.Popen(
                    [*BASIN, "up", "--port", str(self.port)],
                    cwd=ROOT,
                    env=self.environment(),
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
        wait_for(self.is_whole, "all of Basin", WHOLE_SECONDS)

    def is_whole(self) -> bool:
        """True when the page, Redis and a worker of each kind answer."""
        if self.process and redis_store.connection_info().get("pid") != self.process.pid:
            return False  # what a killed one left is still there
        with urllib.request.urlopen(f"{self.address}/live/health", timeout=2) as answer:
            if answer.status != 200:
                return False
        alive = {worker["queue"] for worker in redis_store.workers() if worker["alive"]}
        return {"train", "quick"} <= alive

    def roots(self) -> list[int]:
        """Pids of the living processes that were started here for good."""
        return [self.process.pid] if self.process and self.process.poll() is None else []

    def processes(self) -> list[psutil.Process]:
        """Those and all below them."""
        return [each for each in descendants(self.roots()) if is_alive(each.pid)]

    def child(self, words: Sequence[str]) -> psutil.Process:
        """The first process below the supervisor whose command line holds one of `words`."""

        def find() -> psutil.Process | None:
            for each in self.processes():
                line = " ".join(each.cmdline())
                if any(word in line for word in words):
                    return each
            return None

        return wait_for(find, " or ".join(words), 10)

    def strays(self) -> list[psutil.Process]:
        """Processes of this home that nobody here started or keeps."""
        known = {each.pid for each in (*self.processes(), *descendants([os.getpid()]))}
        strangers = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                home = each.environ().get("BASIN_HOME")
                if home == str(self.home) and each.pid not in known and is_alive(each.pid):
                    strangers.append(each)
        return strangers

    def last_words(self) -> str:
        """The end of what it has said."""
        return self.said.read_text()[-2000:] if self.said.exists() else ""

    def end(self) -> None:
        """End all of it, stopped or not."""
        left = [*self.processes(), *self.strays()]
        for each in left:
            with contextlib.suppress(psutil.Error):
                each.resume()
        for pid in self.roots():
            os.kill(pid, signal.SIGTERM)
        psutil.wait_procs(left, timeout=20)
        end_all(left)

    # ------------------------------------------------------------------ runs

    def launch(self, spec: RunSpec) -> RunDirectory:
        return run_store.open_run(enqueue.launch(spec))

    def launch_inline(self, spec: RunSpec) -> tuple[RunDirectory, subprocess.Popen[bytes]]:
        """A run of the command line, in a process of its own."""
        before = {run.id for run in run_store.list_runs()}
        process = run_inline(spec, self.environment())
        run = wait_for(
            lambda: next((r for r in run_store.list_runs() if r.id not in before), None),
            "the inline run",
            60,
        )
        return run_store.open_run(run.id), process


def run_inline(spec: RunSpec, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`basin run` of a spec; what it prints is its answer as JSON."""
    process = subprocess.Popen(
        [*BASIN, "run", "-", "--inline", "--json"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(spec.to_yaml().encode())
    process.stdin.close()
    process.stdin = None
    return process


def undisturbed(spec: RunSpec, home: Path) -> RunDirectory:
    """A run alone and without interruption; raises RuntimeError when it does not finish."""
    with environment_of(home):
        process = run_inline(spec, dict(os.environ))
        output, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"the undisturbed run ended so: {output.decode()[-500:]}")
    return RunDirectory(Path(json.loads(output)["directory"]))


def differences(run: RunDirectory, reference: RunDirectory) -> list[str]:
    """In words, where a run's curves and final tensors are not bit for bit those of another."""
    import torch

    differing = []
    mine, other = run.scalars(), reference.scalars()
    for path in PATHS:
        if path not in mine or not all(
            np.array_equal(getattr(mine[path], name), getattr(other[path], name))
            for name in ("step", "value")
        ):
            differing.append(path)
    tensors, expected = run.load_checkpoint().tensors, reference.load_checkpoint().tensors
    if tensors.keys() != expected.keys():
        return [*differing, "names of tensors"]
    return differing + [name for name in tensors if not torch.equal(tensors[name], expected[name])]


@contextlib.contextmanager
def environment_of(home: Path) -> Iterator[None]:
    """This process's own look at a home: the commands' defaults, no Redis of the user's."""
    before = dict(os.environ)
    os.environ |= {"BASIN_HOME": str(home), "BASIN_DEVICES": "cpu"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ.pop("BASIN_REDIS_URL", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
