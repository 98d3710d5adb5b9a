"""The Sampler Lab in a real browser: a race is set up, launched, watched, turned and stopped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from jobs.execution.emitter import Emitter
from jobs.queueing import control, redis_store
from jobs.records import run_store
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import Basin, address, press, wait_for
from tests.dashboard.racing import NUM, beating, make_race
from tests.dashboard.runs import cost
from tests.dashboard.test_run_page import INKED

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.timeout(180)

LAUNCH = re.compile("Launch")


def open_form(basin: Basin, page: Page, query: str = "") -> None:
    """The form with the worker's answer for every racer on it."""
    page.goto(f"{basin.address}/lab{query}")
    page.get_by_text(re.compile("of sampling in all")).wait_for(timeout=60_000)


def open_race(basin: Basin, page: Page, runs: list[RunDirectory], query: str = "") -> None:
    # charts out of sight are not drawn
    width = page.viewport_size["width"] if page.viewport_size else 1440
    page.set_viewport_size({"width": width, "height": 1800})
    page.goto(f"{basin.address}/lab?runs={','.join(run.id for run in runs)}{query}")
    wait_for(lambda: lanes(page).count() == len(runs), "a lane each")


def lanes(page: Page) -> Locator:
    return page.locator(".bl-lane")


def charts(page: Page) -> Locator:
    return page.locator(".bl-plot:has(.main-svg)")


def cells(page: Page, racer: int) -> list[str]:
    """What the table says of a racer."""
    row = page.locator(".bl-diagnostics tbody tr").nth(racer)
    return [text.strip() for text in row.locator("td").all_inner_texts()]


def raced(page: Page) -> list[RunDirectory]:
    """The runs of the race that was arrived at."""
    page.wait_for_url(re.compile(r"runs="), timeout=60_000)  # every racer is checked first
    found = re.split(",|%2C", address(page).partition("runs=")[2].partition("&")[0])
    return [run_store.open_run(run) for run in found]


# ---------------------------------------------------------------------- the form


def test_a_first_visitor_races_four_samplers_with_one_click(basin: Basin, page: Page) -> None:
    """Set up, launch, see the chains walk, stop."""
    open_form(basin, page)
    wait_for(lambda: page.get_by_text("biased", exact=True).count() > 3, "what is biased")
    box = page.get_by_label("Budget of each", exact=True)
    box.fill("90000000")
    press(box, "Control+Enter")
    runs = raced(page)
    try:
        kinds = [run.spec().config["sampler"]["kind"] for run in runs]
        assert kinds == ["langevin", "mala", "nuts", "parallel_tempering"]
        assert {run.spec().budget.gradients for run in runs} == {90_000_000}
        first = lanes(page).first
        page.wait_for_selector(".bl-lane canvas", timeout=60_000)
        wait_for(lambda: page.eval_on_selector(".bl-lane canvas", INKED) > 20, "the landscape")
        first.get_by_text("running").wait_for()
        lanes(page).nth(1).get_by_text("next").wait_for()
        said = first.locator(".bl-state").inner_text()
        wait_for(lambda: first.locator(".bl-state").inner_text() != said, "it goes on")
        paints = page.eval_on_selector(".bl-lane canvas", "canvas => canvas.paints")
        wait_for(
            lambda: page.eval_on_selector(".bl-lane canvas", "canvas => canvas.paints") > paints,
            "chains that walk",
        )
        page.get_by_role("button", name="Stop all").click()
        wait_for(lambda: all(run.status().status == "stopped" for run in runs), "all stopped", 30)
        page.get_by_text(f"{len(runs)} stopped").wait_for()  # the head follows by itself
    finally:
        for run in runs:
            if not run.status().is_over:
                control.stop(run.id)


@pytest.mark.slow
def test_a_bad_value_is_said_at_its_racer_and_nothing_is_launched(basin: Basin, page: Page) -> None:
    before = len(run_store.list_runs())
    open_form(basin, page)
    page.get_by_text("step size 0.02", exact=False).first.click()
    box = page.get_by_label("Step size (data sd²)", exact=True).nth(1)
    box.fill("-1")
    press(box, "Tab")
    page.get_by_text("MALA: must be > 0, got -1.").wait_for(timeout=40_000)
    page.get_by_text("Step size must be > 0, got -1.").wait_for()
    assert page.get_by_role("button", name=LAUNCH).is_disabled()
    assert len(run_store.list_runs()) == before


