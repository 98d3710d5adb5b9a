"""Launch, Runs, Compare and System in a real browser: each page's main act."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend.spec import RunSpec
from jobs.queueing import control
from jobs.records import run_store, sample_sets
from tests.dashboard.conftest import Basin, address, press, wait_for
from tests.dashboard.forms.test_own_file import birds
from tests.dashboard.test_run_page import INKED, launch_slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(150)


def fill(page: Page, label: str, value: str) -> None:
    """Type into a number field and leave it."""
    box = page.get_by_label(label, exact=True)
    box.fill(value)
    press(box, "Tab")


def checked(page: Page) -> None:
    """Wait until the worker has answered for what is in the form."""
    page.get_by_text(re.compile("of training")).first.wait_for()


# ---------------------------------------------------------------------- Launch


def test_a_first_visitor_launches_the_ring_with_one_click(basin: Basin, page: Page) -> None:
    page.goto(basin.address)
    checked(page)
    page.locator('.bl-tile[aria-checked="true"]', has_text="Ring of Gaussians").wait_for()
    assert page.eval_on_selector(".bl-tile canvas", INKED) > 1
    preview = ".st-key-data_preview canvas"
    wait_for(lambda: page.eval_on_selector(preview, INKED) > 5, "the data on their axes")
    fill(page, "Steps", "60")
    page.get_by_text("60 steps").wait_for()
    page.get_by_role("button", name=re.compile("^.*Launch")).click()
    page.wait_for_url(re.compile(r"/run\?id="))
    page.wait_for_selector(".bl-hero canvas", timeout=60_000)
    run = run_store.open_run(address(page).rpartition("id=")[2][:20])
    wait_for(lambda: run.status().status == "finished", "the run", 60)
    spec = run.spec()
    assert (spec.method, spec.preset, spec.budget.steps) == (
        "contrastive_divergence",
        "persistent",
        60,
    )


@pytest.mark.slow
def test_a_bad_value_is_said_beside_its_field_and_nothing_is_launched(
    basin: Basin, page: Page
) -> None:
    before = len(run_store.list_runs())
    page.goto(basin.address)
    checked(page)
    fill(page, "Data noise (data sd)", "14")
    both = "at the field and at the button"
    wait_for(lambda: page.get_by_text("must be ≤ 10, got 14.").count() == 2, both)
    assert page.get_by_role("button", name=re.compile("^.*Launch")).is_disabled()
    fill(page, "Data noise (data sd)", "0.04")
    page.locator("[data-testid=stAlertContainer]").wait_for(state="hidden")
    assert page.get_by_role("button", name=re.compile("^.*Launch")).is_enabled()
    assert len(run_store.list_runs()) == before


@pytest.mark.slow
def test_digits_bring_the_preset_for_images(basin: Basin, page: Page) -> None:
    page.goto(f"{basin.address}/launch")
    checked(page)
    page.get_by_role("radio", name=re.compile("digits")).click()
    page.get_by_text(re.compile("1.257 images of 8 × 8")).wait_for()
    page.get_by_text("Convolutional").first.wait_for()


@pytest.mark.slow
def test_a_run_is_cloned_with_its_settings(basin: Basin, page: Page) -> None:
    run = basin.launch(30, config={"num_steps": 7})
    page.goto(f"{basin.address}/launch?from={run.id}")
    checked(page)
    assert page.get_by_label("Number of steps", exact=True).input_value() == "7"
    assert page.get_by_label("Steps", exact=True).input_value() == "30"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1.0, np.nan]] * 50), "NaN"),
        (np.zeros(50), "shape"),
    ],
    ids=["nan", "flat"],
)
@pytest.mark.slow
def test_an_uploaded_file_that_will_not_do_is_said(
    basin: Basin, page: Page, tmp_path: Path, array: np.ndarray, words: str
) -> None:
    path = tmp_path / f"bad_{words}.npy"
    np.save(path, array)
    upload(basin, page, path)
    page.locator("[data-testid=stAlertContainer]", has_text=words).wait_for()
    assert page.get_by_role("button", name=re.compile("^.*Launch")).is_disabled()


@pytest.mark.slow
def test_the_users_own_file_is_drawn_and_launched(basin: Basin, page: Page, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rows = np.random.default_rng(0).normal(size=(400, 2)) * [10, 2] + [100, 5]
    np.savetxt(path, rows, delimiter=",", header="height,weight", comments="")
    upload(basin, page, path)
    page.get_by_text("mine.csv: 320 points of 2 coordinates to train on").wait_for()
    fill(page, "Steps", "20")
    page.get_by_text("20 steps").wait_for()
    page.get_by_role("button", name=re.compile("^.*Launch")).click()
    page.wait_for_url(re.compile(r"/run\?id="))
    page.wait_for_selector(".bl-hero canvas", timeout=60_000)
    shown = run_store.open_run(address(page).rpartition("id=")[2][:20])
    wait_for(lambda: shown.status().is_over, "the run", 60)
    assert shown.status().status == "finished"


@pytest.mark.slow
def test_columns_of_the_users_own_file_are_concepts(
    basin: Basin, page: Page, tmp_path: Path
) -> None:
    path = birds(tmp_path)
    page.goto(f"{basin.address}/launch?data=file&method=concept_bottleneck")
    page.locator("input[type=file]").set_input_files(str(path))
    for name, use, fact in (
        ("night", "concept", "1 concept"),
        ("wings", "concept", "2 concepts"),
        ("species", "class", "species names the class · 2 concepts"),
    ):
        page.get_by_label(f"{name} is used as").select_option(use)
        page.get_by_text(fact).wait_for()
    page.get_by_text("birds.csv: 64 points of 2 coordinates to train on").wait_for()
    fill(page, "Steps", "20")
    page.get_by_text("20 steps").wait_for()
    page.get_by_role("button", name=re.compile("^.*Launch")).click()
    page.wait_for_url(re.compile(r"/run\?id="))
    run = run_store.open_run(address(page).rpartition("id=")[2][:20])
    wait_for(lambda: run.status().is_over, "the run", 60)
    assert run.status().status == "finished"
    spec = run.spec()
    assert spec.method == "concept_bottleneck" and spec.data["columns"] == ["mass", "length"]
    assert set(spec.data["concepts"]) == {"night", "wings"} and spec.data["label"] == "species"


def upload(basin: Basin, page: Page, path: Path) -> None:
    page.goto(f"{basin.address}/launch?data=file")
    page.locator("input[type=file]").set_input_files(str(path))


# ---------------------------------------------------------------------- Runs


def test_runs_tick_are_found_and_compared(basin: Basin, page: Page) -> None:
    first = basin.launch(40, name="apple tree")
    second = basin.launch(40, name="apple pie", seed=1)
    slow = launch_slow()
    page.goto(f"{basin.address}/runs")
    rows = page.locator("[data-run]")
    rows.first.wait_for()
    live = page.locator(f'[data-run="{slow.id}"]')
    live.get_by_text("running").wait_for()
    said = live.locator(".bl-state").inner_text()
    wait_for(lambda: live.locator(".bl-state").inner_text() != said, "it ticks")
    control.stop(slow.id)
    live.get_by_text("stopped").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("apple")
    wait_for(lambda: rows.count() == 2, "the search")
    wait_for(lambda: "search=apple" in address(page), "the link")
    wait_for(lambda: page.eval_on_selector(".bl-thumb canvas", INKED) > 5, "thumbnails")
    for run in (first, second):
        page.locator(f'[data-run="{run.id}"] input').click()
    page.keyboard.press("c")  # the box that was ticked has the focus
    page.wait_for_url(re.compile(r"/compare\?runs="))
    page.wait_for_selector(".bl-card canvas")


def test_what_is_deleted_is_off_every_page_and_comes_back(basin: Basin, page: Page) -> None:
    run = basin.launch(30, name="to be deleted")
    page.goto(f"{basin.address}/runs?search=deleted")
    other = page.context.new_page()
    other.goto(f"{basin.address}/run?id={run.id}")
    other.locator(".bl-plot:has(.main-svg)").first.wait_for()
    assert other.title() == f"to be deleted, seed 0, {run.id[-4:]} · Basin"
    page.locator(f'[data-run="{run.id}"] input').click()
    page.get_by_role("button", name="Delete", exact=True).click()
    wait_for(lambda: not run.path.exists(), "deleted")
    wait_for(lambda: page.locator("[data-run]").count() == 0, "off the list")
    other.get_by_text("This run was deleted").wait_for()
    assert other.locator(".st-key-run_acts").get_attribute("inert") is not None
    other.reload()
    other.get_by_role("button", name="Restore it").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator(f'[data-run="{run.id}"]').wait_for()
    assert run.status().status == "finished"


@pytest.mark.slow
def test_the_queue_is_reordered(basin: Basin, page: Page) -> None:
    slow = launch_slow()
    waiting = [basin.launch(30, wait=False, name=f"waits {i}") for i in range(3)]
    try:
        page.goto(f"{basin.address}/runs?search=waits")
        queue = page.locator(".bl-queue")
        queue.get_by_role("button", name="to the front: waits 2").click()
        ids = [waiting[place].id for place in (2, 0, 1)]
        wait_for(lambda: control.queued() == ids, "the new order")
        rows = queue.locator("[data-queued]:has(.bl-handle)")
        wait_for(
            lambda: [row.get_attribute("data-queued") for row in rows.all()] == ids, "its picture"
        )
        press(queue.get_by_role("button", name="Move waits 1"), "ArrowUp")
        wait_for(lambda: control.queued() == [ids[0], ids[2], ids[1]], "moved by a key")
        last = queue.locator(f'[data-queued="{ids[1]}"] .bl-handle')
        last.drag_to(queue.locator(f'[data-queued="{ids[0]}"]'))
        wait_for(lambda: control.queued()[0] == ids[1], "dragged")
        page.get_by_text("3 queued").first.wait_for()
    finally:
        for run in (*waiting, slow):
            control.stop(run.id)
    wait_for(lambda: slow.status().is_over, "stopped")


# ---------------------------------------------------------------------- Compare


def test_runs_side_by_side_with_bands_differences_and_floors(basin: Basin, page: Page) -> None:
    seeds = [basin.launch(40, seed=seed) for seed in (0, 1)]
    other = basin.launch(40, config={"num_steps": 3})
    ids = ",".join(run.id for run in [*seeds, other])
    page.goto(f"{basin.address}/compare?runs={ids}&axis=seconds&charts=energy/gap")
    page.wait_for_selector(".bl-card canvas")
    marks = page.locator(".bl-card .bl-mark")
    wait_for(lambda: marks.count() == 2, "a mark on each landscape")
    wait_for(lambda: page.eval_on_selector(".bl-card canvas", INKED) > 10, "landscapes")
    page.get_by_text("Difference of log density").wait_for()
    page.get_by_label("Seed drawn").select_option("seed 1")
    assert seeds[1].id in page.get_by_role("link", name="2 seeds").get_attribute("href")
    _look_back_and_flip(page)
    page.locator(".bl-plot").first.scroll_into_view_if_needed()
    plot = page.locator(".bl-plot:has(.main-svg)")
    plot.first.wait_for()
    axis = page.locator('[aria-label="x axis"] [aria-pressed="true"]')
    wait_for(lambda: axis.inner_text() == "seconds", "the axis of the link")
    filled = plot.evaluate("plot => plot.data.filter(trace => trace.fill === 'tonexty').length")
    assert filled == 1  # the two seeds are one band
    page.get_by_text("config.num_steps").wait_for()
    page.get_by_text("Energy distance to held-out data, long-run").first.wait_for()
    page.get_by_role("button", name="samples with one seed").click()
    page.get_by_role("button", name="Draw samples").click()
    page.get_by_text("The same starting noise").wait_for(timeout=60_000)
    wait_for(lambda: page.locator(".bl-card > canvas:visible").count() == 2, "samples of both")
    page.reload()  # the link has the seed; what was drawn is not drawn again
    wait_for(lambda: page.locator(".bl-card > canvas:visible").count() == 2, "the same samples")
    sets = sample_sets.list_sets()
    assert {each.run for each in sets} == {seeds[1].id, other.id} and len(sets) == 2
    assert {(each.state, each.seed) for each in sets} == {("done", 0)}
    page.get_by_text("500 samples of each, drawn with seed 0").wait_for()
    arena = page.get_by_role("link", name="Vote blind")
    assert seeds[0].id in arena.get_attribute("href") and other.id in arena.get_attribute("href")
    page.get_by_role("button", name="Report card").click()
    card = page.get_by_role("dialog")
    card.get_by_text("### Comparison").wait_for()
    for run in (*seeds, other):
        card.get_by_text(run.id).first.wait_for()
    page.goto(f"{basin.address}/compare?sets={sets[0].id},{sets[1].id}")
    page.get_by_text("2 sample sets of 2 runs").wait_for()
    wait_for(
        lambda: page.locator(".bl-card > canvas:visible").count() == 2, "both sets of the link"
    )
    interval = page.get_by_role("row", name=re.compile("^Energy distance .*to 0")).first
    interval.wait_for()


def _look_back_and_flip(page: Page) -> None:
    """Move the one slider with keys, and hold two landscapes against each other."""
    slider = page.get_by_label("Step looked at")
    slider.wait_for()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    first = page.locator(".bl-card .bl-muted").filter(has_text=re.compile("^step 0"))
    wait_for(lambda: first.count() == 2, "both at their first moment")
    assert slider.get_attribute("aria-valuetext") == "step 0"
    page.keyboard.press("f")
    upper = page.locator(".bl-stack .bl-over")
    upper.wait_for(state="hidden")
    wait_for(lambda: page.eval_on_selector(".bl-stack canvas", INKED) > 10, "the lower one")
    page.keyboard.press("f")
    upper.wait_for()
    page.get_by_role("button", name="swipe").click()
    page.get_by_label("Divider").fill("20")
    assert "20%" in upper.get_attribute("style")
    page.get_by_role("button", name="side by side").click()
    page.keyboard.press("l")
    wait_for(lambda: slider.get_attribute("aria-valuetext") == "step 40", "the present")


def test_with_nothing_chosen_it_says_what_to_do(basin: Basin, page: Page) -> None:
    run_store.create_run(RunSpec(method="contrastive_divergence", data={"name": "ring"}))
    page.goto(f"{basin.address}/compare")
    page.get_by_text("Choose two or more runs above").wait_for()


@pytest.mark.slow
def test_what_is_typed_about_a_run_stays_while_the_list_ticks_and_it_ends(
    basin: Basin, page: Page
) -> None:
    slow = launch_slow()
    page.goto(f"{basin.address}/runs")
    row = page.locator(f'[data-run="{slow.id}"]')
    row.get_by_text("running").wait_for()
    row.locator("input").click()
    page.get_by_role("button", name="Name, tags, note").click()
    name = page.get_by_role("dialog").get_by_role("textbox", name="Name")
    name.fill("half written")
    control.stop(slow.id)
    row.get_by_text("stopped").wait_for()
    page.wait_for_timeout(2000)
    wait_for(lambda: name.input_value() == "half written", "what was typed", 1)
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    row.get_by_text("half written").wait_for()


# ---------------------------------------------------------------------- System


@pytest.mark.slow
def test_a_dialog_of_the_system_page_outlasts_what_is_drawn_by_a_clock(
    basin: Basin, page: Page
) -> None:
    run = basin.launch(10, name="to be chosen")
    page.goto(f"{basin.address}/system")
    page.get_by_role("button", name="Delete checkpoints").click(timeout=30_000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("The last too").click()
    # another field, with nothing chosen, takes the place of the first
    dialog.get_by_role("button", name="Delete them", exact=True).wait_for()
    dialog.get_by_role("combobox").fill("to be cho")
    page.wait_for_timeout(7000)  # the queue is drawn every 5 s
    wait_for(lambda: dialog.get_by_role("combobox").input_value() == "to be cho", "the search", 1)
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(6000)
    dialog.get_by_role("button", name=re.compile(r"^Delete them, [\d.]+")).wait_for()
    assert run.checkpoints()


def test_the_system_page_shows_workers_redis_logs_and_findings(basin: Basin, page: Page) -> None:
    page.goto(f"{basin.address}/system")
    page.get_by_text(re.compile("train-cpu-")).first.wait_for()
    page.get_by_text(re.compile("quick-cpu-")).first.wait_for()
    page.get_by_text("of memory").wait_for()
    page.get_by_role("img", name=re.compile(r"^cpu, load: \d+ %")).wait_for()
    for word, state in (("Drain", "drained"), ("Resume", "waiting")):
        page.get_by_role("button", name=re.compile(f"^{word} quick-cpu-")).click()
        row = page.locator(".bl-worker").filter(has_text="quick-cpu-")
        row.get_by_text(re.compile(state)).wait_for()
    page.get_by_role("button", name="Look").click()
    page.get_by_text("torch works").wait_for(timeout=60_000)
    connection = (basin.home / "connection.json").read_text()
    password = connection.partition("redis://:")[2].partition("@")[0]
    assert password and password not in page.content()


@pytest.mark.slow
def test_deleted_checkpoints_are_restored_on_the_system_page(basin: Basin, page: Page) -> None:
    run = basin.launch(10, name="to be trimmed")
    steps = run.checkpoints()
    page.goto(f"{basin.address}/system")
    page.get_by_role("button", name="Delete checkpoints").click(timeout=30_000)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("The last too").click()
    dialog.get_by_role("combobox").fill("to be trimmed")
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    dialog.get_by_role("button", name=re.compile(r"^Delete them, [\d.]+")).click()
    page.get_by_text(re.compile("Deleted checkpoints of 1 run, .* are kept for a day")).wait_for()
    assert run.checkpoints() == [] and run.status().checkpoint_step is None
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("are kept for a day").wait_for(state="hidden")
    assert run.checkpoints() == steps and run.status().checkpoint_step == steps[-1]


@pytest.mark.parametrize(
    ("width", "theme"),
    [(1440, "dark"), (800, "light")],
)
def test_no_page_is_wider_than_its_window(basin: Basin, page: Page, theme: str, width: int) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    run = next(iter(run_store.list_runs()), None)
    paths = ["launch", "runs", "compare", "system", *([f"run?id={run.id}"] if run else [])]
    for path in paths:
        page.goto(f"{basin.address}/{path}")
        page.wait_for_selector(".basin-head")
        page.wait_for_timeout(300)
        over = page.evaluate(
            "() => document.querySelector('[data-testid=stMain]').scrollWidth - innerWidth"
        )
        assert over <= 0, f"{path} at {width}"
