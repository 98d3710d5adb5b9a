"""Delay until Trackio and TensorBoard show a scalar that a running job logs.

    python -m benchmarks.live_peers [--seconds 20] [--json]

A process logs five scalars at 5 Hz and notes the moment before each step. The latency of a step
ends when Chromium, with the peer's own page open in it, has received a response that contains the
step (or a later one), by Chromium's own network clock. What the page then needs to draw it is not
counted, so every figure is a lower bound of what a person waits, in the peer's favour.

Trackio's page asks once a second by itself. TensorBoard's page asks for nothing until somebody
presses reload: its automatic reload is off by default, and 30 s is the shortest period it takes.
Hence two figures. `tensorboard` is its page with the automatic reload on, at those 30 s.
`tensorboard_polled` has no page: its data API, asked five times a second, which bounds from below
what somebody sees who presses reload all the time. For both its server looks for new events every
second (every 5 s by default), with the loader that all platforms have, and the writer flushes at
every step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Request, sync_playwright

from benchmarks import chromium
from benchmarks.live_peers_work import NAMES, PROJECT

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
WORK = ROOT / "benchmarks" / "live_peers_work.py"
HZ = 5.0
TENSORBOARD_PERIOD = 30.0
"""the period of TensorBoard's automatic reload in seconds: its default and its minimum"""
ROUND_SECONDS = 5.0
START_SECONDS = 60.0


@dataclass(frozen=True)
class Arrival:
    """A response: the moment its last byte came and the last step in it."""

    moment: float
    step: int


Receive = Callable[[], list[Arrival]]
"""waits a moment and returns what came since"""


def trackio(browser: Browser, seconds: float, hz: float = HZ) -> list[float]:
    """Latencies of the steps of `seconds`, at Trackio's own local page.

    The page is opened anew every few seconds: it asks every 1 s and the logger writes every 0.5 s,
    so while it stays open the phase between the two, on which the latency depends, hardly moves.
    """
    rounds = max(1, round(seconds / ROUND_SECONDS))
    with _folder() as folder:
        port = _free_port()
        environment = _environment(folder)
        with (
            _logging("trackio", folder, hz, environment) as stamps,
            _process([str(WORK), "trackio-page", str(port)], folder, environment) as page,
        ):
            url = f"http://127.0.0.1:{port}/"
            _wait_for(url, page, folder)
            delays: list[float] = []
            for _ in range(rounds):
                with _page(browser, f"{url}?project={PROJECT}", "/get_logs") as receive:
                    delays += _latencies(stamps, receive, seconds / rounds, patience=20)
            return delays


def tensorboard(browser: Browser, seconds: float, hz: float = HZ) -> list[float]:
    """Latencies at TensorBoard's page, automatic reload on.

    Over whole periods of the reload, one at least, so that steps come at every phase of it alike.
    """
    periods = max(1, math.ceil(seconds / TENSORBOARD_PERIOD))
    with _tensorboard(hz) as (url, stamps):
        switch_on = (
            "localStorage.setItem('_tb_global_settings', JSON.stringify({autoReload: true}))"
        )
        with _page(browser, f"{url}#timeseries", "/timeseries/timeSeries", switch_on) as receive:
            patience = TENSORBOARD_PERIOD + 20
            return _latencies(stamps, receive, periods * TENSORBOARD_PERIOD, patience)


def tensorboard_polled(seconds: float, hz: float = HZ) -> list[float]:
    """Latencies at TensorBoard's data API, asked every 200 ms: a lower bound for any page of it."""
    with _tensorboard(hz) as (url, stamps):
        query = urlencode({"tag": NAMES[0], "run": "run"})
        address = f"{url}data/plugin/scalars/scalars?{query}"
        next_time = time.monotonic()

        def receive() -> list[Arrival]:
            nonlocal next_time
            time.sleep(max(0.0, next_time - time.monotonic()))
            next_time = max(next_time + 0.2, time.monotonic())
            try:
                with urllib.request.urlopen(address, timeout=10) as response:
                    rows = json.loads(response.read())
            except urllib.error.HTTPError:  # it has not found the run yet
                return []
            moment = time.time()
            return [Arrival(moment, rows[-1][1])] if rows else []

        return _latencies(stamps, receive, seconds, patience=20)


def measure(seconds: float, hz: float = HZ) -> dict[str, list[float]]:
    """Latencies in seconds of every step logged in `seconds`, per peer.

    Raises RuntimeError when the peers or Chromium are missing, or a peer does not show its steps.
    """
    _need_peers()
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright.chromium)
        try:
            return {
                "trackio": trackio(browser, seconds, hz),
                "tensorboard": tensorboard(browser, seconds, hz),
                "tensorboard_polled": tensorboard_polled(seconds, hz),
            }
        finally:
            browser.close()


