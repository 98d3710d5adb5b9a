"""A method of one's own, from `basin new` to its finished run in the browser, as it is recorded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.records import run_store
from jobs.system.processes import descendants, is_alive
from tests.conftest import ROOT, free_port
from tests.dashboard.conftest import READY_SECONDS, address, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

MOST_COMMANDS = 10


@contextmanager
def up(log: Path, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`basin up` on a port of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "jobs.cli", "up", "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: "Basin is ready" in log.read_text(), "Basin is ready", READY_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        left = descendants([process.pid])
        process.kill()
        process.wait()
        for each in left:
            if is_alive(each.pid):
                each.kill()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_from_new_to_a_finished_run_in_ten_commands_and_no_line_elsewhere(
    page: Page, basin_home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "research"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BASIN_DEVICES": "cpu"}
    environment.pop("BASIN_REDIS_URL", None)
    commands = 0
    for arguments in (["new", "method", "my_rule"], ["check", "my_rule.py"]):
        command = [sys.executable, "-m", "jobs.cli", *arguments]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        commands += 1
    environment["BASIN_PLUGINS"] = str(folder / "my_rule.py")
    with up(tmp_path / "up.txt", folder, environment) as home:
        commands += 1
        page.goto(f"{home}/launch?method=my_rule")
        page.get_by_text(re.compile("of training")).first.wait_for(timeout=60_000)
        page.get_by_label("Steps", exact=True).fill("150")
        page.get_by_role("button", name=re.compile("^.*Launch")).click()
        page.wait_for_url(re.compile(r"/run\?id="))
        run = run_store.open_run(address(page).rpartition("id=")[2][:20])
        page.get_by_text("My rule, default").first.wait_for()
        wait_for(lambda: run.status().is_over, "the end of the run", 120)
        assert run.status().status == "finished", run.status().reason
        page.get_by_text("finished").first.wait_for()
        assert {path.name for path in folder.iterdir()} >= {"my_rule.py", "test_my_rule.py"}
        assert commands <= MOST_COMMANDS
        # edited since, the page says so; gone, what was recorded is shown all the same
        rule = folder / "my_rule.py"
        rule.write_text(rule.read_text() + "# edited\n")
        page.reload()
        page.get_by_text("It has changed since.").wait_for()
        rule.unlink()
        page.reload()
        page.get_by_text("It is gone").wait_for()
        page.get_by_text("Download", exact=True).first.wait_for()
