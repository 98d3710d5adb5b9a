"""The parts of the live benchmark that look at the page: how soon it shows what a run says, how
soon a million points, and what it keeps while more is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from playwright.sync_api import Page

from benchmarks import live_peers
from benchmarks.live_stage import HZ, PLOT, Stage, apart, percentile
from benchmarks.live_work import NAMES, SPIKE, Viewer, make_run, speaking
from jobs.queueing import control
from jobs.records.run_directory import RunDirectory

HELD = """() => {
    const plots = [...document.querySelectorAll(".bl-plot")].filter((plot) => plot.data)
    return Math.max(0, ...plots.map((plot) => plot.data[0]?.x?.length ?? 0))
}"""


def latency(stage: Stage) -> None:
    """A training job as it comes: scalars ten times a second, pictures up to five."""
    seconds = 15.0 if stage.quick else 30.0
    alone, beside, samples, others = [], [], [], []
    big = [make_run(200_000, finished=True).id for _ in range(2)]
    for _ in range(stage.repeats):
        run = stage.train()
        with stage.page(f"run?id={run.id}") as page:
            page.wait_for_selector(PLOT)
            page.wait_for_selector(".bl-hero canvas")
            page.wait_for_timeout(3000)
            first = _painted(page, seconds)
            address = f"compare?runs={','.join(big)}&charts={NAMES[0]},{NAMES[1]}"
            with stage.elsewhere() as browser, stage.page(address, browser) as other:
                second = _painted(page, seconds / 3)
                other.wait_for_selector(PLOT)
                for kind, more in _painted(page, seconds / 3).items():
                    second[kind] += more
        control.stop(run.id)
        stage.wait_over(run)
        alone.append(percentile(first["scalar"], 0.95))
        samples.append(percentile(first["picture"], 0.95))
        beside.append(percentile(second["scalar"], 0.95))
        others.append(percentile(second["picture"], 0.95))
        rate = len(first["picture"]) / seconds
        stage.report.add("training", "basin", "pictures shown", "a second", [rate])
        for kind, delays in first.items():
            stage.report.add(
                "training", "basin", f"{kind} visible, p50", "s", [percentile(delays, 0.5)]
            )
    stage.report.add("training", "basin", "scalar visible, p95", "s", alone)
    stage.report.add("training", "basin", "picture visible, p95", "s", samples)
    stage.report.add("a million points opened", "basin", "scalar visible, p95", "s", beside)
    stage.report.add("a million points opened", "basin", "picture visible, p95", "s", others)
    claim = stage.report.claim_at_most
    claim("scalars visible while training, p95", statistics.median(alone), 0.3, "s")
    claim("pictures visible while training, p95", statistics.median(samples), 0.3, "s")
    claim("scalars visible while a million points open, p95", statistics.median(beside), 0.3, "s")
    claim("pictures visible while a million points open, p95", statistics.median(others), 0.3, "s")
    _peers(stage, _steady(stage))


def _painted(page: Page, seconds: float) -> dict[str, list[float]]:
    """Seconds from stamp to visible of what was painted from now on, each frame once."""
    page.evaluate("() => { window.seen = [] }")
    page.wait_for_timeout(seconds * 1000)
    first: dict[tuple[str, int], float] = {}
    for kind, _, seq, stamp, painted in page.evaluate("() => window.seen"):
        if kind in ("scalar", "points", "images", "field", "trajectory") and stamp:
            what = "scalar" if kind == "scalar" else "picture"
            first[what, seq] = min(first.get((what, seq), np.inf), painted - stamp)
    return {
        kind: [value for (what, _), value in first.items() if what == kind]
        for kind in ("scalar", "picture")
    }


def _steady(stage: Stage) -> list[float]:
    """Five scalars, samples and a landscape, five times a second, from a process of its own."""
    seconds = 10.0 if stage.quick else 20.0
    delays: dict[str, list[float]] = {"scalar": [], "picture": []}
    missed, ours = [], []
    for _ in range(stage.repeats):
        run = make_run(100)
        with (
            speaking(run, HZ, 600, everything=True),
            stage.page(f"run?id={run.id}&charts={NAMES[0]}") as page,
        ):
            page.wait_for_selector(PLOT)
            page.wait_for_selector(".bl-hero canvas")
            page.wait_for_timeout(1500)
            seen = _painted(page, seconds)
            held = page.evaluate(HELD)
            wanted = len(run.scalars()[NAMES[0]].step)
            missed.append(max(wanted - held - 2 * HZ, 0))
        for kind, values in seen.items():
            delays[kind].append(percentile(values, 0.95))
        ours.append(percentile(seen["scalar"], 0.5))
    stage.report.add("5 Hz", "basin", "scalar visible, p50", "s", ours)
    stage.report.add("5 Hz", "basin", "scalar visible, p95", "s", delays["scalar"])
    stage.report.add("5 Hz", "basin", "picture visible, p95", "s", delays["picture"])
    stage.report.add("5 Hz", "basin", "points dropped", "points", missed)
    stage.report.claim_at_most(
        "scalars visible at 5 Hz, p95", statistics.median(delays["scalar"]), 0.3, "s"
    )
    stage.report.claim_at_most(
        "pictures visible at 5 Hz, p95", statistics.median(delays["picture"]), 0.3, "s"
    )
    return ours


def _peers(stage: Stage, ours: list[float]) -> None:
    """The trackers in the same run."""
    seconds = 10.0 if stage.quick else 30.0
    measures: dict[str, Callable[[], list[float]]] = {
        "trackio": lambda: live_peers.trackio(stage.browser, seconds, HZ),
        "tensorboard": lambda: live_peers.tensorboard(stage.browser, seconds, HZ),
    }
    if stage.quick:
        del measures["tensorboard"]  # its page reloads every 30 s
    medians: dict[str, float] = {}
    for name, measure in measures.items():
        try:
            measured = [measure() for _ in range(1 if name == "tensorboard" else stage.repeats)]
        except RuntimeError as error:
            stage.report.notes.append(f"{name} was left out: {error}")
            continue
        medians[name] = statistics.median(percentile(values, 0.5) for values in measured)
        for share in (0.5, 0.95):
            stage.report.add(
                "5 Hz",
                name,
                f"scalar in the browser, p{round(100 * share)}",
                "s",
                [percentile(values, share) for values in measured],
            )
    if "trackio" in medians:
        ratio = medians["trackio"] / statistics.median(ours)
        stage.report.claim_at_least("sooner than Trackio, of medians", ratio, 3, "×")


# ------------------------------------------------------------------ a million points


def opening(stage: Stage) -> None:
    """Five series of 200,000 steps, finished and running, by a client and by a browser."""
    paint: list[float] = []
    peaks: list[float] = []
    complete = True
    for state in ("finished", "running"):
        first, painted = [], []
        for _ in range(max(stage.repeats, 2)):
            peak = [0.0]
            _restart(stage)  # what an earlier run left in memory is not this one's
            run = make_run(200_000, finished=state == "finished")
            with contextlib.ExitStack() as stack:
                if state == "running":
                    stack.enter_context(speaking(run, HZ, 600))
                with _watching_memory(stage, peak):
                    viewer = _until_history(stage, run)
                    seconds, has_spike = _opened(stage, run)
                complete &= has_spike and viewer.spike and viewer.bucketed
                assert viewer.seconds_to_history is not None
                first.append(viewer.seconds_to_history)
                painted.append(seconds)
                peaks.append(peak[0])
        stage.report.add(f"1M points, {state}", "basin", "history sent", "s", first)
        stage.report.add(f"1M points, {state}", "basin", "drawn in the browser", "s", painted)
        paint.append(statistics.median(painted))
    stage.report.add("1M points", "basin", "memory of the server, most", "MB", peaks)
    stage.report.claim_at_most("1M points drawn", max(paint), 2, "s")
    most = statistics.median(peaks)
    stage.report.claim_at_most("memory of the server with 1M points", most, 200, "MB")
    stage.report.claim_at_least("the spike of one point is kept", float(complete), 1)


def _restart(stage: Stage) -> None:
    """End the web server; the supervisor starts another one. Return when it answers."""
    before = stage.basin.dashboard
    before.kill()
    before.wait()
    with stage.page("runs") as page:
        page.wait_for_selector(".bl-runs")


@contextlib.contextmanager
def _watching_memory(stage: Stage, peak: list[float]) -> Iterator[None]:
    done = threading.Event()

    def look() -> None:
        server = stage.basin.dashboard
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


def _until_history(stage: Stage, run: RunDirectory) -> Viewer:
    viewer = Viewer(stage.basin.address, run.id)

    async def go() -> None:
        until = asyncio.Event()
        task = asyncio.create_task(viewer.watch(until))
        while not viewer.steps:
            await asyncio.sleep(0.01)
        until.set()
        await task

    apart(asyncio.wait_for(go(), 60))
    return viewer


def _opened(stage: Stage, run: RunDirectory) -> tuple[float, bool]:
    """Seconds from the click on a link to the first curve, and whether it has the spike."""
    context = stage.browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{stage.basin.address}/runs")
    page.wait_for_selector(".bl-runs")
    page.wait_for_timeout(4000)  # as long as one looks for the run
    began = time.perf_counter()
    page.goto(f"{stage.basin.address}/run?id={run.id}&charts={NAMES[0]}")
    page.wait_for_selector(PLOT)
    seconds = time.perf_counter() - began
    highest = page.evaluate("""() => Math.max(...document.querySelector(".bl-plot").data[0].y)""")
    context.close()
    return seconds, highest == SPIKE


# ------------------------------------------------------------------ the page


def keeping(stage: Stage) -> None:
    """The same node and the same zoom over many updates; frames a second of the landscape."""
    updates = 40 if stage.quick else 200
    run = make_run(5000)
    with speaking(run, HZ, 3600), stage.page(f"run?id={run.id}&charts={NAMES[0]}") as page:
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
    stage.report.add("page", "basin", "updates drawn", "updates", [seen])
    stage.report.claim_at_most("remounts", float(not same), 0)
    moved = max(abs(a - b) for a, b in zip(zoom, after, strict=True))
    stage.report.claim_at_most("the zoom moved", moved, 1e-6, "steps")
    _frames(stage)


def _frames(stage: Stage) -> None:
    frames = []
    run = stage.train()
    with stage.page(f"run?id={run.id}") as page:
        page.wait_for_selector(".bl-hero canvas")
        page.wait_for_timeout(4000)
        for _ in range(3):
            paints = "() => document.querySelector('.bl-hero canvas').paints"
            before, began = page.evaluate(paints), time.perf_counter()
            page.wait_for_timeout(4000)
            frames.append((page.evaluate(paints) - before) / (time.perf_counter() - began))
    control.stop(run.id)
    stage.wait_over(run)
    stage.report.add("page", "basin", "landscape and chains", "frames a second", frames)
    stage.report.claim_at_least("frames a second", statistics.median(frames), 20)
