"""The Run page in a real browser: it lives, keeps what the user set, and looks back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backend.events import Cost, Images, Table, encode, encode_block
from backend.observers.robustness import CALLED, OUTLIERS
from backend.spec import Budget, RunSpec
from jobs.models import forks
from jobs.queueing import control, enqueue
from jobs.records import run_store
from tests.dashboard.conftest import Basin, address, press, wait_for
from tests.dashboard.runs import NUM, make_run, zoom

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, WebSocketRoute

pytestmark = pytest.mark.timeout(150)

INKED = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    const seen = new Set()
    for (let i = 0; i < data.length; i += 4 * 97) seen.add(data.slice(i, i + 3).join())
    return seen.size
}"""
"""How many colours a canvas holds, of a sample of its pixels."""


def launch_slow(steps: int = 100_000) -> Any:
    """A run of the ring that takes a good while, watched from its first step."""
    spec = RunSpec(
        method="contrastive_divergence",
        preset="plain_persistent",
        data={"name": "ring", "num": 1000, "num_held_out": 300},
        budget=Budget(steps=steps),
    )
    return run_store.open_run(enqueue.launch(spec))


def points_drawn(page: Page) -> int:
    """Of the first curve."""
    return int(
        page.evaluate(
            """() => {
                const plots = [...document.querySelectorAll(".bl-plot")].filter(plot => plot.data)
                return Math.max(0, ...plots.map(plot => plot.data[0]?.x?.length ?? 0))
            }"""
        )
    )


def test_a_live_run_grows_without_a_remount_and_keeps_the_zoom(basin: Basin, page: Page) -> None:
    run = launch_slow()
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-hero canvas")
    wait_for(lambda: points_drawn(page) > 5, "first points", 40)
    assert page.eval_on_selector(".bl-hero canvas", INKED) > 20
    plot = page.locator(".bl-plot:has(.main-svg)").first
    plot.scroll_into_view_if_needed()
    plot.evaluate("plot => { plot.mark = 'the same node' }")
    zoomed = zoom(page, plot)
    before, at = points_drawn(page), run.status().step
    wait_for(lambda: run.status().step > at + 100, "the run goes on", 40)
    wait_for(lambda: points_drawn(page) > before, "points", 20)
    control.stop(run.id)
    page.get_by_role("button", name=re.compile("Resume")).wait_for()  # the head follows by itself
    assert plot.evaluate("plot => plot.mark") == "the same node"
    assert plot.evaluate("plot => plot._fullLayout.xaxis.range") == pytest.approx(zoomed)


@pytest.mark.slow
def test_zooming_into_a_long_run_shows_every_point(basin: Basin, page: Page) -> None:
    """12,000 points come as some 4,000; of the stretch zoomed into, all are fetched."""
    num, spike, broken = 12_000, 6001, 6121
    run = run_store.create_run(RunSpec(method="contrastive_divergence", data={"name": "ring"}))
    values = np.sin(np.arange(num) / 500)[:, None]
    values[spike], values[broken] = 9.0, np.inf
    block = encode_block(
        ["loss/total"],
        values,
        run=run.id,
        seq=0,
        time=0.0,
        first=Cost(1, 1, 0.1, None),
        last=Cost(num, num, 0.1 * num, None),
    )
    run.append(block, keyframe=False)
    run.compact()
    run.write_status(status="finished", step=num, budget={"steps": num})
    page.goto(f"{basin.address}/run?id={run.id}&charts=loss/total")
    plot = page.locator(".bl-plot:has(.main-svg)").first
    plot.wait_for()
    drawn = "plot => plot.data[0].x.filter(x => x > 5500 && x <= 6500).length"
    assert plot.evaluate(drawn) < 500
    assert plot.evaluate("plot => Math.max(...plot.data[0].y)") == 9.0  # the spike survives
    page.get_by_text("1 not finite").wait_for()
    assert plot.evaluate("plot => plot.data.at(-1).text") == ["∞"]
    plot.scroll_into_view_if_needed()
    left, right = zoom(page, plot, 0.52, 0.59)
    assert left < spike < right
    every = "([plot, left, right]) => plot.data[0].x.filter(x => x >= left && x <= right).length"
    inside = int(np.floor(right) - np.ceil(left)) + 1
    wait_for(
        lambda: (
            plot.evaluate(f"(plot, range) => ({every})([plot, ...range])", [left, right]) == inside
        ),
        "every point",
    )
    assert plot.evaluate("plot => plot._fullLayout.xaxis.range") == pytest.approx([left, right])


