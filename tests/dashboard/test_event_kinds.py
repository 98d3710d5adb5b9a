"""Whatever kind of event a method says, under a path of its own, is drawn on the Run page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backend import events
from backend.events import Cost, Curve, Event, Images, Points, Table, encode
from backend.spec import Budget, RunSpec
from jobs.records import run_store
from tests.dashboard.conftest import Basin, wait_for
from tests.dashboard.event_examples import EXAMPLES

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from jobs.records.run_directory import RunDirectory

pytestmark = pytest.mark.browser

INKED = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    const seen = new Set()
    for (let i = 0; i < data.length; i += 4) seen.add(data.slice(i, i + 3).join())
    return seen.size
}"""
"""How many colours a canvas holds."""


def make_run(said: Iterable[Event] = EXAMPLES.values()) -> RunDirectory:
    """A run that says some events, one of each kind, and nothing that the page expects."""
    spec = RunSpec(
        method="contrastive_divergence", data={"name": "ring"}, budget=Budget(steps=9), seed=0
    )
    run = run_store.create_run(spec)
    for seq, event in enumerate(said):
        data = encode(event, run=run.id, seq=seq, time=0.0, cost=Cost(9, 90, 1.0))
        run.append(data, keyframe=event.kind not in ("scalar", "text"))
    run.compact()
    run.write_status(status="finished", step=9)
    return run


def drawn(page: Page, kind: str) -> Locator:
    """What stands on the page for a kind of event."""
    if kind == "scalar":
        return page.locator('.bl-chart[data-path="own/accuracy"] .main-svg').first
    if kind == "text":
        return page.get_by_text("the third class came late")
    return page.locator(f'.bl-card[data-kind="{kind}"]')


def test_every_kind_is_drawn(basin: Basin, page: Page) -> None:
    assert set(EXAMPLES) == set(events.KINDS), "tests/dashboard/event_examples.py lacks a kind"
    run = make_run()
    page.goto(f"{basin.address}/run?id={run.id}")
    for kind in events.KINDS:
        drawn(page, kind).wait_for()
    for kind in ("points", "images", "trajectory", "field"):
        assert drawn(page, kind).locator("canvas").evaluate(INKED) > 5, kind
    for kind in ("histogram", "curve"):
        drawn(page, kind).locator('polyline[points*=","]').nth(1).wait_for(state="attached")
        assert drawn(page, kind).locator('polyline[points=""]').count() == 0, kind
    for label in range(3):
        drawn(page, "points").get_by_text(f"class {label}").wait_for()
    drawn(page, "field").get_by_text("Probability: 0").wait_for()
    cells = drawn(page, "table").locator("td")
    wait_for(lambda: cells.all_inner_texts() == ["0", "48", "2", "1", "5", "–"], "its cells")
    for words in ("Waiting for the first points", "lower is likelier", "Train-time chains"):
        assert not page.get_by_text(words).is_visible(), f"{words}: this run has none"


def test_text_ways_and_places_on_an_axis_are_drawn_as_what_they_are(
    basin: Basin, page: Page
) -> None:
    rows: list[list[str | float | int | None]] = [["the cat. ", -1.5], ["a  dog", 0.25]]
    shares = [[1.0] * 7 + [0.0, 0.0], [0.5] * 6]
    pixels = np.zeros((4, 2, 2), np.uint8)
    ways = Images("inner/ways", pixels, "long_run", 0.0, 1.0, np.arange(4, dtype=np.float32))
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    cut = Curve("future/cut", x, (x**2)[None], ["energy"], marks=[(-1.0, "right"), (0.5, "")])
    run = make_run(
        (
            Table("prediction/text", ["text", "energy"], rows, "text", shares),
            replace(ways, columns=["start", "truth"], rows=["one", "other"]),
            cut,
        )
    )
    page.goto(f"{basin.address}/run?id={run.id}")
    lines = drawn(page, "table").locator("code.bl-text")
    wait_for(lambda: lines.all_text_contents() == ["the cat. ", "a  dog"], "the text as it is")
    marked = lines.locator("i")
    wait_for(lambda: marked.all_text_contents() == [". ", "a  dog"], "what was not expected")
    strip = drawn(page, "images").locator(".bl-ways-strip")
    wait_for(lambda: strip.locator("canvas").count() == 4, "an image a step")
    wait_for(
        lambda: strip.locator("th").all_text_contents() == ["start", "truth", "one", "other"],
        "names of rows and columns",
    )
    drawn(page, "curve").locator("text", has_text="right").wait_for()


def test_points_of_before_labels_and_axes_are_still_read() -> None:
    points = EXAMPLES["points"]
    assert isinstance(points, Points)
    frame = events.unpack(encode(points, run="r", seq=0, time=0.0, cost=Cost()))
    assert events.decode(frame).axes == points.axes  # type: ignore[attr-defined]
    for name in ("labels", "axes"):
        frame.header["meta"].pop(name, None)
        frame.arrays.pop(name, None)
    older = events.decode(frame)
    assert isinstance(older, Points) and older.labels is None and older.axes == ()
