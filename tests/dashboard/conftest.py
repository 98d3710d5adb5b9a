"""Basin as a person has it, for browser tests: the whole of `basin up` on its own port and home."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backend.errors import BasinError
from backend.spec import Budget, RunSpec
from jobs.queueing import control, enqueue
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from jobs.system.processes import descendants, is_alive
from tests.conftest import ROOT, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, WebSocket

READY_SECONDS = 60


@dataclass(frozen=True)
class Basin:
    """A running Basin."""

    home: Path
    address: str

    def launch(self, steps: int = 150, wait: bool = True, **spec: Any) -> RunDirectory:
        """Launch a small run, of a preset that is soon judged, on its workers."""
        spec = {"method": "contrastive_divergence", "preset": "plain_persistent", **spec}
        spec.setdefault("data", {"name": "ring", "num": 1000, "num_held_out": 300})
        run_id = enqueue.launch(RunSpec(budget=Budget(steps=steps), **spec))
        directory = run_store.open_run(run_id)
        if wait:
            wait_for(lambda: directory.status().is_over, "the end of the run", 90)
            assert directory.status().status == "finished", directory.status().reason
        return directory


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} s"
        time.sleep(0.05)
    return found


def press(control: Locator, key: str) -> None:
    """Press a key on a control of a page, once it takes keys: one that is off swallows them, and
    one that is hidden yet takes no focus."""
    from playwright.sync_api import expect

    expect(control).to_be_visible(timeout=20_000)
    expect(control).to_be_enabled(timeout=20_000)
    control.press(key)


def address(page: Page) -> str:
    """Ask a page for its address: `page.url` stays as it was while nothing else is asked."""
    from playwright.sync_api import Error

    deadline = time.monotonic() + 10
    while True:
        try:
            return str(page.evaluate("location.href"))
        except Error:  # on its way from one page to another
            if time.monotonic() > deadline:
                raise


def live_frames(page: Page) -> list[str | bytes]:
    """What the live WebSockets of a page receive from now on."""
    received: list[str | bytes] = []

    def listen(socket: WebSocket) -> None:
        if "/live/ws" in socket.url:
            socket.on("framereceived", lambda frame: received.append(frame))

    page.on("websocket", listen)
    return received


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Basin]:
    home = tmp_path_factory.mktemp("dashboard") / "home"
    port = free_port()
    environment = {**os.environ, "BASIN_HOME": str(home), "BASIN_DEVICES": "cpu"}
    environment.pop("BASIN_REDIS_URL", None)
    said = home.parent / "up.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "Basin is ready" in said.read_text(), "Basin is ready", READY_SECONDS)
        yield Basin(home, f"http://127.0.0.1:{port}")
    finally:
        left = descendants([process.pid])
        process.kill()
        process.wait()
        for each in left:
            if is_alive(each.pid):
                each.kill()


@pytest.fixture
def basin(running: Basin, basin_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Basin]:
    """The running Basin; this test's own process sees its home. What a test leaves at work is
    stopped: the next one's runs would wait for it."""
    monkeypatch.setenv("BASIN_HOME", str(running.home))
    monkeypatch.delenv("BASIN_REDIS_URL", raising=False)
    yield running
    for status in run_store.list_runs():
        if not status.is_over:
            with suppress(BasinError):
                control.stop(status.id)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not have thrown when the test ends."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(str(error)))
    opened.set_default_timeout(20_000)
    yield opened
    context.close()
    assert not thrown
