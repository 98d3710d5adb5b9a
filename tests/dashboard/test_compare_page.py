"""Compare by eye: one slider for eight runs, and the comparison as a file of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from backend.events import Cost, Images
from backend.spec import RunSpec
from jobs.execution.emitter import Emitter
from jobs.models import sample_drawing
from jobs.queueing import sample_jobs
from jobs.records import run_store
from tests.dashboard.conftest import Basin, address, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

NUM_RUNS, NUM_IMAGES, NUM_STEPS, SIDE = 8, 64, 50, 28
LEAST_FRAMES, MOST_MB = 20, 300
PATH = "samples/long_run"

GRIDS = 'document.querySelectorAll(".bl-compared .bl-card > canvas")'
AT = f"""(step) => [...{GRIDS}].slice(0, 8).every(
    (grid) => grid.getContext("2d").getImageData(2, 2, 1, 1).data[0] === 5 * step)"""
"""Every model's grid shows a step: its images are as bright as five times the step."""
MOVE = f"""async () => {{
    const slider = document.querySelector("[aria-label='Step looked at']")
    const grids = [...{GRIDS}].slice(0, 8)
    const began = performance.now()
    let right = 0
    for (let move = 0; move < 200; move++) {{
        const step = (move * 7) % 50
        slider.value = step
        slider.dispatchEvent(new Event("input"))
        await new Promise((resolve) => requestAnimationFrame(resolve))
        // reading back costs more than drawing: one grid in turn
        const [pixel] = grids[move % 8].getContext("2d").getImageData(2, 2, 1, 1).data
        right += pixel === 5 * step
    }}
    return [right, (1000 * right) / (performance.now() - began)]
}}"""
"""Move the slider about; returns the moves whose grid was right in their frame, and those a
second."""


def recorded(number: int, num_steps: int = NUM_STEPS, num_images: int = NUM_IMAGES) -> str:
    """A finished run that recorded images at every step, as bright as five times the step."""
    spec = RunSpec(
        method="contrastive_divergence",
        preset="plain_persistent",
        name=f"model {number}",
        data={"name": "digits"},
        config={"num_steps": number + 1},
    )
    directory = run_store.create_run(spec)
    emitter = Emitter(directory, None, flush_seconds=0.01)
    for step in range(num_steps):
        pixels = np.full((num_images, SIDE, SIDE), 5 * step, np.uint8)
        cost = Cost(step, step, float(step), None)
        emitter.event(Images(PATH, pixels, "long_run", -1.0, 1.0), cost)
        emitter.scalars(["loss/total"], np.array([[float(step)]], np.float32), cost, cost)
    emitter.close()
    directory.compact()
    directory.write_status(status="finished", step=num_steps)
    directory.write_metrics({"quality/energy_distance/long_run": 0.5 + number})
    return directory.id


@pytest.mark.slow
def test_the_slider_of_eight_runs_is_quick_and_the_page_small(basin: Basin, page: Page) -> None:
    runs = ",".join(recorded(number) for number in range(NUM_RUNS))
    page.goto(f"{basin.address}/compare?runs={runs}&picture={PATH}")
    slider = page.get_by_label("Step looked at")
    slider.wait_for()
    wait_for(lambda: slider.get_attribute("max") == str(NUM_STEPS - 1), "all moments")
    for step in range(NUM_STEPS):
        slider.fill(str(step))
        wait_for(lambda at=step: page.evaluate(AT, at), f"step {step}")
    right, rate = page.evaluate(MOVE)
    assert right == 200, "a move was not drawn in its frame"
    most = max(_megabytes_of_pages(page))
    assert rate >= LEAST_FRAMES, f"{rate:.0f} moves a second"
    assert most < MOST_MB, f"{most:.0f} MB"


def _megabytes_of_pages(page: Page) -> list[float]:
    """Memory of each renderer, its own alone."""
    browser = page.context.browser
    assert browser is not None
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    pids = [each["id"] for each in processes if each["type"] == "renderer"]
    return [psutil.Process(pid).memory_full_info().uss / 1e6 for pid in pids]


@pytest.mark.slow
def test_a_report_opens_from_disk_and_asks_no_server(
    basin: Basin, page: Page, tmp_path: Path
) -> None:
    runs = [recorded(number, num_steps=5, num_images=4) for number in range(2)]
    page.goto(f"{basin.address}/compare?runs={','.join(runs)}&picture={PATH}")
    page.get_by_label("Step looked at").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export report").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.get_by_role("heading", name="Long-run samples while they trained").wait_for()
    assert [each for each in asked if not each.startswith("data:")] == [path.as_uri()]
    slider = page.get_by_label("Training step")
    pictures = page.locator("section:has(output) img:visible")
    for place in (0, 3):
        slider.fill(str(place))
        page.locator("output", has_text=f"step {place}").wait_for()
        wait_for(lambda: pictures.count() == 2, "both pictures of a step")
    broken = "images => images.filter(each => !each.naturalWidth).length"
    assert page.eval_on_selector_all("img", broken) == 0
    page.locator("svg").first.wait_for(state="attached")
    for words in ("Energy distance to held-out data", "config.num_steps", "model 1", runs[0]):
        assert words in page.content()