@pytest.mark.slow
def test_looking_back_outlives_a_lost_connection(basin: Basin, page: Page) -> None:
    """A question that was lost with the connection is asked again over the next one."""
    run = make_run()
    lines: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        lines.append(line)
        deaf = len(lines) == 1

        def say(message: str | bytes) -> None:
            if not (deaf and '"seek"' in str(message)):
                server.send(message)

        line.on_message(say)

    page.route_web_socket(re.compile("/live/ws"), connect)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-hero canvas")
    slider = page.locator(".bl-time input[type=range]")
    press(slider, "Home")
    page.wait_for_timeout(300)
    assert page.get_by_text(re.compile("You are looking at step")).count() == 0
    lines[0].close()
    page.get_by_text(re.compile("You are looking at step")).wait_for()
    page.get_by_text("Live updates stopped").wait_for(state="hidden")
    assert len(lines) == 2


@pytest.mark.slow
def test_keys_and_the_search_of_metrics(basin: Basin, page: Page) -> None:
    run = make_run()
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-plot .main-svg")
    wait_for(lambda: page.locator(".bl-chart").count() == 2, "two charts")
    page.keyboard.press("?")
    page.get_by_text("pause or resume the run").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("learning")
    page.keyboard.press("Enter")
    added = page.locator(".bl-chart", has_text="Learning rate")
    added.wait_for()
    wait_for(lambda: "optimiser%2Flearning_rate" in address(page), "the link")
    added.get_by_label("Remove Learning rate").click()
    wait_for(lambda: page.locator(".bl-chart").count() == 2, "two charts")


@pytest.mark.slow
def test_one_cursor_in_all_charts(basin: Basin, page: Page) -> None:
    run = make_run()
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-plot .main-svg")
    plot = page.locator(".bl-chart", has_text="Energy gap").locator(".bl-plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60)
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 62, steps=3)
    wait_for(lambda: page.locator(".bl-plot .hoverlayer .legend").count() >= 2, "two cursors")
    page.get_by_text(re.compile(r"^step .* gradients")).wait_for()


def test_a_finished_run_is_whole_and_looks_back(basin: Basin, page: Page) -> None:
    run = basin.launch(200)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-hero canvas")
    page.get_by_text("Final figures").wait_for()
    page.locator(".bl-status, .basin-word", has_text="finished").first.wait_for()
    slider = page.locator(".bl-time input[type=range]")
    assert int(slider.get_attribute("max") or 0) >= 1
    press(slider, "Home")
    page.get_by_text(re.compile("You are looking at step")).wait_for()
    wait_for(lambda: "at=" in address(page), "the link")
    shown = page.locator(".bl-hero canvas").get_attribute("aria-label") or ""
    first = run.keyframes_at(0)
    assert first and re.search(r"step (0|1)\b", shown)
    at = fork_from_here(page, run.id)
    page.get_by_role("link", name=re.compile("forked at step .* from")).click()
    page.get_by_role("link", name=f"forked at step {at}:").wait_for()
    # the head of the next run may be there before the panels of the last one are replaced
    press(page.locator(f'[data-panel-of="{run.id}"] .bl-time input[type=range]'), "Home")
    page.get_by_text(re.compile("You are looking at step")).wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("l")
    page.get_by_text(re.compile("You are looking at step")).wait_for(state="hidden")
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="spec.yaml").click()
    assert download.value.suggested_filename == f"{run.id}-spec.yaml"


@pytest.mark.slow
def test_a_page_that_is_narrowed_does_not_scroll_sideways(basin: Basin, page: Page) -> None:
    run = basin.launch(200)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.locator(".bl-card svg").first.wait_for(timeout=60_000)
    page.set_viewport_size({"width": 390, "height": 900})
    beyond = "() => document.querySelector('[data-testid=stMain]').scrollWidth - innerWidth"
    wait_for(lambda: page.evaluate(beyond) <= 0, "as wide as its window")


