"""How soon the page shows what a run says, and what that costs.

    python -m benchmarks.live [--quick] [--json] [--only PART ...] [--soak SECONDS]

Parts: latency (a real training job, a real Chromium; also while another viewer opens a Compare
page of a million points; Trackio and TensorBoard beside it, from `.venv-peers`), viewers (CPU and
memory of the server by viewers and by history), open (a million points), page (remounts and zoom
over many updates, frames a second), cuts (a client cut off, a server killed), redis, soak.

Stamp to visible: from the moment the loop said it (`time` in the frame's header) to the frame in
which the browser painted it. Trackio and TensorBoard are given the moment in which their data
reached the browser, drawing not counted, which is in their favour.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from backend.events import unpack
from backend.spec import Budget, RunSpec
from benchmarks import chromium, live_peers
from benchmarks.live_work import (
    NAMES,
    SPIKE,
    Basin,
    Viewer,
    cpu_seconds,
    make_run,
    running,
    speaking,
)
from benchmarks.report import Report
from jobs import artifacts, control, enqueue, store
from jobs.run_directory import RunDirectory

T = TypeVar("T")
PARTS = ("latency", "viewers", "open", "page", "cuts", "redis", "soak")
HZ = 5.0
WATCH = """
    window.seen = []
    addEventListener("basin:drawn", ({ detail }) => requestAnimationFrame(() => setTimeout(() => {
        window.seen.push([detail.kind, detail.path, detail.seq, detail.time, Date.now() / 1000])
    })), true)
