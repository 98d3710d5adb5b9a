"""A notebook, executed as it stands: what its cells show, and the live page inside of it."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.services import framing
from tests.conftest import ROOT
from tests.dashboard.conftest import Basin, wait_for
from tests.dashboard.runs import make_run
from tests.dashboard.test_run_page import INKED

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOTEBOOK = ROOT / "docs" / "examples" / "own_loop.ipynb"
EXECUTE = """
import sys
import nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=150, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def site(folder: Path) -> Iterator[int]:
    """A site on this machine, as a notebook's server is; its port."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def framing_page(folder: Path, name: str, address: str) -> None:
    frame = f'<iframe src="{address}" width="1200" height="800"></iframe>'
    (folder / name).write_text(f"<!doctype html><title>notebook</title>{frame}")


def test_a_notebook_has_the_live_page_figures_and_tables_in_its_cells(
    basin: Basin, page: Page, tmp_path: Path
) -> None:
    pytest.importorskip("nbclient")
    done = tmp_path / "done.ipynb"
    environment = {
        **os.environ,
        **{name: str(tmp_path) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")},
        "PYTHONPATH": str(ROOT),
        "BASIN_HOME": str(basin.home),
    }
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(done)]
    subprocess.run(command, env=environment, check=True, timeout=200)
    cells = json.loads(done.read_text())["cells"]
    outputs = [
        output["data"]
        for cell in cells
        for output in cell.get("outputs", [])
        if output["output_type"] in ("display_data", "execute_result")
    ]
    shown, curve, landscape, diagnostics, likelihood = outputs
    (line,) = curve["application/vnd.plotly.v1+json"]["data"]
    assert line["name"] == "loss/total"
    assert landscape["application/vnd.plotly.v1+json"]["data"][0]["type"] == "heatmap"
    assert "split R-hat" in "".join(diagnostics["text/html"])
    assert "density/log_likelihood" in "".join(likelihood["text/html"])
    html = "".join(shown["text/html"])
    (tmp_path / "cell.html").write_text(f"<!doctype html>{html}")
    with site(tmp_path) as port:
        page.goto(f"http://localhost:{port}/cell.html")
        inside = page.frame_locator("iframe")
        inside.get_by_text("two wells, from a notebook").first.wait_for(timeout=40_000)
        hero = inside.locator(".bl-hero canvas")
        hero.wait_for()
        wait_for(lambda: hero.evaluate(INKED) > 20, "the landscape", 40)
        inside.locator(".basin-word", has_text="finished").first.wait_for()


def test_without_its_ticket_no_page_is_framed(basin: Basin, page: Page, tmp_path: Path) -> None:
    run = make_run()
    address = framing.address_of(run.id, basin.address)
    framing_page(tmp_path, "ticket.html", address)
    framing_page(tmp_path, "none.html", address.rpartition("&frame=")[0])
    framing_page(tmp_path, "runs.html", f"{basin.address}/runs")
    refused: list[str] = []
    page.on("console", lambda line: refused.append(line.text))
    with site(tmp_path) as port:
        here = f"http://localhost:{port}"
        for place in ("none", "runs"):
            refused.clear()
            page.goto(f"{here}/{place}.html")
            wait_for(lambda: [line for line in refused if "frame-ancestors" in line], "a refusal")
            page.frame_locator("iframe").locator(".stApp").wait_for(state="detached")
        page.goto(f"{here}/ticket.html")
        page.frame_locator("iframe").locator(".bl-hero canvas").wait_for(timeout=40_000)