@pytest.mark.slow
def test_a_problem_stays_with_its_racer(basin: Basin, page: Page) -> None:
    open_form(basin, page)
    page.get_by_text("step size 0.02").first.click()
    box = page.get_by_label("Step size (data sd²)", exact=True).nth(1)
    box.fill("-1")
    press(box, "Tab")
    page.get_by_text("MALA: must be > 0, got -1.").wait_for(timeout=40_000)
    page.get_by_text("Langevin, unadjusted").first.click()
    wait_for(lambda: page.get_by_text("step size 0.005").count() == 0, "Langevin left")
    wait_for(lambda: page.get_by_text("must be > 0, got -1.").count() == 2, "at MALA, at the end")
    page.locator(".st-key-lab_sampler_mala").get_by_text("must be > 0, got -1.").wait_for()


@pytest.mark.slow
def test_racers_are_chosen_and_one_kind_may_race_twice(basin: Basin, page: Page) -> None:
    open_form(basin, page)
    page.get_by_text("Parallel tempering").first.click()  # it races no more
    page.get_by_text("Launch 3 runs").wait_for()
    page.get_by_text("step size 0.005").click()
    page.get_by_role("button", name="Race it twice").first.click()
    page.get_by_text("step size 0.005").nth(1).wait_for()
    page.get_by_text("Launch 4 runs").wait_for()
    page.get_by_text("step size 0.005").nth(1).click()
    box = page.get_by_label("Step size (data sd²)", exact=True).nth(1)
    box.fill("0.1")
    press(box, "Tab")
    page.get_by_role("cell", name="Langevin, unadjusted, step size 0.1").wait_for(timeout=40_000)
    page.get_by_role("cell", name="Langevin, unadjusted, step size 0.005").wait_for()


@pytest.mark.slow
def test_a_new_race_begins_with_the_terms_of_the_last(basin: Basin, page: Page) -> None:
    runs = make_race()
    open_race(basin, page, runs)
    link = page.get_by_role("link", name="New race")
    assert link.get_attribute("href") == "lab?from=" + ",".join(run.id for run in runs)
    open_form(basin, page, f"?from={','.join(run.id for run in runs)}")
    assert page.get_by_label("Budget of each", exact=True).input_value() == str(10 * NUM)
    page.get_by_text("step size 0.02").nth(1).wait_for()  # Langevin's, beside MALA's own


# ---------------------------------------------------------------------- the race


def test_a_fast_wrong_sampler_is_not_read_as_a_winner(basin: Basin, page: Page) -> None:
    open_race(basin, page, make_race())
    wait_for(lambda: charts(page).count() == 3, "errors of weights, mean and variance")
    wait_for(lambda: "wrong draws" in cells(page, 0)[-1], "the verdict on Langevin")
    assert "variance 17 times" in cells(page, 0)[-1]
    sound = "mode weights 1.7 times what independent draws miss by"
    wait_for(lambda: cells(page, 1)[-1] == sound, "the verdict on the second racer")
    wait_for(lambda: "R-hat 1.8 is above 1.05" in cells(page, 2)[-1], "the verdict on the third")
    struck = page.locator(".bl-diagnostics td.void")
    wait_for(lambda: struck.count() == 4, "both rates of the two that do not count")
    assert [cells(page, racer)[1] for racer in range(3)] == ["biased", "exact", "exact"]
    lanes(page).first.get_by_text("wrong draws").wait_for()
    assert lanes(page).nth(1).locator(".bl-lane-note:visible").count() == 0
    dotted = "plot => plot.data.filter((trace) => trace.line.dash === 'dot').length"
    wait_for(lambda: charts(page).first.evaluate(dotted) == 3, "a floor each")
    page.locator('[aria-label="x axis"] [aria-pressed="true"]', has_text="gradients").wait_for()


