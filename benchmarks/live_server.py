"""The parts of the live benchmark that look behind the page: what viewers and histories cost the
server, what cuts lose, what Redis holds, what an hour leaves in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from backend.events import unpack
from backend.spec import Budget, RunSpec
from benchmarks.live_stage import HZ, Stage, apart
from benchmarks.live_work import NAMES, Viewer, cpu_seconds, make_run, speaking
from jobs.queueing import control, enqueue, redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory


def viewing(stage: Stage) -> None:
    """CPU of the whole server process, Streamlit's own idling included."""
    seconds = 8.0 if stage.quick else 20.0
    counts = (1, 20) if stage.quick else (1, 5, 20, 60)
    run = make_run(10_000)
    shares: dict[int, list[float]] = {}
    memories: dict[int, list[float]] = {}
    with speaking(run, HZ, 3600):
        for count, _ in itertools.product((0, *counts), range(stage.repeats)):
            share, _, memory = _measure(stage, run, count, seconds)
            shares.setdefault(count, []).append(share)
            memories.setdefault(count, []).append(memory)
    for count, values in shares.items():
        case = f"{count} viewers"
        stage.report.add(case, "basin", "CPU of the server", "% of a core", values)
        stage.report.add(case, "basin", "memory of the server", "MB", memories[count])
    stage.report.claim_at_most(
        "CPU with 20 viewers at 5 Hz", statistics.median(shares[20]), 2, "% of a core"
    )
    _histories(stage, seconds)


def _histories(stage: Stage, seconds: float) -> None:
    costs: dict[int, list[float]] = {}
    for history in (10_000, 1_000_000) if stage.quick else (10_000, 100_000, 1_000_000):
        run = make_run(history // len(NAMES))
        with speaking(run, HZ, 3600):
            for _ in range(stage.repeats):
                share, sizes, memory = _measure(stage, run, 5, seconds)
                costs.setdefault(history, []).append(share / 100 / HZ * 1000)
                stage.report.add(f"{history:,} points", "basin", "an update", "bytes", [sizes])
        stage.report.add(f"{history:,} points", "basin", "memory of the server", "MB", [memory])
        stage.report.add(
            f"{history:,} points", "basin", "an update to 5 viewers", "ms of CPU", costs[history]
        )
    ratio = statistics.median(costs[1_000_000]) / statistics.median(costs[10_000])
    stage.report.claim_at_most("an update at 1M points against 10k", ratio, 1.25, "×")


def _measure(
    stage: Stage, run: RunDirectory, count: int, seconds: float
) -> tuple[float, float, float]:
    """(% of a core, bytes of an update, MB) while so many watch."""
    viewers = [Viewer(stage.basin.address, run.id, counts_only=True) for _ in range(count)]

    async def go() -> tuple[float, float]:
        until = asyncio.Event()
        tasks = [asyncio.create_task(viewer.watch(until)) for viewer in viewers]
        await asyncio.sleep(3)
        server = stage.basin.dashboard
        before, began = cpu_seconds(server), time.perf_counter()
        sizes = [(viewer.num_bytes, viewer.messages) for viewer in viewers]
        await asyncio.sleep(seconds)
        share = 100 * (cpu_seconds(server) - before) / (time.perf_counter() - began)
        after = [(viewer.num_bytes, viewer.messages) for viewer in viewers]
        until.set()
        await asyncio.gather(*tasks)
        grown = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(sizes, after, strict=True)]
        if count and min(g[1] for g in grown) < 0.9 * HZ * seconds:
            stage.report.notes.append(f"of {count} viewers, some were not told everything")
        return share, sum(g[0] for g in grown) / max(sum(g[1] for g in grown), 1)

    share, size = apart(go())
    return share, size, stage.basin.dashboard.memory_info().rss / 1e6


def cuts(stage: Stage) -> None:
    """One client is cut off for a while, another sees the server killed; both end exact."""
    away = 5.0 if stage.quick else 30.0
    wrong = []
    for _ in range(stage.repeats):
        run = make_run(1000)
        cut, killed = (Viewer(stage.basin.address, run.id) for _ in range(2))
        with speaking(run, 50, 10 + 2 * away) as process:
            apart(_cut(stage, cut, killed, away, process.poll))
        for viewer in (cut, killed):
            stored = [int(step) for step in run.scalars()[NAMES[0]].step]
            wrong.append(
                float(
                    len(set(stored) ^ set(viewer.steps))
                    + len(viewer.steps)
                    - len(set(viewer.steps))
                )
            )
    stage.report.add("cuts", "basin", "points missing or doubled", "points", wrong)
    stage.report.claim_at_most("points missing or doubled after cuts", max(wrong), 0)