@pytest.mark.slow
def test_a_dialog_stays_open_when_its_run_ends(basin: Basin, page: Page) -> None:
    run = basin.launch(500_000, wait=False)
    wait_for(lambda: run.status().status == "running", "a start", 60)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.locator(f'[data-panel-of="{run.id}"] .bl-facts').get_by_text("of training").wait_for()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_test_id("stPopover").last.click()
    page.get_by_role("button", name="Name, tags, note").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill("a name half written")
    control.stop(run.id)
    wait_for(lambda: run.status().is_over, "the end")
    page.wait_for_timeout(2000)
    assert dialog.get_by_role("textbox", name="Name").input_value() == "a name half written"
    page.keyboard.press("Escape")
    page.locator(".bl-status, .basin-word", has_text="stopped").first.wait_for()


def fork_from_here(page: Page, parent: str) -> int:
    """Fork a run from the step looked at, one that it does not keep; returns the one it does."""
    page.get_by_role("link", name="Fork from here").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(re.compile("itself is not kept")).wait_for()
    dialog.get_by_role("textbox", name="Steps in all").fill("500")
    dialog.get_by_role("textbox", name="Learning rate").fill("0.003")
    dialog.get_by_role("button", name="Fork").click()
    page.get_by_role("link", name=re.compile("forked at step .* from")).wait_for()
    (child,) = forks.children_of(parent)
    (turn,) = run_store.open_run(child.id).turns()
    wait_for(lambda: child.id in address(page), "the page of the fork")
    assert child.budget["steps"] == 500
    assert turn.fields["train.learning_rate"][1] == 0.003
    control.stop(child.id)
    keep_a_moment(page, child.id)
    return turn.step


def keep_a_moment(page: Page, run: str) -> None:
    """Keep the moment that a stopped run began with, for good."""
    directory = run_store.open_run(run)
    wait_for(lambda: directory.status().is_over, "the end of the fork")
    page.reload()
    # what the page asks for as it opens would draw it anew, and close a dialog
    page.locator(f'[data-panel-of="{run}"] canvas').first.wait_for()
    page.get_by_role("tab", name="Files").wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_test_id("stPopover").last.click()
    page.get_by_role("button", name="Keep a moment").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.get_by_text(re.compile("is kept for good")).wait_for()
    assert any(map(directory.keeps_checkpoint, directory.checkpoints()))


@pytest.mark.slow
def test_the_cost_axis_is_a_switch_and_is_kept_in_the_link(basin: Basin, page: Page) -> None:
    run = make_run()
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-plot .main-svg")
    plot = page.locator(".bl-plot").first

    def end_of_axis() -> float:
        return float(plot.evaluate("plot => plot._fullLayout.xaxis.range[1]"))

    assert end_of_axis() == NUM
    page.get_by_role("button", name="gradients", exact=True).click()
    wait_for(lambda: end_of_axis() == 10 * NUM, "the axis")
    wait_for(lambda: "axis=gradients" in address(page), "the link")
    page.reload()
    page.wait_for_selector(".bl-plot .main-svg")
    wait_for(lambda: end_of_axis() == 10 * NUM, "the axis")
    joules = page.get_by_role("button", name="joules", exact=True)
    if joules.is_disabled():
        assert "joules" in (joules.get_attribute("title") or "")
    page.keyboard.press("1")
    wait_for(lambda: end_of_axis() == NUM, "the axis")


def test_images_are_three_grids_of_equal_size(basin: Basin, page: Page) -> None:
    run = run_store.create_run(RunSpec(method="contrastive_divergence", data={"name": "digits"}))
    pixels = np.random.default_rng(0).integers(0, 255, (64, 8, 8), dtype=np.uint8)
    energies = np.arange(64, dtype=np.float32)
    for seq, role in enumerate(("data", "train_time", "long_run")):
        images = Images(f"samples/{role}", pixels, role, -1.0, 1.0, energies)
        run.append(encode(images, run=run.id, seq=seq, time=0.0, cost=Cost(8)), keyframe=True)
    run.close()
    run.write_status(status="finished", step=8)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-grids canvas")
    wait_for(lambda: page.eval_on_selector(".bl-grids canvas", INKED) > 5, "digits")
    sizes = page.eval_on_selector_all(
        ".bl-grids canvas", "all => all.map(c => [c.width, c.height])"
    )
    assert len(sizes) == 3 and len({tuple(size) for size in sizes}) == 1
    page.locator(".bl-grids canvas").nth(1).click(position={"x": 20, "y": 20})
    page.get_by_text("Cell 1", exact=True).wait_for()


