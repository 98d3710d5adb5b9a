"""A plain training script, tracked by five added lines, in the browser: as `docs` shows it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from basin.reading import OpenRun
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.conftest import ROOT
from tests.dashboard.conftest import Basin, address, press, wait_for
from tests.dashboard.test_run_page import INKED, points_drawn

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = ROOT / "docs" / "examples" / "own_loop.py"
MARK = "  # basin"
MOST_LINES, MOST_ADDED = 65, 6
"""of the script, and of those that track it: five, and the `break` of one of them"""
TOO_HIGH = "0.01"
"""A learning rate that soon spoils what this loop has learnt, which an alarm has to say."""
SPOILT = re.compile("This energy is no density|have the wrong mass")

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]


@contextmanager
def script(home: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The script as a person starts it, for longer than a test takes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BASIN_HOME": str(home)}
    command = [sys.executable, str(SCRIPT), "1000000", *arguments]
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def run_of(process: subprocess.Popen[bytes]) -> RunDirectory:
    """The run that a script has begun."""

    def mine() -> list[str]:
        return [run.id for run in run_store.list_runs() if run.pid == process.pid]

    (run_id,) = wait_for(mine, "its run", 60)
    return run_store.open_run(run_id)


def test_the_script_is_plain_torch_but_for_five_lines(tmp_path: Path) -> None:
    lines = SCRIPT.read_text().splitlines()
    added = [line for line in lines if line.endswith(MARK)]
    assert len(lines) <= MOST_LINES and len(added) == 5
    plain = [line for line in lines if not line.endswith(MARK) and line.strip() != "break"]
    assert not [line for line in plain[6:] if "basin" in line or "run." in line]
    alone = tmp_path / "plain.py"
    alone.write_text("\n".join(plain))
    subprocess.run([sys.executable, str(alone), "5"], cwd=tmp_path, check=True, timeout=100)


def test_it_is_live_with_its_alarms_replayed_compared_and_stopped(basin: Basin, page: Page) -> None:
    with script(basin.home, TOO_HIGH) as process:
        run = run_of(process)
        page.goto(f"{basin.address}/run?id={run.id}")
        page.get_by_text("trained by a script of its own").wait_for()
        hero = page.locator(".bl-hero canvas")
        hero.wait_for()
        wait_for(lambda: hero.evaluate(INKED) > 20, "the landscape", 60)
        page.get_by_text(re.compile("long-run chains$")).wait_for()
        wait_for(lambda: points_drawn(page) > 5, "a curve", 60)
        page.locator(".bl-note").get_by_text(SPOILT).first.wait_for(timeout=120_000)

        before = hero.get_attribute("aria-label")
        slider = page.locator(".bl-time input[type=range]")
        press(slider, "Home")
        page.get_by_text(re.compile("You are looking at step")).wait_for()
        wait_for(lambda: hero.get_attribute("aria-label") != before, "an earlier landscape")
        assert "at=" in address(page)
        page.get_by_role("button", name="live", exact=True).click()
        page.get_by_text(re.compile("You are looking at step")).wait_for(state="hidden")

        beside = basin.launch(100)
        page.goto(f"{basin.address}/compare?runs={run.id},{beside.id}&charts=loss/total")
        page.get_by_role("button", name=re.compile("eight wells")).first.wait_for()
        plot = page.locator(".bl-plot").last
        plot.scroll_into_view_if_needed()
        wait_for(lambda: points_drawn(page) > 5, "both curves", 40)

        page.goto(f"{basin.address}/run?id={run.id}")
        page.get_by_role("button", name=re.compile("Stop$")).first.click()
        assert process.wait(60) == 0
        assert run.status().status == "stopped"
        page.locator(".basin-word", has_text="stopped").first.wait_for()


def test_killed_it_keeps_what_was_drawn_and_is_known_to_be_lost(basin: Basin, page: Page) -> None:
    with script(basin.home) as process:
        run = run_of(process)
        page.goto(f"{basin.address}/run?id={run.id}")
        hero = page.locator(".bl-hero canvas")
        hero.wait_for()
        wait_for(lambda: hero.evaluate(INKED) > 20, "the landscape", 60)
        wait_for(lambda: points_drawn(page) > 5, "a curve", 60)
        drawn = int(re.search(r"step (\d+)", hero.get_attribute("aria-label") or "")[1])
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed = time.monotonic()
        page.locator(".basin-word", has_text="lost").first.wait_for(timeout=10_000)
        assert run.status().status == "lost" and time.monotonic() - killed <= 10
    read = OpenRun(run)
    steps = [step for step, _ in read.events("field", "landscape/model")]
    assert steps[-1] >= drawn and len(read.scalars("loss/total")) >= drawn
    page.reload()
    hero.wait_for()
    wait_for(lambda: hero.evaluate(INKED) > 20, "the landscape that was drawn", 40)
