"""Stage of the live benchmark: one Basin, browsers on it, jobs it trains."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from backend.spec import Budget, RunSpec
from benchmarks import chromium
from benchmarks.live_work import Basin
from benchmarks.report import Report
from jobs.queueing import enqueue
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory

T = TypeVar("T")
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


@dataclass(frozen=True)
class Stage:
    """Equipment of a part: the report it adds to, a Basin of its own, a browser."""

    report: Report
    basin: Basin
    browser: Browser
    quick: bool
    soak_seconds: float

    @property
    def repeats(self) -> int:
        return 1 if self.quick else 3

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

    def train(self) -> RunDirectory:
        spec = RunSpec(
            method="contrastive_divergence",
            preset="persistent",
            data={"name": "ring"},
            budget=Budget(steps=1_000_000),
        )
        return run_store.open_run(enqueue.launch(spec))

    def wait_over(self, run: RunDirectory) -> None:
        deadline = time.monotonic() + 60
        while not run.status().is_over and time.monotonic() < deadline:
            time.sleep(0.1)
