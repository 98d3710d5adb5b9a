"""Work of the live benchmark beside the browser: a Basin of its own, runs that speak at a given
rate, and a client that holds what a page would.

    python -m benchmarks.live_work RUN HZ SECONDS [all]

speaks for RUN: five scalars and 512 samples in the plane, HZ times a second; with `all` a landscape
with chains and a histogram of energies too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backend.events import (
    Cost,
    Event,
    Field,
    Histogram,
    Points,
    Trajectory,
    encode_block,
    split,
    unpack,
)
from backend.spec import RunSpec
from dashboard.security import access
from jobs.execution.emitter import Emitter
from jobs.queueing import redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system.processes import descendants, end_all

ROOT = Path(__file__).resolve().parent.parent
NAMES = [f"loss/part_{number}" for number in range(5)]
SPIKE = 1000.0
_ROWS = 100


@dataclass
class Basin:
    """A running `basin up` with a home of its own."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> psutil.Process:
        """The web server's process; the supervisor starts another one when it dies."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "streamlit" in child.cmdline():
                        return child
            time.sleep(0.05)
        raise RuntimeError("the dashboard did not start within 60 s")


@contextlib.contextmanager
def running(home: Path) -> Iterator[Basin]:
    """Start everything on a free port; end everything."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    home.mkdir(parents=True, exist_ok=True)
    before = dict(os.environ)
    os.environ |= {"BASIN_HOME": str(home), "BASIN_DEVICES": "cpu"}
    os.environ.pop("BASIN_REDIS_URL", None)
    command = [sys.executable, "-m", "jobs.cli", "up", "--port", str(port)]
    output = home / "said.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 90
        while "is ready" not in output.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Basin did not start: {output.read_text()[-500:]}")
            time.sleep(0.1)
        yield Basin(home, port, process)
    finally:
        left = descendants([process.pid])
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        end_all(left)
        os.environ.clear()
        os.environ.update(before)


# ---------------------------------------------------------------------- runs that speak


