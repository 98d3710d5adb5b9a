"""The Run page in a real browser: it lives, keeps what the user set, and looks back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backend.events import Cost, encode_block, pack
from backend.spec import Budget, RunSpec
from jobs import artifacts, control, enqueue
from tests.dashboard.conftest import Basin, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

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
        preset="persistent",
        data={"name": "ring", "num": 1000, "num_held_out": 300},
        budget=Budget(steps=steps),
    )
    return artifacts.open_run(enqueue.launch(spec))


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
    wait_for(lambda: points_drawn(page) > 5 or page.wait_for_timeout(100), "first points", 40)
    assert page.eval_on_selector(".bl-hero canvas", INKED) > 20
    plot = page.locator(".bl-plot:has(.main-svg)").first
    plot.scroll_into_view_if_needed()
    plot.evaluate("plot => { plot.mark = 'the same node' }")
    zoomed = zoom(page, plot)
    before, at = points_drawn(page), run.status().step
    wait_for(
        lambda: run.status().step > at + 100 or page.wait_for_timeout(100), "the run goes on", 40
    )
    wait_for(lambda: points_drawn(page) > before or page.wait_for_timeout(100), "points", 20)
    control.stop(run.id)
    page.get_by_role("button", name=re.compile("Resume")).wait_for()  # the head follows by itself
    assert plot.evaluate("plot => plot.mark") == "the same node"
    assert plot.evaluate("plot => plot._fullLayout.xaxis.range") == pytest.approx(zoomed)


def zoom(page: Page, plot: Locator) -> list[float]:
    """Drag across the middle of a chart; the range that this chose."""
    box = plot.bounding_box()
    assert box is not None
    whole = plot.evaluate("plot => plot._fullLayout.xaxis.range")
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 62, steps=5)
    page.mouse.up()
    chosen = wait_for(lambda: [plot.evaluate("plot => plot._fullLayout.xaxis.range")], "the zoom")[
        0
    ]
    assert chosen != whole
    return list(chosen)


def test_a_finished_run_is_whole_and_looks_back(basin: Basin, page: Page) -> None:
    run = basin.launch(200)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-hero canvas")
    page.get_by_text("Final figures").wait_for()
    assert page.locator(".bl-status, .basin-word").first.inner_text().endswith("finished")
    slider = page.locator(".bl-time input[type=range]")
    assert int(slider.get_attribute("max") or 0) >= 1
    slider.focus()
    page.keyboard.press("Home")
    page.get_by_text(re.compile("You are looking at step")).wait_for()
    assert "at=" in page.url
    shown = page.locator(".bl-hero canvas").get_attribute("aria-label") or ""
    first = run.keyframes_at(0)
    assert first and re.search(r"step (0|1)\b", shown)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("l")
    page.get_by_text(re.compile("You are looking at step")).wait_for(state="hidden")
    page.get_by_role("tab", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="spec.yaml").click()
    assert download.value.suggested_filename == f"{run.id}-spec.yaml"


def test_the_cost_axis_is_a_switch_and_is_kept_in_the_link(basin: Basin, page: Page) -> None:
    run = basin.launch(120)
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-plot .main-svg")
    page.get_by_role("button", name="gradients", exact=True).click()
    title = page.locator(".bl-plot .xtitle").first
    wait_for(lambda: title.text_content() == "gradients", "the axis")
    assert "axis=gradients" in page.url
    page.reload()
    page.wait_for_selector(".bl-plot .main-svg")
    wait_for(
        lambda: page.locator(".bl-plot .xtitle").first.text_content() == "gradients", "the axis"
    )
    joules = page.get_by_role("button", name="joules", exact=True)
    if joules.is_disabled():
        assert "joules" in (joules.get_attribute("title") or "")
    page.keyboard.press("1")
    wait_for(lambda: page.locator(".bl-plot .xtitle").first.text_content() == "step", "the axis")


def test_images_are_three_grids_of_equal_size(basin: Basin, page: Page) -> None:
    run = basin.launch(
        8, preset="images", data={"name": "digits"}, config={"num_steps": 2, "buffer_size": 100}
    )
    page.goto(f"{basin.address}/run?id={run.id}")
    page.wait_for_selector(".bl-grids canvas")
    page.get_by_text("Final figures").wait_for()
    wait_for(lambda: page.eval_on_selector(".bl-grids canvas", INKED) > 5, "digits")
    sizes = page.eval_on_selector_all(
        ".bl-grids canvas", "all => all.map(c => [c.width, c.height])"
    )
    assert len(sizes) == 3 and len({tuple(size) for size in sizes}) == 1
    page.locator(".bl-grids canvas").nth(1).click(position={"x": 20, "y": 20})
    page.get_by_text("Cell 1", exact=True).wait_for()


def test_an_unknown_run_says_what_to_do(basin: Basin, page: Page) -> None:
    page.goto(f"{basin.address}/run?id=20200101-000000-0000")
    page.get_by_text("There is no run").wait_for()
    page.get_by_role("link", name="Launch a run").wait_for()


def test_stopping_from_the_page_writes_a_checkpoint(basin: Basin, page: Page) -> None:
    run = launch_slow()
    page.goto(f"{basin.address}/run?id={run.id}")
    wait_for(lambda: run.status().step > 50 or page.wait_for_timeout(50), "the first steps", 30)
    page.get_by_role("button", name="Stop").click()
    wait_for(lambda: run.status().status == "stopped", "stopped")
    assert run.checkpoints()
    page.get_by_role("button", name=re.compile("Resume from step")).wait_for()


def test_ten_live_tabs_of_one_browser_all_update(basin: Basin, browser: Browser) -> None:
    run = launch_slow()
    context = browser.new_context(viewport={"width": 1000, "height": 700})
    tabs = [context.new_page() for _ in range(10)]
    for tab in tabs:
        tab.goto(f"{basin.address}/run?id={run.id}", wait_until="commit")
    words = "() => document.querySelector('.bl-facts b')?.innerText ?? ''"

    def step(tab: Page) -> int:
        return int(re.sub(r"\D", "", tab.evaluate(words)) or 0)

    for tab in tabs:
        tab.wait_for_selector(".bl-facts b", timeout=60_000)
    before = [step(tab) for tab in tabs]
    wait_for(
        lambda: all(step(tab) > old for tab, old in zip(tabs, before, strict=True)), "all ten", 40
    )
    control.stop(run.id)
    context.close()


def test_frames_are_read_as_they_were_written(basin: Basin, page: Page) -> None:
    """The decoder in the browser against the encoder of the workers."""
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(3, 5)).astype(np.float32),
        "b": rng.normal(size=7),
        "c": np.arange(-3, 3, dtype=np.int32),
        "d": np.array([1, -(2**40)], dtype=np.int64),
        "e": np.arange(9, dtype=np.uint8).reshape(3, 3),
        "empty": np.zeros((0, 2), np.float32),
    }
    frame = pack({"run": "é", "seq": 3, "kind": "field", "meta": {}}, arrays)
    block = encode_block(
        ["x", "y"], np.array([[1, 2], [3, 4], [5, 6]]), run="r", seq=1, time=0.0,
        first=Cost(10, 20, 1.0, None), last=Cost(12, 60, 2.0, None),
    )  # fmt: skip
    page.goto(f"{basin.address}/live/health")
    found = page.evaluate(
        """async ([frame, block]) => {
            const { unpack, rows } = await import("/live/static/frames.js")
            const bytes = (list) => new Uint8Array(list).buffer
            const { header, arrays } = unpack(bytes(frame))
            const plain = Object.fromEntries(Object.entries(arrays).map(
                ([name, { shape, data }]) => [name, [shape, Array.from(data)]]))
            const found = rows(unpack(bytes(block)))
            return [header.run, plain, Array.from(found.y.value), Array.from(found.x.step),
                Array.from(found.x.gradients), Number.isNaN(found.x.joules[0])]
        }""",
        [list(frame), list(block)],
    )
    assert found[0] == "é"
    for name, array in arrays.items():
        shape, data = found[1][name]
        assert shape == list(array.shape) and data == array.flatten().tolist(), name
    assert found[2:] == [[2, 4, 6], [10, 11, 12], [20, 40, 60], True]
