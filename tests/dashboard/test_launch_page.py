"""Launch in a real browser: what is on the page is what is launched, however fast one is."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

import pytest

from jobs import bakeoffs
from jobs.proposals import Kind
from jobs.queueing import control
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import Basin, address, press

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.timeout(150)


def open_launch(basin: Basin, page: Page, query: str = "") -> None:
    """The page with the worker's answer on it, down to the button, which is drawn last."""
    page.goto(f"{basin.address}/launch{query}")
    page.get_by_text(re.compile("of training")).first.wait_for(timeout=60_000)
    launch_button(page).wait_for()


def launch_button(page: Page) -> Locator:
    return page.get_by_role("button", name=re.compile("^.*Launch"))


def launched(page: Page) -> RunDirectory:
    """The run whose page was arrived at; stopped, as its training is not what is tested."""
    page.wait_for_url(re.compile(r"/run\?id="))
    run = run_store.open_run(address(page).rpartition("id=")[2][:20])
    control.stop(run.id)
    return run


# ---------------------------------------------------------------------- launching at once


@pytest.mark.parametrize("how", ["click", "keys"])
def test_what_was_typed_last_is_launched_though_nobody_waited(
    basin: Basin, page: Page, how: str
) -> None:
    open_launch(basin, page)
    page.get_by_label("Steps", exact=True).fill("61")  # still has the focus
    if how == "click":
        launch_button(page).click()
    else:
        page.keyboard.press("Control+Enter")
    assert launched(page).spec().budget.steps == 61


@pytest.mark.slow
def test_a_click_right_after_a_bad_value_launches_nothing(basin: Basin, page: Page) -> None:
    before = len(run_store.list_runs())
    open_launch(basin, page)
    page.get_by_label("Data noise (data sd)", exact=True).fill("14")
    launch_button(page).click()
    page.get_by_text("This cannot be launched yet").wait_for()
    # Mended, it waits for a click of its own.
    box = page.get_by_label("Data noise (data sd)", exact=True)
    box.fill("0.2")
    press(box, "Tab")
    page.get_by_text("This cannot be launched yet").wait_for(state="hidden")
    page.wait_for_timeout(1000)
    assert "/run" not in address(page)
    assert len(run_store.list_runs()) == before


@pytest.mark.slow
def test_neither_a_pasted_spec_nor_a_new_tile_launches_what_was_there_before(
    basin: Basin, page: Page
) -> None:
    before = len(run_store.list_runs())
    open_launch(basin, page)
    page.get_by_text("YAML and command").click()
    area = page.get_by_label("Paste a spec")
    area.fill("method: contrastive_divergence\ndata: {name: moons}\nbudget: {steps: 77}\n")
    press(area, "Control+Enter")  # takes the text, as the area says
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("with the settings of your file").wait_for()
    page.get_by_role("radio", name=re.compile("^Ring")).click()
    page.wait_for_timeout(120)
    launch_button(page).evaluate("button => button.click()")
    page.get_by_text(re.compile("^Ring of Gaussians: ")).wait_for()
    page.wait_for_timeout(500)
    assert "/run" not in address(page) and len(run_store.list_runs()) == before
    bar = page.locator(".st-key-launch_bar")
    page.get_by_label("Steps", exact=True).scroll_into_view_if_needed()
    assert bar.get_by_role("button").bounding_box()["y"] < 860  # type: ignore[index]
    page.set_viewport_size({"width": 800, "height": 900})
    assert bar.get_by_role("button").bounding_box()["y"] < 860  # type: ignore[index]


# ---------------------------------------------------------------------- which method


@pytest.mark.slow
def test_one_click_tries_the_sensible_methods_on_these_data(basin: Basin, page: Page) -> None:
    open_launch(basin, page, "?data=pinwheel")
    page.get_by_text("Proposed: Exact likelihood").wait_for()
    page.get_by_role("button", name=re.compile("Try 6 methods")).click()
    page.get_by_text(re.compile("of 6 methods tried")).wait_for()
    ids = bakeoffs.newest_of({"name": "pinwheel"})
    runs = [run_store.open_run(run_id) for run_id in ids]
    for run in reversed(runs):
        control.stop(run.id)
    specs = [run.spec() for run in runs]
    assert len({(spec.method, spec.preset) for spec in specs}) == 6
    assert {spec.budget.seconds for spec in specs} == {bakeoffs.SECONDS}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_bakeoff_proposes_is_taken_by_a_click(basin: Basin, page: Page) -> None:
    from playwright.sync_api import TimeoutError as TimedOut

    data = {"name": "spirals"}
    for spec in bakeoffs.bakeoff_of(data, Kind((2,), 10_000)).specs():
        run = run_store.create_run(spec)
        nats = -2.0 if spec.method == "noise_contrastive" else -2.5
        run.write_metrics({bakeoffs.DENSITY: nats, f"{bakeoffs.DENSITY}/mixture": -2.3})
        run.write_status(status="finished", ended=time.time())
    open_launch(basin, page, "?data=spirals")
    page.get_by_text("Proposed: Noise-contrastive estimation").wait_for()
    page.get_by_role("button", name=re.compile("Take Noise-contrastive")).click()
    page.get_by_text("with the settings of the proposal").wait_for()
    # Until the proposal is checked the button is that of the method before, whose click is void;
    # a click while it is checked begins that anew.
    for _ in range(4):
        launch_button(page).click()
        with contextlib.suppress(TimedOut):
            page.wait_for_url(re.compile(r"/run\?id="), timeout=25_000)
            break
    spec = launched(page).spec()
    assert (spec.method, spec.preset, spec.data) == ("noise_contrastive", "default", data)