"""
"""Notes each frame that was painted: after the animation frame in which it was drawn."""
PLOT = ".bl-plot:has(.main-svg)"


def percentile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run in a thread of its own: Playwright's event loop lives in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class Stage:
    """One Basin and one browser for all parts."""

    def __init__(self, report: Report, basin: Basin, browser: Browser, quick: bool) -> None:
        self.report, self.basin, self.browser, self.quick = report, basin, browser, quick
        self.repeats = 1 if quick else 3

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[Browser]:
        """Another person's browser. Its processor is another one, so here it yields to the rest."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "chromium"
            script.write_text(f'#!/bin/sh\nexec nice -n 19 "{chromium.find()}" "$@"\n')
            script.chmod(0o700)
            browser = chromium.launch(self.browser.browser_type, script)
            yield browser
            browser.close()

    @contextlib.contextmanager
    def page(self, path: str, browser: Browser | None = None) -> Iterator[Page]:
        context = (browser or self.browser).new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(60_000)
        deadline = time.monotonic() + 30
        while True:
            try:
                page.goto(f"{self.basin.address}/{path}")
                break
            except PlaywrightError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        try:
            yield page
        finally:
            context.close()

    # ------------------------------------------------------------------ how soon

    def latency(self) -> None:
        """A training job as it comes: scalars ten times a second, pictures up to five."""
        seconds = 15.0 if self.quick else 30.0
        alone, beside, samples, others = [], [], [], []
        big = [make_run(200_000, finished=True).id for _ in range(2)]
        for _ in range(self.repeats):
            run = self.train()
            with self.page(f"run?id={run.id}") as page:
                page.wait_for_selector(PLOT)
                page.wait_for_selector(".bl-hero canvas")
                page.wait_for_timeout(3000)
                first = self.seen(page, seconds)
                address = f"compare?runs={','.join(big)}&charts={NAMES[0]},{NAMES[1]}"
                with self.elsewhere() as browser, self.page(address, browser) as other:
                    second = self.seen(page, seconds / 3)
                    other.wait_for_selector(PLOT)
                    for kind, more in self.seen(page, seconds / 3).items():
                        second[kind] += more
            control.stop(run.id)
            self.wait_over(run)
            alone.append(percentile(first["scalar"], 0.95))
            samples.append(percentile(first["picture"], 0.95))
            beside.append(percentile(second["scalar"], 0.95))
            others.append(percentile(second["picture"], 0.95))
            rate = len(first["picture"]) / seconds
            self.report.add("training", "basin", "pictures shown", "a second", [rate])
            for kind, found in first.items():
                self.report.add("training", "basin", f"{kind} visible, p50", "s",
                                [percentile(found, 0.5)])  # fmt: skip
        self.report.add("training", "basin", "scalar visible, p95", "s", alone)
        self.report.add("training", "basin", "picture visible, p95", "s", samples)
        self.report.add("a million points opened", "basin", "scalar visible, p95", "s", beside)
        self.report.add("a million points opened", "basin", "picture visible, p95", "s", others)
        claim = self.report.claim_at_most
        claim("scalars visible while training, p95", statistics.median(alone), 0.3, "s")
        claim("pictures visible while training, p95", statistics.median(samples), 0.3, "s")
        claim(
            "scalars visible while a million points open, p95", statistics.median(beside), 0.3, "s"
        )
        claim(
            "pictures visible while a million points open, p95", statistics.median(others), 0.3, "s"
        )
        self.peers(self.steady())

    def train(self) -> RunDirectory:
        spec = RunSpec(
            method="contrastive_divergence", preset="persistent", data={"name": "ring"},
            budget=Budget(steps=1_000_000),
        )  # fmt: skip
        return artifacts.open_run(enqueue.launch(spec))

    def wait_over(self, run: RunDirectory) -> None:
        deadline = time.monotonic() + 60
        while not run.status().is_over and time.monotonic() < deadline:
            time.sleep(0.1)

    def seen(self, page: Page, seconds: float) -> dict[str, list[float]]:
        """Seconds from stamp to visible of what was painted from now on, each frame once."""
        page.evaluate("() => { window.seen = [] }")
        page.wait_for_timeout(seconds * 1000)
        first: dict[tuple[str, int], float] = {}
        for kind, _, seq, stamp, shown in page.evaluate("() => window.seen"):
            if kind in ("scalar", "points", "images", "field", "trajectory") and stamp:
                what = "scalar" if kind == "scalar" else "picture"
                first[what, seq] = min(first.get((what, seq), np.inf), shown - stamp)
        return {
            kind: [value for (what, _), value in first.items() if what == kind]
            for kind in ("scalar", "picture")
        }

    def steady(self) -> list[float]:
        """Five scalars, samples and a landscape, five times a second, from a process of its own."""
        seconds = 10.0 if self.quick else 20.0
        found: dict[str, list[float]] = {"scalar": [], "picture": []}
        missed, ours = [], []
        for _ in range(self.repeats):
            run = make_run(100)
            with (
                speaking(run, HZ, 600, everything=True),
                self.page(f"run?id={run.id}&charts={NAMES[0]}") as page,
            ):
                page.wait_for_selector(PLOT)
                page.wait_for_selector(".bl-hero canvas")
                page.wait_for_timeout(1500)
                seen = self.seen(page, seconds)
                held = page.evaluate(HELD)
                wanted = _points_in(run)
                missed.append(max(wanted - held - 2 * HZ, 0))
            for kind, values in seen.items():
                found[kind].append(percentile(values, 0.95))
            ours.append(percentile(seen["scalar"], 0.5))
        self.report.add("5 Hz", "basin", "scalar visible, p50", "s", ours)
        self.report.add("5 Hz", "basin", "scalar visible, p95", "s", found["scalar"])
        self.report.add("5 Hz", "basin", "picture visible, p95", "s", found["picture"])
        self.report.add("5 Hz", "basin", "points dropped", "points", missed)
        self.report.claim_at_most(
            "scalars visible at 5 Hz, p95", statistics.median(found["scalar"]), 0.3, "s"
        )
        self.report.claim_at_most(
            "pictures visible at 5 Hz, p95", statistics.median(found["picture"]), 0.3, "s"
        )
        return ours

    def peers(self, ours: list[float]) -> None:
        """The trackers in the same run."""
        seconds = 10.0 if self.quick else 30.0
        measures: dict[str, Callable[[], list[float]]] = {
            "trackio": lambda: live_peers.trackio(self.browser, seconds, HZ),
            "tensorboard": lambda: live_peers.tensorboard(self.browser, seconds, HZ),
        }
        if self.quick:
            del measures["tensorboard"]  # its page reloads every 30 s
        medians: dict[str, float] = {}
        for name, measure in measures.items():
            try:
                found = [measure() for _ in range(1 if name == "tensorboard" else self.repeats)]
            except RuntimeError as error:
                self.report.notes.append(f"{name} was left out: {error}")
                continue
            medians[name] = statistics.median(percentile(values, 0.5) for values in found)
            for share in (0.5, 0.95):
                self.report.add("5 Hz", name, f"scalar in the browser, p{round(100 * share)}", "s",
                                [percentile(values, share) for values in found])  # fmt: skip
        if "trackio" in medians:
            ratio = medians["trackio"] / statistics.median(ours)
            self.report.claim_at_least("sooner than Trackio, of medians", ratio, 3, "×")

    # ------------------------------------------------------------------ what it costs

    def viewers(self) -> None:
        """CPU of the whole server process, Streamlit's own idling included."""
        seconds = 8.0 if self.quick else 20.0
        counts = (1, 20) if self.quick else (1, 5, 20, 60)
        run = make_run(10_000)
        shares: dict[int, list[float]] = {}
        memories: dict[int, list[float]] = {}
        with speaking(run, HZ, 3600):
            for count, _ in itertools.product((0, *counts), range(self.repeats)):
                share, _, memory = self.measure(run, count, seconds)
                shares.setdefault(count, []).append(share)
                memories.setdefault(count, []).append(memory)
        for count, values in shares.items():
            case = f"{count} viewers"
            self.report.add(case, "basin", "CPU of the server", "% of a core", values)
            self.report.add(case, "basin", "memory of the server", "MB", memories[count])
        self.report.claim_at_most(
            "CPU with 20 viewers at 5 Hz", statistics.median(shares[20]), 2, "% of a core"
        )
        self.histories(seconds)

    def histories(self, seconds: float) -> None:
        costs: dict[int, list[float]] = {}
        for history in (10_000, 1_000_000) if self.quick else (10_000, 100_000, 1_000_000):
            run = make_run(history // len(NAMES))
            with speaking(run, HZ, 3600):
                for _ in range(self.repeats):
                    share, sizes, memory = self.measure(run, 5, seconds)
                    costs.setdefault(history, []).append(share / 100 / HZ * 1000)
                    self.report.add(f"{history:,} points", "basin", "an update", "bytes", [sizes])
            self.report.add(f"{history:,} points", "basin", "memory of the server", "MB", [memory])
            self.report.add(f"{history:,} points", "basin", "an update to 5 viewers", "ms of CPU",
                            costs[history])  # fmt: skip
        ratio = statistics.median(costs[1_000_000]) / statistics.median(costs[10_000])
        self.report.claim_at_most("an update at 1M points against 10k", ratio, 1.25, "×")

    def measure(self, run: RunDirectory, count: int, seconds: float) -> tuple[float, float, float]:
        """(% of a core, bytes of an update, MB) while so many watch."""
        viewers = [Viewer(self.basin.address, run.id, counts_only=True) for _ in range(count)]

        async def go() -> tuple[float, float]:
            until = asyncio.Event()
            tasks = [asyncio.create_task(viewer.watch(until)) for viewer in viewers]
            await asyncio.sleep(3)
            server = self.basin.dashboard
            before, began = cpu_seconds(server), time.perf_counter()
            sizes = [(viewer.num_bytes, viewer.messages) for viewer in viewers]
            await asyncio.sleep(seconds)
            share = 100 * (cpu_seconds(server) - before) / (time.perf_counter() - began)
            after = [(viewer.num_bytes, viewer.messages) for viewer in viewers]
            until.set()
            await asyncio.gather(*tasks)
            grown = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(sizes, after, strict=True)]
            if count and min(g[1] for g in grown) < 0.9 * HZ * seconds:
                self.report.notes.append(f"of {count} viewers, some were not told everything")
            return share, sum(g[0] for g in grown) / max(sum(g[1] for g in grown), 1)

        share, size = apart(go())
        return share, size, self.basin.dashboard.memory_info().rss / 1e6

    # ------------------------------------------------------------------ a million points

    def open(self) -> None:
        """Five series of 200,000 steps, finished and running, by a client and by a browser."""
        paint: list[float] = []
        peaks: list[float] = []
        kept = True
        for state in ("finished", "running"):
            first, painted = [], []
            for _ in range(max(self.repeats, 2)):
                peak = [0.0]
                self.restart()  # what an earlier run left in memory is not this one's
                run = make_run(200_000, finished=state == "finished")
                with contextlib.ExitStack() as stack:
                    if state == "running":
                        stack.enter_context(speaking(run, HZ, 600))
                    with self.watching_memory(peak):
                        viewer = self.until_history(run)
                        seconds, has_spike = self.opened(run)
                    kept &= has_spike and viewer.spike and viewer.bucketed
                    assert viewer.seconds_to_history is not None
                    first.append(viewer.seconds_to_history)
                    painted.append(seconds)
                    peaks.append(peak[0])
            self.report.add(f"1M points, {state}", "basin", "history sent", "s", first)
            self.report.add(f"1M points, {state}", "basin", "drawn in the browser", "s", painted)
            paint.append(statistics.median(painted))
        self.report.add("1M points", "basin", "memory of the server, most", "MB", peaks)
        self.report.claim_at_most("1M points drawn", max(paint), 2, "s")
        most = statistics.median(peaks)
        self.report.claim_at_most("memory of the server with 1M points", most, 200, "MB")
        self.report.claim_at_least("the spike of one point is kept", float(kept), 1)

    def restart(self) -> None:
        """End the web server; the supervisor starts another one. Return when it answers."""
        before = self.basin.dashboard
        before.kill()
        before.wait()
        with self.page("runs") as page:
            page.wait_for_selector(".bl-runs")

    @contextlib.contextmanager
    def watching_memory(self, peak: list[float]) -> Iterator[None]:
        done = threading.Event()

        def look() -> None:
            server = self.basin.dashboard
            while not done.wait(0.02):
                with contextlib.suppress(psutil.Error):
                    peak[0] = max(peak[0], server.memory_info().rss / 1e6)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def until_history(self, run: RunDirectory) -> Viewer:
        viewer = Viewer(self.basin.address, run.id)

        async def go() -> None:
            until = asyncio.Event()
            task = asyncio.create_task(viewer.watch(until))
            while not viewer.steps:
                await asyncio.sleep(0.01)
            until.set()
            await task

        apart(asyncio.wait_for(go(), 60))
        return viewer

    def opened(self, run: RunDirectory) -> tuple[float, bool]:
        """Seconds from the click on a link to the first curve, and whether it has the spike."""
        context = self.browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(f"{self.basin.address}/runs")
        page.wait_for_selector(".bl-runs")
        page.wait_for_timeout(4000)  # as long as one looks for the run
        began = time.perf_counter()
        page.goto(f"{self.basin.address}/run?id={run.id}&charts={NAMES[0]}")
        page.wait_for_selector(PLOT)
        seconds = time.perf_counter() - began
        highest = page.evaluate(
            """() => Math.max(...document.querySelector(".bl-plot").data[0].y)"""
        )
        context.close()
        return seconds, highest == SPIKE

    # ------------------------------------------------------------------ the page

    def page_keeps(self) -> None:
        """The same node and the same zoom over many updates; frames a second of the landscape."""
        updates = 40 if self.quick else 200
        run = make_run(5000)
        with speaking(run, HZ, 3600), self.page(f"run?id={run.id}&charts={NAMES[0]}") as page:
            plot = page.locator(PLOT).first
            plot.wait_for()
            plot.scroll_into_view_if_needed()
            plot.evaluate("plot => { plot.mark = 'same' }")
            box = plot.bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
            page.mouse.down()
            page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 62, steps=5)
            page.mouse.up()
            zoom = plot.evaluate("plot => plot._fullLayout.xaxis.range")
            page.evaluate("() => { window.seen = [] }")
            page.wait_for_timeout(1000 * updates / HZ)
            after = plot.evaluate("plot => plot._fullLayout.xaxis.range")
            same = page.locator(PLOT).first.evaluate("plot => plot.mark === 'same'")
            seen = page.evaluate("() => new Set(window.seen.map((one) => one[2])).size")
        self.report.add("page", "basin", "updates drawn", "updates", [seen])
        self.report.claim_at_most("remounts", float(not same), 0)
        moved = max(abs(a - b) for a, b in zip(zoom, after, strict=True))
        self.report.claim_at_most("the zoom moved", moved, 1e-6, "steps")
        self.frames()

    def frames(self) -> None:
        found = []
        run = self.train()
        with self.page(f"run?id={run.id}") as page:
            page.wait_for_selector(".bl-hero canvas")
            page.wait_for_timeout(4000)
            for _ in range(3):
                paints = "() => document.querySelector('.bl-hero canvas').paints"
                before, began = page.evaluate(paints), time.perf_counter()
                page.wait_for_timeout(4000)
                found.append((page.evaluate(paints) - before) / (time.perf_counter() - began))
        control.stop(run.id)
        self.wait_over(run)
        self.report.add("page", "basin", "landscape and chains", "frames a second", found)
        self.report.claim_at_least("frames a second", statistics.median(found), 20)

    # ------------------------------------------------------------------ cuts

    def cuts(self) -> None:
        """One client is cut off for a while, another sees the server killed; both end exact."""
        away = 5.0 if self.quick else 30.0
        wrong = []
        for _ in range(self.repeats):
            run = make_run(1000)
            cut, killed = (Viewer(self.basin.address, run.id) for _ in range(2))
            with speaking(run, 50, 10 + 2 * away) as process:
                apart(self.cut(cut, killed, away, process.poll))
            for viewer in (cut, killed):
                stored = [int(step) for step in run.scalars()[NAMES[0]].step]
                wrong.append(float(len(set(stored) ^ set(viewer.steps))
                                   + len(viewer.steps) - len(set(viewer.steps))))  # fmt: skip
        self.report.add("cuts", "basin", "points missing or doubled", "points", wrong)
        self.report.claim_at_most("points missing or doubled after cuts", max(wrong), 0)

    async def cut(
        self, cut: Viewer, killed: Viewer, away: float, poll: Callable[[], int | None]
    ) -> None:
        done, now = asyncio.Event(), asyncio.Event()
        through = asyncio.create_task(killed.watch(done))
        task = asyncio.create_task(cut.watch(now))
        await asyncio.sleep(3)
        now.set()
        await task
        self.basin.dashboard.kill()
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

    # ------------------------------------------------------------------ Redis

    def redis(self) -> None:
        """What the stream of a fast run weighs, by the training job's own frames."""
        found = []
        for _ in range(self.repeats):
            spec = RunSpec(
                method="contrastive_divergence", preset="persistent", data={"name": "ring"},
                config={"num_steps": 1}, budget=Budget(steps=100_000),
            )  # fmt: skip
            run = artifacts.open_run(enqueue.launch(spec))
            deadline = time.monotonic() + 60
            while run.status().step < 4000 and time.monotonic() < deadline:
                time.sleep(0.2)
            control.stop(run.id)
            self.wait_over(run)
            key = store.stream_key(run.id, store.SCALARS)
            client = store.connect()
            entries: Any = client.xrange(key)
            frames = [unpack(entry[b"f"]) for _, entry in entries]
            blocks = [frame.arrays["values"] for frame in frames if "values" in frame.arrays]
            size: Any = client.memory_usage(key, samples=0)
            found.append(size / sum(block.size for block in blocks))
            rows = statistics.fmean(len(block) for block in blocks if block.shape[1] > 1)
            self.report.add("redis", "basin", "steps a block", "steps", [rows])
        self.report.add("redis", "basin", "a million scalars", "MB", found)
        self.report.claim_at_most("Redis a million scalars", statistics.median(found), 7, "MB")

    # ------------------------------------------------------------------ soak

    def soak(self, seconds: float) -> None:
        """Memory of the server and of the page while a run speaks at 5 Hz."""
        run = make_run(1000)
        rows = []
        with (
            speaking(run, HZ, seconds + 600, everything=True),
            self.page(f"run?id={run.id}") as page,
        ):
            tools = page.context.new_cdp_session(page)
            viewers = [Viewer(self.basin.address, run.id, counts_only=True) for _ in range(5)]
            with self.connected(viewers):
                page.wait_for_timeout(min(seconds / 4, 60_000 / 1000) * 1000)
                began = time.monotonic()
                while True:
                    page.evaluate("() => { window.seen = [] }")  # what this benchmark itself notes
                    tools.send("HeapProfiler.collectGarbage")
                    heap = page.evaluate("() => performance.memory.usedJSHeapSize") / 1e6
                    rows.append((self.basin.dashboard.memory_info().rss / 1e6, heap))
                    if time.monotonic() - began > seconds:
                        break
                    page.wait_for_timeout(1000 * min(60, seconds / 8))
        name = f"soak, {seconds / 60:.0f} min" if seconds >= 60 else f"soak, {seconds:.0f} s"
        for place, subject in enumerate(("server", "page")):
            values = [row[place] for row in rows]
            half = values[len(values) // 2 :]
            self.report.add(name, "basin", f"memory of the {subject}", "MB", values)
            growth = statistics.median(half[-3:]) - statistics.median(half[:3])
            self.report.add(name, "basin", f"growth of the {subject}, second half", "MB", [growth])
            self.report.claim_at_most(
                f"growth of the {subject} in the second half", growth, 10, "MB"
            )

    @contextlib.contextmanager
    def connected(self, viewers: list[Viewer]) -> Iterator[None]:
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


HELD = """() => {
    const plots = [...document.querySelectorAll(".bl-plot")].filter((plot) => plot.data)
    return Math.max(0, ...plots.map((plot) => plot.data[0]?.x?.length ?? 0))
}"""


def _points_in(run: RunDirectory) -> int:
    return len(run.scalars()[NAMES[0]].step)


def run(parts: list[str], quick: bool, soak: float) -> Report:
    """Measure the parts, each in its own Basin, one after the other."""
    report = Report("live")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = chromium.launch(playwright.chromium)
        for part in parts:
            with running(Path(folder) / part) as basin:
                stage = Stage(report, basin, browser, quick)
                acts: dict[str, Callable[[], None]] = {
                    "latency": stage.latency, "viewers": stage.viewers, "open": stage.open,
                    "page": stage.page_keeps, "cuts": stage.cuts, "redis": stage.redis,
                    "soak": lambda stage=stage: stage.soak(soak),  # type: ignore[misc]
                }  # fmt: skip
                print(f"{part} ...", file=sys.stderr, flush=True)
                acts[part]()
        browser.close()
    return report


def main() -> None:
    """Measure and print. Exit 1 when a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="shorter, one repeat")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts", default=None)
    parser.add_argument("--soak", type=float, default=None, help="seconds of the soak (20; 3600)")
    arguments = parser.parse_args()
    soak = arguments.soak or (20.0 if arguments.quick else 3600.0)
    report = run(arguments.only or list(PARTS), arguments.quick, soak)
    report.show(arguments.json)
    sys.exit(any(claim.holds == "fails" for claim in report.claims))


if __name__ == "__main__":
    main()