async def _cut(
    stage: Stage, cut: Viewer, killed: Viewer, away: float, poll: Callable[[], int | None]
) -> None:
    done, now = asyncio.Event(), asyncio.Event()
    through = asyncio.create_task(killed.watch(done))
    task = asyncio.create_task(cut.watch(now))
    await asyncio.sleep(3)
    now.set()
    await task
    stage.basin.dashboard.kill()
    await asyncio.sleep(away)
    task = asyncio.create_task(cut.watch(done))
    while poll() is None:
        await asyncio.sleep(0.2)
    deadline = time.monotonic() + 30
    while not (cut.finished and killed.finished) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    done.set()
    await asyncio.gather(task, through)


def redis(stage: Stage) -> None:
    """Weigh the stream of a fast run, by the training job's own frames."""
    sizes = []
    for _ in range(stage.repeats):
        spec = RunSpec(
            method="contrastive_divergence",
            preset="persistent",
            data={"name": "ring"},
            config={"num_steps": 1},
            budget=Budget(steps=100_000),
        )
        run = run_store.open_run(enqueue.launch(spec))
        deadline = time.monotonic() + 60
        while run.status().step < 4000 and time.monotonic() < deadline:
            time.sleep(0.2)
        control.stop(run.id)
        stage.wait_over(run)
        key = redis_store.stream_key(run.id, redis_store.SCALARS)
        client = redis_store.connect()
        entries: Any = client.xrange(key)
        frames = [unpack(entry[b"f"]) for _, entry in entries]
        blocks = [frame.arrays["values"] for frame in frames if "values" in frame.arrays]
        size: Any = client.memory_usage(key, samples=0)
        sizes.append(size / sum(block.size for block in blocks))
        rows = statistics.fmean(len(block) for block in blocks if block.shape[1] > 1)
        stage.report.add("redis", "basin", "steps a block", "steps", [rows])
    stage.report.add("redis", "basin", "a million scalars", "MB", sizes)
    stage.report.claim_at_most("Redis a million scalars", statistics.median(sizes), 7, "MB")


def soak(stage: Stage) -> None:
    """Memory of the server and of the page while a run speaks at 5 Hz."""
    seconds = stage.soak_seconds
    run = make_run(1000)
    rows = []
    with (
        speaking(run, HZ, seconds + 600, everything=True),
        stage.page(f"run?id={run.id}") as page,
    ):
        tools = page.context.new_cdp_session(page)
        viewers = [Viewer(stage.basin.address, run.id, counts_only=True) for _ in range(5)]
        with _connected(viewers):
            page.wait_for_timeout(1000 * min(60, seconds / 4))
            began = time.monotonic()
            while True:
                page.evaluate("() => { window.seen = [] }")  # what this benchmark itself notes
                tools.send("HeapProfiler.collectGarbage")
                heap = page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
                rows.append((stage.basin.dashboard.memory_info().rss / 1e6, heap))
                if time.monotonic() - began > seconds:
                    break
                page.wait_for_timeout(1000 * min(60, seconds / 8))
    name = f"soak, {seconds / 60:.0f} min" if seconds >= 60 else f"soak, {seconds:.0f} s"
    for place, subject in enumerate(("server", "page")):
        values = [row[place] for row in rows]
        half = values[len(values) // 2 :]
        stage.report.add(name, "basin", f"memory of the {subject}", "MB", values)
        growth = statistics.median(half[-3:]) - statistics.median(half[:3])
        stage.report.add(name, "basin", f"growth of the {subject}, second half", "MB", [growth])
        stage.report.claim_at_most(f"growth of the {subject} in the second half", growth, 10, "MB")


@contextlib.contextmanager
def _connected(viewers: list[Viewer]) -> Iterator[None]:
    """Watch from a thread of its own, beside the browser."""
    loop = asyncio.new_event_loop()
    until = asyncio.Event()

    async def go() -> None:
        await asyncio.gather(*(viewer.watch(until) for viewer in viewers))

    thread = threading.Thread(target=lambda: loop.run_until_complete(go()))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join(10)
        loop.close()