def make_run(history: int, *, finished: bool = False) -> RunDirectory:
    """A run that said `history` points of each of five scalars, one of them a lone spike."""
    budget = {"steps": 10_000_000}
    run = run_store.create_run(
        RunSpec(method="contrastive_divergence", data={"name": "ring"}, budget=budget)
    )
    rng = np.random.default_rng(0)
    frames = []
    for seq, start in enumerate(range(0, history, _ROWS)):
        values = rng.normal(size=(min(_ROWS, history - start), len(NAMES))).astype(np.float32)
        if start <= history // 3 < start + len(values):
            values[history // 3 - start, 0] = SPIKE
        first, last = (_cost(step) for step in (start + 1, start + len(values)))
        frames.append(
            encode_block(NAMES, values, run=run.id, seq=seq, time=0.0, first=first, last=last)
        )
    run.append(b"".join(frames), keyframe=False)
    if finished:
        run.compact()
        run.write_status(status="finished", step=history)
    run.close()
    return run


def _cost(step: int) -> Cost:
    return Cost(step, 21 * step, step / 100, None)


def last_step(run: RunDirectory) -> int:
    frames = run.read_log_frames()
    return int(unpack(frames[-1]).header["last"][0]) if frames else 0


@contextlib.contextmanager
def speaking(
    run: RunDirectory, hz: float, seconds: float, *, everything: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that speaks for a run, from when the block is entered."""
    arguments = [run.id, str(hz), str(seconds), *(["all"] if everything else [])]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.live_work", *arguments], cwd=ROOT)
    deadline = time.monotonic() + 30
    while run.status().status != "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def pictures(rng: np.random.Generator, step: int) -> list[Event]:
    """A landscape that changes, chains that walk on it, a histogram of energies."""
    x, y = np.meshgrid(np.linspace(-3, 3, 96), np.linspace(-3, 3, 96))
    centre = np.array([np.cos(step / 20), np.sin(step / 20)])
    values = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    walk = np.cumsum(rng.normal(scale=0.1, size=(25, 32, 2)), axis=0) + centre
    counts = rng.dirichlet(np.ones(40), size=2).astype(np.float32)
    edges = np.linspace(0, 20, 41, dtype=np.float32)
    return [
        Field("landscape/model", values.astype(np.float32), (-3.0, 3.0), (-3.0, 3.0)),
        Trajectory("chains/walk", walk.astype(np.float32), "train_time"),
        Histogram(
            "energy/histogram", edges, counts, ["data", "train_time"], np.zeros((2, 2), np.int32)
        ),
    ]


def speak(run: RunDirectory, hz: float, seconds: float, everything: bool = False) -> None:
    """Say one step `hz` times a second; tell the heartbeat as a loop does."""
    step = last_step(run)
    rng = np.random.default_rng(step)
    emitter = Emitter(run, redis_store.Publisher(run.id))
    began = next_time = time.monotonic()
    beat = 0.0
    while (now := time.monotonic()) < began + seconds:
        step += 1
        values = rng.normal(size=(1, len(NAMES))).astype(np.float32)
        emitter.scalars(NAMES, values, _cost(step), _cost(step))
        points = rng.normal(size=(512, 2)).astype(np.float32)
        emitter.event(Points("samples/train_time", points, "train_time"), _cost(step))
        for event in pictures(rng, step) if everything else ():
            emitter.event(event, _cost(step))
        if now > beat + 1:
            beat = now
            run.write_status(
                status="running", pid=os.getpid(), host=socket.gethostname(), step=step
            )
        next_time += 1 / hz
        time.sleep(max(next_time - time.monotonic(), 0))
    emitter.close()
    run.compact()
    run.write_status(status="finished", step=step)


# ---------------------------------------------------------------------- a client


@dataclass
class Viewer:
    """Client that holds of one run what a page would, and what came to it."""

    address: str
    run: str
    counts_only: bool = False
    also: tuple[str, ...] = ()
    """what else ticks for it: runs, alarms"""
    steps: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    position: list[int] | None = None
    num_bytes: int = 0
    messages: int = 0
    delays: list[float] = field(default_factory=list)
    bucketed: bool = False
    spike: bool = False
    seconds_to_history: float | None = None
    finished: bool = False

    async def watch(self, until: asyncio.Event) -> None:
        """Hold the run until told to stop; connect again by itself, from where it stands."""
        while not until.is_set():
            try:
                began = time.perf_counter()
                async with connect(self._socket(), max_size=None, compression=None) as socket:
                    asked = {"op": "watch", "runs": [{"run": self.run, "after": self.position}]}
                    for message in (asked, *({"op": op} for op in self.also)):
                        await socket.send(json.dumps(message))
                    await self._read(socket, until, began)
            except (OSError, ConnectionClosed, TimeoutError):
                await asyncio.sleep(0.2)
            except Exception as error:  # the handshake of a server that is starting
                if "rejected" not in str(error) and "handshake" not in str(error):
                    raise
                await asyncio.sleep(0.2)

    def _socket(self) -> str:
        address = self.address.replace("http", "ws")
        return f"{address}/live/ws?token={access.issue()}"

    async def _read(self, socket: ClientConnection, until: asyncio.Event, began: float) -> None:
        stopping = asyncio.create_task(until.wait())
        try:
            while not until.is_set():
                receiving = asyncio.create_task(socket.recv())
                await asyncio.wait([receiving, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    return
                data = receiving.result()
                assert isinstance(data, bytes)
                if self.seconds_to_history is None:
                    self.seconds_to_history = time.perf_counter() - began
                self.take(data)
        finally:
            stopping.cancel()

    def take(self, data: bytes) -> None:
        self.num_bytes += len(data)
        self.messages += 1
        if self.counts_only:
            return
        now = time.time()
        for offset, size in split(data):
            frame = unpack(memoryview(data)[offset : offset + size])
            header = frame.header
            op, kind = header.get("op"), header.get("kind")
            position = self.position or [-1, -1]
            if op == "status":
                self.finished = header["status"] == "finished"
            if op == "history":
                if header["whole"]:
                    self.steps.clear()
                    position = [-1, -1]
                position[0] = max(position[0], header["log"])
                self.bucketed = header["bucketed"]
            elif kind == "scalar":
                position[0] = max(position[0], header["seq"])
                if header["meta"].get("history"):
                    if header["path"] == NAMES[0]:
                        self.steps += frame.arrays["step"].astype(int).tolist()
                        self.spike |= bool((frame.arrays["value"] == SPIKE).any())
                else:
                    first, last = (int(header[end][0]) for end in ("first", "last"))
                    self.steps += range(first, last + 1)
                    self.delays.append(now - header["time"])
            elif kind is not None:
                position[1] = max(position[1], header["seq"])
                self.keyframes.append(header["seq"])
            self.position = position


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    run, hz, seconds, *more = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    speak(run_store.open_run(run), float(hz), float(seconds), "all" in more)


if __name__ == "__main__":
    main()