@pytest.mark.slow
def test_all_racers_are_looked_back_at_where_they_had_spent_as_much(
    basin: Basin, page: Page
) -> None:
    runs = make_race()
    open_race(basin, page, runs)
    wait_for(lambda: charts(page).count() == 3, "charts")
    wait_for(lambda: "0.4" in lanes(page).first.inner_text(), "the last error")
    page.get_by_label("Step looked at").fill("9")
    page.get_by_text(re.compile("You are looking at every racer after 300 gradients")).wait_for()
    wait_for(
        lambda: "0.4" not in lanes(page).first.locator(".bl-far b").inner_text(), "its error then"
    )
    wait_for(lambda: "at=300" in address(page), "the link")
    page.get_by_text("after 300 gradients").nth(1).wait_for()
    page.reload()
    page.get_by_text(re.compile("You are looking at every racer after 300 gradients")).wait_for()
    page.keyboard.press("l")
    wait_for(lambda: "at=" not in address(page), "the present")


@pytest.mark.slow
def test_a_knob_asks_the_run_and_its_answer_is_marked(basin: Basin, page: Page) -> None:
    runs = make_race(running="mala")
    mala = runs[1]
    with beating(mala):
        open_race(basin, page, runs)
        wait_for(lambda: charts(page).count() == 3, "charts")
        knob = lanes(page).nth(1).get_by_label("step size")
        assert lanes(page).first.get_by_label("step size").is_disabled()
        before = {path.name for path in mala.path.rglob("*")}
        knob.fill("150")
        lanes(page).nth(1).get_by_text("0.2 asked").wait_for()
        wait_for(lambda: {path.name for path in mala.path.rglob("*")} - before, "the request")
        emitter = Emitter(mala, redis_store.Publisher(mala.id))
        emitter.text("run/changed", "Step size 0.02 → 0.2.", cost(NUM // 2))
        emitter.flush()
        wait_for(lambda: lanes(page).nth(1).get_by_text("asked").count() == 0, "taken")
        mark = charts(page).first.get_by_text("MALA: Step size 0.02 → 0.2")
        mark.wait_for()
        emitter.close()


@pytest.mark.parametrize(
    "energy_of", ["", pytest.param("20260101-000000-abcd", marks=pytest.mark.slow)]
)
def test_chains_walk_on_what_is_sampled(basin: Basin, page: Page, energy_of: str) -> None:
    """A trained energy may be far from the true density of its data."""
    open_race(basin, page, make_race(energy_of=energy_of))
    words = "the energy that is sampled" if energy_of else "the true density"
    for lane in lanes(page).all():
        lane.get_by_label(re.compile(f"24 chains on {words}")).wait_for()
    page.get_by_text("The energy of run" if energy_of else "Ring of Gaussians").first.wait_for()


@pytest.mark.slow
def test_who_waits_is_shown_what_for(basin: Basin, page: Page) -> None:
    open_race(basin, page, make_race(queued="hmc"))
    lane = lanes(page).nth(2)
    lane.locator(".bl-status", has_text="queued").wait_for()
    wait_for(lambda: lane.locator("canvas").count() == 1, "the target of all")
    lane.get_by_text("the one worker").wait_for()


@pytest.mark.slow
def test_positions_of_many_coordinates_are_dots(basin: Basin, page: Page) -> None:
    open_race(basin, page, make_race(dim=5))
    wait_for(lambda: page.locator(".bl-lane canvas").count() == 3, "pictures")
    wait_for(lambda: page.eval_on_selector(".bl-lane canvas", INKED) > 3, "dots")
    page.get_by_label("upwards").select_option("x₄")
    page.get_by_role("img", name="on x₁ and x₄").nth(2).wait_for()
    wait_for(lambda: "axes=1,4" in address(page).replace("%2C", ","), "the link")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (800, "dark")])
def test_the_lab_is_no_wider_than_its_window(
    basin: Basin, page: Page, theme: str, width: int
) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    open_race(basin, page, make_race())
    wait_for(lambda: "17 times" in cells(page, 0)[-1], "the table")
    tops = lanes(page).evaluate_all("lanes => lanes.map((lane) => Math.round(lane.offsetTop))")
    assert tops.count(tops[0]) == (3 if width == 1440 else 2)
    over = "() => document.querySelector('[data-testid=stMain]').scrollWidth - innerWidth"
    assert page.evaluate(over) <= 0
    open_form(basin, page)
    wait_for(lambda: page.evaluate(over) <= 0, "a form that fits")
