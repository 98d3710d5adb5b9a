"""Live pages in a real browser: what was chosen stays, what was lost comes back."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backend.events import Field, Points, pack
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import Basin, address, press, wait_for
from tests.dashboard.runs import MORE, NUM, PATHS, Speaker, cost, make_run, zoom

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, WebSocketRoute

pytestmark = pytest.mark.timeout(150)


def charts(page: Page) -> Locator:
    return page.locator(".bl-plot:has(.main-svg)")


def open_run(basin: Basin, page: Page, run: RunDirectory, query: str = "") -> None:
    page.goto(f"{basin.address}/run?id={run.id}&charts={','.join(PATHS)}{query}")
    wait_for(lambda: charts(page).count() == 2, "two charts")


def ranges(page: Page) -> list[list[float]]:
    found = [plot.evaluate("plot => plot._fullLayout.xaxis.range") for plot in charts(page).all()]
    return [list(each) for each in found]


# ---------------------------------------------------------------------- what was chosen


@pytest.mark.slow
def test_what_was_chosen_is_linked_and_outlives_a_reload(basin: Basin, page: Page) -> None:
    run = make_run()
    open_run(basin, page, run)
    first = charts(page).first
    first.scroll_into_view_if_needed()
    chosen = zoom(page, first)
    wait_for(lambda: np.allclose(ranges(page), [chosen] * 2), "the same stretch in both charts")
    page.get_by_label("Smoothing").fill("0.9")
    chart = page.locator(".bl-chart[data-path='loss/total']")
    chart.get_by_role("button", name=re.compile("^log")).click()
    other = page.locator(".bl-chart[data-path='energy/gap']")
    other.locator(".bl-word").click()
    other.get_by_text("hidden").wait_for()
    for _ in range(2):
        assert np.allclose(ranges(page), [chosen] * 2, rtol=1e-4)
        assert charts(page).first.evaluate("plot => plot._fullLayout.yaxis.type") == "log"
        assert page.get_by_label("Smoothing").input_value() == "0.9"
        assert other.locator(".bl-word").get_attribute("aria-pressed") == "false"
        assert charts(page).nth(1).evaluate("plot => plot.data.length") == 0
        page.reload()
        wait_for(lambda: charts(page).count() == 2, "two charts")
    page.get_by_role("button", name="show all").click()
    wait_for(lambda: ranges(page)[0][1] == NUM, "all of it")
    wait_for(lambda: "zoom" not in address(page), "the link without it")


@pytest.mark.slow
def test_a_zoom_follows_to_another_cost_axis(basin: Basin, page: Page) -> None:
    run = make_run()
    open_run(basin, page, run, "&zoom=1000,2000")
    assert np.allclose(ranges(page), [[1000, 2000]] * 2)
    page.get_by_role("button", name="gradients", exact=True).click()
    wait_for(lambda: np.allclose(ranges(page), [[10_000, 20_000]] * 2), "the stretch in gradients")


def pressed(buttons: Locator) -> list[str | None]:
    return [each.get_attribute("aria-pressed") for each in buttons.all()]


def bands(page: Page) -> list[int]:
    """How many bands each chart shows."""
    count = "plot => plot.data.filter((trace) => trace.fill === 'tonexty').length"
    return [plot.evaluate(count) for plot in charts(page).all()]


@pytest.mark.slow
def test_compare_shares_the_board_with_the_run_page(basin: Basin, page: Page) -> None:
    """Seeds of one thing are one line with a band, which its entry in the legend hides in every
    chart; zoom is linked; both stand in the link.
    """
    runs = [make_run(), make_run(seed=1), make_run(data="moons")]
    runs[1].set_labels(name="another")
    ids = ",".join(run.id for run in runs)
    page.goto(f"{basin.address}/compare?runs={ids}&charts={','.join(PATHS)}")
    page.locator(".bl-plot").last.scroll_into_view_if_needed()
    wait_for(lambda: charts(page).count() == 2, "two charts")
    legend = page.locator(".bl-legend button")
    words = page.locator(f".bl-chart[data-path='{PATHS[0]}'] .bl-word")
    wait_for(lambda: [legend.count(), words.count()] == [2, 2], "a legend and its words")
    legend.first.get_by_text("(2 seeds)").wait_for()
    wait_for(lambda: bands(page) == [1, 1], "one band in each chart")
    charts(page).first.scroll_into_view_if_needed()
    chosen = zoom(page, charts(page).first)
    wait_for(lambda: np.allclose(ranges(page), [chosen] * 2), "the same stretch in both charts")
    legend.first.click()
    wait_for(lambda: bands(page) == [0, 0], "no band in any chart")
    wait_for(lambda: "hide=" in address(page) and "zoom=" in address(page), "both in the link")
    page.reload()
    page.locator(".bl-plot").last.scroll_into_view_if_needed()
    wait_for(lambda: charts(page).count() == 2, "two charts")
    zoomed = [chosen] * 2
    wait_for(lambda: np.allclose(ranges(page), zoomed, rtol=1e-4), "the stretch of the link")
    wait_for(lambda: pressed(legend) == ["false", "true"], "the choice of the link")
    wait_for(lambda: bands(page) == [0, 0], "no band in any chart")


@pytest.mark.slow
def test_what_is_out_of_sight_does_no_work(basin: Basin, page: Page) -> None:
    run = make_run()
    page.set_viewport_size({"width": 800, "height": 300})
    page.goto(f"{basin.address}/run?id={run.id}&charts={','.join(PATHS)}")
    wait_for(lambda: page.locator(".bl-chart").count() == 2, "the places of the charts")
    page.wait_for_timeout(500)
    assert charts(page).count() == 0
    page.locator(".bl-chart").first.scroll_into_view_if_needed()
    wait_for(lambda: charts(page).count() > 0, "the chart in sight")


# ---------------------------------------------------------------------- where things stand

WATCH_SHIFTS = """
window.shifts = []
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const isOurs = entry.sources.some(({ node }) => node?.parentElement?.closest(
      ".st-key-live, [data-testid=stTabs]"))
    if (isOurs && !entry.hadRecentInput) window.shifts.push(entry.value)
  }
}).observe({ type: "layout-shift", buffered: true })
"""
BOTTOMS = "all => all.map((element) => element.getBoundingClientRect().bottom)"


@pytest.mark.slow
def test_nothing_is_covered_by_the_time_bar_and_nothing_jumps_as_a_run_opens(
    basin: Basin, page: Page
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.add_init_script(WATCH_SHIFTS)
    run = make_run()
    run.write_status(alarms=[{"path": "alarm/a", "message": "One. Two. Three.", "step": 3}] * 2)
    run.set_labels(tags=[f"a tag, number {number}" for number in range(4)])
    page.goto(f"{basin.address}/run?id={run.id}&charts={','.join(MORE)}")
    line = page.locator(".basin-head .basin-facts, .basin-facts").first
    line.wait_for()
    assert (line.bounding_box() or {"height": 0.0})["height"] > 30, "facts of two lines"
    wait_for(lambda: charts(page).count() == 3, "three charts")
    page.get_by_text("One. Two.").first.wait_for()
    assert not page.get_by_text("Three.").first.is_visible()
    page.locator(".bl-note button", has_text="more").first.click()
    page.get_by_text("Three.").first.wait_for()
    page.locator(".bl-note button", has_text="less").click()
    bar = page.locator(".bl-time").evaluate("bar => bar.getBoundingClientRect().top")
    parts = ".bl-hero, .bl-top .bl-chart, .bl-side > .bl-panel:first-child"
    bottoms = page.eval_on_selector_all(parts, BOTTOMS)
    assert len(bottoms) == 5 and max(bottoms) <= bar
    assert page.evaluate("window.shifts.reduce((sum, value) => sum + value, 0)") < 0.03


# ---------------------------------------------------------------------- as files


def export(page: Page, panel: Locator, way: str) -> bytes:
    panel.get_by_label(re.compile("^Export")).first.click()
    with page.expect_download() as download:
        panel.get_by_role("button", name=way, exact=True).click()
    assert download.value.suggested_filename.endswith(f".{way.lower()}")
    return Path(download.value.path()).read_bytes()


@pytest.mark.slow
def test_any_panel_can_be_kept_as_a_file(basin: Basin, page: Page) -> None:
    run = make_run()
    open_run(basin, page, run)
    page.wait_for_selector(".bl-hero canvas")
    energy = page.locator(".bl-panel", has=page.get_by_role("heading", name="Energy", exact=True))
    panels = {
        "chart": page.locator(".bl-chart").first,
        "landscape": page.locator(".bl-hero"),
        "energies": energy,
    }
    rows = {"chart": NUM, "landscape": 24 * 24, "energies": 4}
    for name, panel in panels.items():
        assert export(page, panel, "PNG").startswith(b"\x89PNG"), name
        svg = ElementTree.fromstring(export(page, panel, "SVG"))
        assert svg.tag.endswith("svg") and len(list(svg.iter())) > 5, name
        table = export(page, panel, "CSV").decode().splitlines()
        assert len(table) == rows[name] + 1, name
    assert table[0] == "from,to,data,train_time"
    final = page.locator(".bl-panel", has=page.get_by_role("heading", name="Final figures"))
    assert export(page, final, "CSV").decode() == 'figure,value\n"KL, nats",0.25\n'


# ---------------------------------------------------------------------- time


def test_the_whole_page_is_replayed(basin: Basin, page: Page) -> None:
    run = make_run()
    open_run(basin, page, run)
    page.wait_for_selector(".bl-hero canvas")
    page.get_by_label("Speed of the replay").select_option("8")
    page.evaluate(
        """() => {
            window.said = []
            const output = document.querySelector(".bl-time output")
            new MutationObserver(() => window.said.push(output.textContent))
                .observe(output, { childList: true })
        }"""
    )
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("r")
    said = wait_for(
        lambda: (found := page.evaluate("window.said")) and "now" in found[-1] and found,
        "the end of the replay",
    )
    steps = [re.sub(r"\D", "", text) for text in said]
    assert list(dict.fromkeys(steps)) == ["1", "1500", "3000"], said


def test_chains_go_through_their_true_states(basin: Basin, page: Page) -> None:
    """Between two states a chain is drawn on the straight line; `exact` shows states alone."""
    page.goto(f"{basin.address}/live/health")
    found = page.evaluate(
        """async () => {
            const { Landscape } = await import("/live/static/pictures/drawing/landscape.js")
            const slot = document.createElement("div")
            slot.style.width = "400px"
            document.body.append(slot)
            const landscape = new Landscape(slot)
            landscape.resize()
            const field = (seq) => ({
                header: { seq, last: [seq], meta: { x_range: [0, 4], y_range: [0, 4] } },
                arrays: { values: { shape: [2, 2], data: new Float32Array(4) } },
            })
            const walk = (seq, data) => ({
                header: { seq, last: [seq], meta: {} },
                arrays: { positions: { shape: [3, 1, 2], data: new Float32Array(data) } },
            })
            landscape.show({ field: field(1), walk: walk(1, [0, 0, 1, 1, 2, 0]) })
            const place = (x, y) => landscape.place(x, y)
            const at = (share) => landscape.heads(landscape.started + share * landscape.pace)[0]
            const first = [at(0), at(0.25), at(0.5), at(1)]
            const states = [place(0, 0), place(0.5, 0.5), place(1, 1), place(2, 0)]
            landscape.show({ field: field(2), walk: walk(2, [3, 3, 3, 4, 4, 4]) })
            landscape.exact = true
            const rows = [0, 0.3, 0.5, 0.7, 1].map((share) =>
                landscape.moment(landscape.started + share * landscape.pace).row)
            landscape.close()
            return [first, states, rows]
        }"""
    )
    heads, states, rows = found
    assert np.allclose(heads, states)
    assert rows == [0, 0, 1, 1, 2]


# ---------------------------------------------------------------------- what was lost


def drawn_steps(page: Page) -> list[int]:
    """The steps after the history, as the first chart draws them."""
    found: list[Any] = charts(page).first.evaluate(
        "(plot, num) => plot.data[0].x.filter((x) => x > num)", NUM
    )
    return [int(step) for step in found]


@pytest.mark.slow
def test_samples_may_come_before_the_landscape(basin: Basin, page: Page) -> None:
    """Whatever a run says first, and in one breath, all of it is shown."""
    run = make_run(finished=False)
    (run.path / "frames.bin").unlink()
    run.keyframes.close()
    speaker = Speaker(run)
    open_run(basin, page, run)
    zeros = np.zeros((4, 2), np.float32)
    field = Field("landscape/model", np.ones((4, 4), np.float32), (0.0, 1.0), (0.0, 1.0))
    for event in (Points("samples/train_time", zeros, "train_time"), field):
        speaker.emitter.event(event, cost(NUM + 1))
    speaker.say()
    page.wait_for_selector(".bl-hero canvas")
    speaker.end()


def test_a_lost_connection_comes_back_without_gap_or_double(basin: Basin, page: Page) -> None:
    run = make_run(finished=False)
    speaker = Speaker(run)
    lines: list[WebSocketRoute] = []

    def connect(line: WebSocketRoute) -> None:
        line.connect_to_server()
        lines.append(line)

    page.route_web_socket(re.compile("/live/ws"), connect)
    open_run(basin, page, run, f"&zoom={NUM - 10},{NUM + 60}")
    speaker.say(10)
    wait_for(lambda: len(drawn_steps(page)) == 10, "what is said")
    lines[0].close()
    speaker.say(10)
    wait_for(lambda: len(drawn_steps(page)) == 20, "what was said meanwhile")
    speaker.say(5)
    wait_for(lambda: len(drawn_steps(page)) == 25, "what is said now")
    assert drawn_steps(page) == list(range(NUM + 1, NUM + 26))
    assert len(lines) == 2
    speaker.end()


@pytest.mark.slow
def test_without_websockets_the_page_asks_over_http_and_says_so(basin: Basin, page: Page) -> None:
    run = make_run(finished=False)
    speaker = Speaker(run)
    asked: list[float] = []
    page.on("request", lambda request: "/live/poll" in request.url and asked.append(1))
    # as a proxy does that knows no WebSocket: the handshake itself fails
    page.add_init_script(
        """const Native = WebSocket
        window.WebSocket = function (address, ...rest) {
            if (!String(address).includes("/live/ws")) return new Native(address, ...rest)
            const refused = new EventTarget()
            setTimeout(() => refused.onclose?.(), 10)
            return Object.assign(refused, { close() {}, readyState: 3 })
        }"""
    )
    open_run(basin, page, run, f"&zoom={NUM - 10},{NUM + 60}")
    page.get_by_text("No WebSocket can be had here").wait_for()
    speaker.say(10)
    wait_for(lambda: len(drawn_steps(page)) == 10, "what is said")
    before = len(asked)
    page.wait_for_timeout(3000)
    assert 3 <= len(asked) - before <= 7, "about twice a second"
    speaker.say(5)
    wait_for(lambda: drawn_steps(page) == list(range(NUM + 1, NUM + 16)), "each once")
    press(page.get_by_label("Step looked at"), "Home")
    page.get_by_text(re.compile("You are looking at step 1 ")).wait_for()
    speaker.end()


def dismissed_and_raised_again(page: Page, basin: Basin, run: RunDirectory) -> None:
    """A person dismisses the alarm of a run on its own page, and thinks better of it."""
    open_run(basin, page, run)
    page.get_by_role("button", name="Dismiss with a word").click()
    page.get_by_label("Why it is no alarm").fill("A known one.")
    page.keyboard.press("Enter")
    page.get_by_text("“A known one.”").wait_for()
    assert [alarm["why"] for alarm in run.status().dismissed] == ["A known one."]
    page.get_by_role("button", name="Raise it again").click()
    page.get_by_role("button", name="Dismiss with a word").wait_for()
    page.close()


@pytest.mark.slow
def test_an_alarm_elsewhere_is_seen_on_a_live_page(basin: Basin, page: Page) -> None:
    shown = make_run()
    troubled = make_run(finished=False)
    open_run(basin, page, shown)
    alarm = {"path": "energy/gap", "message": "The gap runs away.", "step": 7}
    troubled.write_status(alarms=[alarm])
    note = page.get_by_text("A run needs a look")
    note.wait_for()
    page.get_by_text("The gap runs away.").wait_for()
    dismissed_and_raised_again(page.context.new_page(), basin, troubled)
    note.wait_for()
    assert note.locator("..").get_by_role("link").get_attribute("href") == f"run?id={troubled.id}"
    troubled.write_status(status="finished")
    note.wait_for(state="hidden")


@pytest.mark.slow
def test_a_frame_that_cannot_be_read_costs_the_page_nothing_else(basin: Basin, page: Page) -> None:
    run = make_run(finished=False)
    speaker = Speaker(run)
    bad = pack({"run": run.id, "seq": 1, "kind": "table", "path": "own"}, {})
    bad = bad.replace(b'"kind":"table"', b'"kind":NaN    ')

    def connect(line: WebSocketRoute) -> None:
        server = line.connect_to_server()
        server.on_message(lambda data: line.send(bad + bytes(data)))  # type: ignore[arg-type]
        line.on_message(server.send)

    page.route_web_socket(re.compile("/live/ws"), connect)
    open_run(basin, page, run, f"&zoom={NUM - 10},{NUM + 60}")
    speaker.say(10)
    wait_for(lambda: len(drawn_steps(page)) == 10, "what came beside it")
    page.get_by_text("A part of what came cannot be read").wait_for()
    speaker.end()


@pytest.mark.slow
def test_a_run_deleted_while_it_is_shown_says_so_and_where_to_go(basin: Basin, page: Page) -> None:
    run = make_run()
    open_run(basin, page, run)
    run.delete()
    page.get_by_text("This run was deleted").wait_for()
    page.get_by_role("link", name="See the runs that are there").click()
    page.wait_for_url(re.compile("/runs"))