@pytest.mark.slow
def test_images_stand_beside_what_an_attack_makes_of_them(basin: Basin, page: Page) -> None:
    run = run_store.create_run(RunSpec(method="adversarial_training", data={"name": "digits"}))
    natural = np.random.default_rng(0).integers(60, 200, (2, 8, 8), dtype=np.uint8)
    attacked = natural.copy()
    attacked[0, 0, 0] += 51
    events = (
        Images("attack/natural", natural, "data", -1.0, 1.0, np.array([-7, -6], np.float32)),
        Images("attack/attacked", attacked, "noise", -1.0, 1.0, np.array([-4, -5], np.float32)),
        Table("attack/called", CALLED, [["3", "3", "8", -7.0, -4.0], ["5", "5", "5", -6.0, -5.0]]),
        Images("attack/attacked_other", natural, "noise", -1.0, 1.0, np.array([1, 2], np.float32)),
        Table("attack/called_other", CALLED, [["3", "1", "2", -7.0, 1], ["5", "5", "6", -6.0, 2]]),
        Table("attack/norms", ["norm", "radius"], [["L∞", 0.4], ["L2", 1.61]]),
        Images("outliers/looks", natural, "noise", -1.0, 1.0, columns=["held out", "inverted"]),
        Table("outliers/known", OUTLIERS, [["inverted", 0.97, 0.91]]),
    )
    for seq, event in enumerate(events):
        run.append(encode(event, run=run.id, seq=seq, time=0.0, cost=Cost(8)), keyframe=True)
    run.close()
    run.write_status(status="finished", step=8)
    page.goto(f"{basin.address}/run?id={run.id}")
    panel = page.locator(".bl-panel", has=page.locator(".bl-attacked"))
    panel.get_by_text("1 of 2 stand").wait_for()
    panel.get_by_text("orange 0.4)").wait_for()  # 51 of 255 levels, of a range 2 wide
    first, second = panel.locator("figure").nth(0), panel.locator("figure").nth(1)
    for figure, sign, called, energy in ((first, "✗", "8", "−4"), (second, "✓", "5", "−5")):
        caption = figure.locator("figcaption").nth(1)
        for part in (sign, called, energy):
            caption.get_by_text(part, exact=True).wait_for()
    change = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 2, 1).data]"
    pixels = first.locator("canvas").nth(1).evaluate(change)
    assert pixels[:3] != pixels[4:7]  # one pixel was changed, the next was not
    panel.get_by_role("button", name="L2 1.61").click()
    panel.get_by_text("0 of 2 stand").wait_for()
    second.get_by_text("6", exact=True).wait_for()
    panel.get_by_role("button", name="L∞ 0.4").click()
    panel.get_by_text("1 of 2 stand").wait_for()
    strip = page.locator(".bl-card[data-path='outliers/looks']")
    strip.get_by_role("columnheader", name="inverted").wait_for()
    page.locator(".bl-card[data-path='outliers/known']").get_by_text("0.97").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440


def test_an_unknown_run_says_what_to_do(basin: Basin, page: Page) -> None:
    page.goto(f"{basin.address}/run?id=20200101-000000-0000")
    page.get_by_text("There is no run").wait_for()
    page.get_by_role("link", name="See the runs that are there").wait_for()


def test_stopping_from_the_page_writes_a_checkpoint(basin: Basin, page: Page) -> None:
    run = launch_slow()
    page.goto(f"{basin.address}/run?id={run.id}")
    wait_for(lambda: run.status().step > 50, "the first steps", 30)
    page.get_by_role("button", name="Stop").click()
    wait_for(lambda: run.status().status == "stopped", "stopped")
    assert run.checkpoints()
    page.get_by_role("button", name=re.compile("Resume from step")).wait_for()


@pytest.mark.slow
def test_seven_live_tabs_of_one_browser_all_update(basin: Basin, browser: Browser) -> None:
    """More than the six connections that a browser opens to one address."""
    run = launch_slow()
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    tabs = [context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto(f"{basin.address}/run?id={run.id}", wait_until="commit")
    words = "() => document.querySelector('.bl-facts b')?.innerText ?? ''"

    def step(tab: Page) -> int:
        return int(re.sub(r"\D", "", tab.evaluate(words)) or 0)

    for tab in tabs:
        tab.wait_for_selector(".bl-facts b", timeout=60_000)
    before = [step(tab) for tab in tabs]
    wait_for(
        lambda: all(step(tab) > old for tab, old in zip(tabs, before, strict=True)), "all seven", 40
    )
    control.stop(run.id)
    context.close()