def _latencies(
    stamps: dict[int, float], receive: Receive, seconds: float, patience: float
) -> list[float]:
    """From the first arrival on, watch `seconds` of steps until all have come.

    Raises RuntimeError when nothing arrives, or steps are missing `patience` seconds later.
    """
    arrivals: list[Arrival] = []
    deadline = time.time() + START_SECONDS
    while not arrivals:
        if time.time() > deadline:
            raise RuntimeError(f"Nothing was shown within {START_SECONDS:g} s of opening the page.")
        arrivals += receive()
    start = arrivals[0].moment
    end = start + seconds
    while True:
        arrivals += receive()
        if time.time() < end + 0.5:  # the last steps must have been told, too
            continue
        wanted = {step: stamp for step, stamp in list(stamps.items()) if start <= stamp < end}
        if not wanted:
            raise RuntimeError("Nothing was logged while the page was open.")
        if max(arrival.step for arrival in arrivals) >= max(wanted):
            break
        if time.time() > end + patience:
            raise RuntimeError(f"Steps were still missing {patience:g} s after they were logged.")
    # A response thins out long series, so a step counts as shown once it or a later one is.
    return [
        min(arrival.moment for arrival in arrivals if arrival.step >= step) - stamp
        for step, stamp in sorted(wanted.items())
    ]


@contextlib.contextmanager
def _page(browser: Browser, url: str, data_path: str, script: str = "") -> Iterator[Receive]:
    """A page at `url`; every response from a path with `data_path` in it arrives.

    script: runs before any of the page's own.
    """
    # Tall, because TensorBoard asks only for the charts in view.
    context = browser.new_context(viewport={"width": 1280, "height": 1600})
    finished: list[Request] = []
    try:
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.on(
            "requestfinished",
            lambda request: finished.append(request) if data_path in request.url else None,
        )
        page.goto(url, wait_until="domcontentloaded")

        def receive() -> list[Arrival]:
            page.wait_for_timeout(100)
            requests, finished[:] = list(finished), []
            return [arrival for request in requests if (arrival := _arrival(request))]

        yield receive
    finally:
        context.close()


def _arrival(request: Request) -> Arrival | None:
    response = request.response()
    if response is None or not response.ok:
        return None
    step = _last_step(response.json())
    timing = request.timing
    moment = (timing["startTime"] + timing["responseEnd"]) / 1000
    return None if step is None else Arrival(moment, step)


def _last_step(node: Any) -> int | None:
    """The greatest "step" anywhere in a response."""
    if isinstance(node, dict):
        steps = [_last_step(value) for value in node.values()]
        if isinstance(node.get("step"), int | float):
            steps.append(int(node["step"]))
    elif isinstance(node, list):
        steps = [_last_step(value) for value in node]
    else:
        return None
    return max((step for step in steps if step is not None), default=None)


@contextlib.contextmanager
def _tensorboard(hz: float) -> Iterator[tuple[str, dict[int, float]]]:
    """A TensorBoard and a process that logs to it: its address and the moments of the steps."""
    with _folder() as folder:
        port = _free_port()
        environment = _environment(folder)
        command = ["-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--reload_interval", "1", "--load_fast=false"]
        with (
            _logging("tensorboard", folder, hz, environment) as stamps,
            _process(command, folder, environment) as server,
        ):
            url = f"http://127.0.0.1:{port}/"
            _wait_for(url, server, folder)
            yield url, stamps


@contextlib.contextmanager
def _logging(
    peer: str, folder: Path, hz: float, environment: dict[str, str]
) -> Iterator[dict[int, float]]:
    """A process that logs to a peer: the moment of every step, growing."""
    stamps: dict[int, float] = {}

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            stamps[message["step"]] = message["stamp"]

    command = [str(WORK), peer, str(folder), str(hz)]
    with _process(command, folder, environment) as process:
        reader = threading.Thread(target=read, args=(process,), daemon=True)
        reader.start()
        deadline = time.monotonic() + START_SECONDS
        while not stamps:
            _check(process, folder, deadline)
            time.sleep(0.05)
        yield stamps


@contextlib.contextmanager
def _process(
    arguments: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A process of the peers' Python, ended at the end."""
    _need_peers()
    with (
        (folder / "errors.txt").open("a") as errors,
        subprocess.Popen(
            [str(PEERS), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with everything of the peers' kept in `folder` and on this machine."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRACKIO_", "HF_", "GRADIO_", "SPACE", "PYTHONPATH"))
    }
    return ours | {
        "TMPDIR": str(folder),
        "TRACKIO_DIR": str(folder / "trackio"),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _wait_for(url: str, process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            _check(process, folder, deadline)
            time.sleep(0.1)


def _check(process: subprocess.Popen[str], folder: Path, deadline: float) -> None:
    """Raises RuntimeError, with the last that was said, when a process ended or took too long."""
    if process.poll() is not None or time.monotonic() > deadline:
        errors = (folder / "errors.txt").read_text().strip().splitlines()
        raise RuntimeError(f"A peer did not start: {errors[-1] if errors else 'it said nothing'}")


def _need_peers() -> None:
    if not PEERS.exists():
        raise RuntimeError("Trackio and TensorBoard are not installed: run `make peers` first.")


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def summary(latencies: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and worst in seconds, and of how many."""
    ordered = sorted(latencies)
    return {
        "median": statistics.median(ordered),
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
        "n": len(ordered),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0, help="of steps a peer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = {peer: summary(delays) for peer, delays in measure(arguments.seconds).items()}
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for peer, row in rows.items():
        figures = f"median {row['median']:.2f} s, p95 {row['p95']:.2f} s, worst {row['max']:.2f} s"
        print(f"{peer:20} {figures} (n = {row['n']})")


if __name__ == "__main__":
    main()
