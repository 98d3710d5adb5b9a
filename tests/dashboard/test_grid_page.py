"""The Grid page in a real browser: hundreds of cells are launched, drawn, judged and opened."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from jobs.grids import records
from jobs.records import sample_sets
from tests.dashboard.conftest import Basin, address, press, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STEP_SIZES = ", ".join(str(round(0.01 * number, 2)) for number in range(1, 13))
NUM_STEPS = ", ".join(map(str, range(1, 13)))
FIRST_SECONDS = 2.0
"""On a machine with a core to spare: a busy one is given as much more as its load says."""


def draw(page: Page, *values: str) -> None:
    fields = page.get_by_label("Values")
    for index, text in enumerate(values):
        fields.nth(index).fill(text)
        press(fields.nth(index), "Enter")
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name="Draw the grid").click()


def test_a_grid_of_hundreds_is_launched_drawn_and_opened(basin: Basin, page: Page) -> None:
    run = basin.launch(steps=30, name="for the grid")
    page.goto(f"{basin.address}/grid?run={run.id}")
    page.get_by_role("button", name="Draw the grid").wait_for(timeout=60_000)
    # what is no grid is said, and nothing is drawn
    draw(page, "0.1", NUM_STEPS)
    page.get_by_text(re.compile("needs two values of `?sampler.step_size")).wait_for()
    assert records.list_grids(run.id) == []
    page.get_by_label("Beside").click()
    page.get_by_role("option", name="seed", exact=True).click()
    page.get_by_label("Samples in a cell").fill("8")
    press(page.get_by_label("Samples in a cell"), "Enter")
    page.evaluate(
        """() => {
          document.addEventListener("click", () => (window.pressed = performance.now()), true)
          document.addEventListener("basin:drawn", () => (window.first ??= performance.now()), true)
        }"""
    )
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    draw(page, STEP_SIZES, NUM_STEPS, "0, 1, 2")
    cells = page.locator(".bl-lattices").first.locator(".bl-xyz-cell")
    cells.first.locator("canvas").wait_for()
    seconds = page.evaluate("(window.first - window.pressed) / 1000")
    wait_for(lambda: "id=" in address(page), "a link to the grid")
    (grid,) = records.list_grids(run.id)
    assert len(grid.sets) == cells.count() == 432
    page.get_by_text("of 432 cells drawn").wait_for(timeout=180_000)
    assert {cell.state if cell else "" for cell in grid.cells()} == {"done"}
    assert seconds <= FIRST_SECONDS * busy, f"the first cell came after {seconds:.1f} s"
    # only what is in sight was read
    canvases = page.locator(".bl-xyz-cell canvas")
    wait_for(lambda: canvases.count() > 100, "the cells in sight")
    assert canvases.count() < 432
    # a cell opens as the sample set that it is
    cells.nth(5).click()
    opened = page.locator(".bl-chosen-cell")
    opened.locator("canvas").wait_for()
    assert sample_sets.open_set(grid.sets[5]).config["sampler"]["step_size"] == 0.06
    for words in ("step size 0.06", grid.sets[5]):
        opened.get_by_text(re.compile(words)).first.wait_for()
    page.keyboard.press("ArrowRight")
    opened.get_by_text(re.compile("step size 0.07")).wait_for()
    with page.expect_download() as download:
        opened.get_by_role("link", name="Download .npz").click()
    assert download.value.suggested_filename == f"{grid.sets[6]}.npz"
    # figures over the same axes
    page.get_by_label("Figure").select_option("energy")
    figures = page.locator(".bl-lattices").last.locator(".bl-xyz-cell")
    wait_for(lambda: re.search(r"\d", figures.first.inner_text()), "figures in the cells")
    # the link holds what is shown; the same grid again draws nothing
    times = [cell.updated for cell in grid.cells() if cell]
    page.reload()
    opened.get_by_text(re.compile("step size 0.07")).wait_for(timeout=60_000)
    assert page.get_by_label("Figure").input_value() == "energy"
    page.get_by_text("Another grid").click()
    page.get_by_role("button", name="Draw the grid").click()
    page.get_by_text("of 432 cells drawn").wait_for()
    assert [cell.updated for cell in grid.cells() if cell] == times
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440


def test_a_grid_is_stopped_and_goes_on(basin: Basin, page: Page) -> None:
    run = basin.launch(steps=30, name="for a stop")
    page.goto(f"{basin.address}/grid?run={run.id}")
    page.get_by_role("button", name="Draw the grid").wait_for(timeout=60_000)
    draw(page, "0.01, 0.02", "1, 50000")
    page.locator(".bl-xyz-cell.done").first.wait_for(timeout=30_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("cells stopped").wait_for()
    page.get_by_role("button", name=re.compile(r"Draw the \d left")).click()
    page.get_by_text("cells drawing").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("cells stopped").wait_for()
    time.sleep(1)  # its cell is ended too: the worker is free for others
    grid = records.list_grids(run.id)[0]
    wait_for(lambda: all(c is None or c.state != "drawing" for c in grid.cells()), "the end of it")
    # it is deleted once that is confirmed, with its cells
    page.get_by_text("All grids").click()
    page.locator(f'[class*="grid_delete-{grid.id}"] button').click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("are deleted for good").wait_for()
    assert records.list_grids(run.id) == [grid]
    dialog.get_by_role("button", name="Delete it").click()
    wait_for(lambda: records.list_grids(run.id) == [], "a grid less")
    page.get_by_text("Samples of a trained run").wait_for()
    assert sample_sets.list_sets(run.id) == []