@pytest.mark.slow
def test_two_runs_are_tested_for_a_difference_beyond_chance_and_the_report_says_it(
    basin: Basin, page: Page, tmp_path: Path
) -> None:
    runs = [basin.launch(30, seed=4), basin.launch(2, seed=5, config={"num_steps": 3})]
    page.goto(f"{basin.address}/compare?runs={runs[0].id},{runs[1].id}")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("img", name="Map of where the draws").wait_for(timeout=60_000)
    said = page.locator(".bl-tested .bl-answer", has_text="beyond chance")
    said.wait_for()
    verdict = said.inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export report").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    page.reload()  # the link has the pair, and the answer is kept
    page.get_by_text(verdict).wait_for()
    page.goto(path.as_uri())
    page.get_by_text(verdict).wait_for()
    assert (
        page.get_by_role("img", name="Map of where the draws").evaluate("e => e.naturalWidth") > 0
    )
    charts = page.get_by_role("img", name="Draws of both by")
    wait_for(lambda: charts.count() == 2, "energies by both")


@pytest.mark.slow
def test_samples_of_each_class_are_rows_and_a_click_picks_one_of_its_class(
    basin: Basin, page: Page
) -> None:
    shared: dict[str, Any] = {
        "method": "joint_energy",
        "preset": "digits",
        "data": {"name": "digits"},
    }
    runs = [basin.launch(steps, name=f"{steps} steps by class", **shared) for steps in (3, 2)]
    config = {"num": 40, "label": "each", "num_steps": 2}
    sets = [sample_drawing.draw(sample_jobs.request(run.id, config)) for run in runs]
    page.goto(f"{basin.address}/compare?sets={sets[0].id},{sets[1].id}")
    page.get_by_role("button", name="by class", exact=True).click()
    wait_for(lambda: "view=classes" in address(page), "the view in the link")
    pictures = page.locator(".bl-compared .bl-card > canvas.bl-brushed:visible")
    wait_for(lambda: pictures.count() == 2, "both pictures")
    words = page.locator(".bl-selection [role=status]")
    for label in (0, 7):
        box = pictures.first.bounding_box()
        assert box is not None
        row = box["height"] / 10
        # scrolled to: not all rows are in sight
        pictures.first.click(position={"x": 64 + row / 2, "y": (label + 0.5) * row})
        wait_for(lambda: "1 of 40 selected: sample" in words.inner_text(), "one sample")
        # samples go through the classes in turn
        wait_for(
            lambda place=label: (
                (int(re.findall(r"sample (\d+)", words.inner_text())[0]) - 1) % 10 == place
            ),
            f"one of class {label}",
        )
    page.reload()
    wait_for(lambda: "1 of 40 selected" in words.inner_text(), "the selection of the link")
    wait_for(lambda: pictures.count() == 2, "both pictures by class again")
    assert "view=classes" in address(page)


@pytest.mark.slow
def test_samples_brushed_in_one_picture_are_selected_in_all(basin: Basin, page: Page) -> None:
    runs = [basin.launch(steps, seed=6, name=f"of {steps} steps") for steps in (30, 2)]
    sets = [sample_drawing.draw(sample_jobs.request(run.id, {"num": 200})) for run in runs]
    page.goto(f"{basin.address}/compare?sets={sets[0].id},{sets[1].id}")
    pictures = page.locator(".bl-compared .bl-card > canvas.bl-brushed:visible")
    wait_for(lambda: pictures.count() == 2, "both pictures")
    words = page.locator(".bl-selection [role=status]")
    box = pictures.first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    wait_for(lambda: re.match(r"\d+ of 200 selected", words.inner_text()), "a selection")
    # all of them are no selection
    wait_for(lambda: 0 < int(words.inner_text().split()[0]) < 200, "some of them")
    num = words.inner_text().split()[0]
    strips = page.locator(".bl-strip .bl-muted").filter(has_text=f"{num} selected")
    wait_for(lambda: strips.count() == 2, "the same ones under both models")
    page.reload()  # the link has the selection
    wait_for(lambda: words.inner_text().startswith(f"{num} of 200"), "the selection of the link")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    wait_for(lambda: words.inner_text().startswith("2 of 200"), "two, by keys")
    page.get_by_text("Selected, as a table").click()
    rows = page.locator("details .bl-scroll tbody tr")
    wait_for(lambda: rows.count() == 2, "a row for each")
    energies = page.get_by_role("img", name="Energies of the samples").last
    width = energies.evaluate("canvas => canvas.getBoundingClientRect().width")
    energies.click(position={"x": width - 2, "y": 40})
    wait_for(lambda: not words.inner_text().startswith("2 of"), "those of the highest energies")
