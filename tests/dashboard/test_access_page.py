"""Every page for everybody: nothing that axe-core objects to, light and dark, all by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dashboard import shell
from jobs.grids import drawing, records
from jobs.grids.records import Axis, Grid
from tests.dashboard.conftest import Basin, wait_for
from tests.dashboard.runs import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

READY = {
    "launch": ".basin-cost",
    "runs": ".bl-run[data-run]",
    "run": ".bl-plot .main-svg",
    "compare": "text=Where they differ",
    "lab": "text=/of sampling in all/",
    "studio": ".basin-head",
    "arena": ".basin-head",
    "grid": "text=of 4 cells drawn",
    "gallery": ".basin-claim",
    "system": ".bl-worker",
}
"""What is there once a page has all that it begins with."""
WANTED = """() => {
  const controls = 'button, a[href], input, select, textarea, summary, [role="button"], [tabindex]'
  window.wanted = [...document.querySelectorAll(controls)].filter((element) => {
    const { width, height } = element.getBoundingClientRect()
    const isThere = width > 1 && height > 1 && getComputedStyle(element).visibility !== "hidden"
    // of a group of radio buttons or tabs one is reached, and the arrow keys do the rest
    return isThere && element.tabIndex >= 0 && !element.disabled &&
      !element.closest('[inert], [aria-hidden="true"], [role="radiogroup"], [role="tablist"]')
  })
  window.reached = new Set()
}"""
STEP = """() => {
  const element = document.activeElement
  if (element === document.body || window.reached.has(element)) return null
  window.reached.add(element)
  const around = [element, ...element.children]
  for (let each = element, level = 0; each.parentElement && level < 3; level++)
    around.push((each = each.parentElement))
  const look = () => around.map((each) => {
    const style = getComputedStyle(each)
    return [style.outline, style.boxShadow, style.borderColor, style.backgroundColor].join()
  }).join()
  const focused = look()
  element.blur()
  const isSeen = look() !== focused
  element.focus({ preventScroll: true })
  return { isSeen, tag: element.tagName, html: element.outerHTML.slice(0, 160) }
}"""
LEFT = """() => window.wanted
  .filter((element) => element.isConnected && !window.reached.has(element))
  .map((element) => element.outerHTML.slice(0, 160))"""
MOST_STEPS = 300


def violations(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{item['id']} ({item['impact']}): {node['html'][:160]}"
        for item in Axe().run(page).response["violations"]
        for node in item["nodes"]
    ]


def walk(page: Page) -> tuple[list[str], list[str]]:
    """Press Tab through the page; returns where the focus is not seen, and what is not reached."""
    page.evaluate(WANTED)
    unseen: list[str] = []
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        step: dict[str, Any] | None = page.evaluate(STEP)
        if step is None:
            break
        if not step["isSeen"] and step["tag"] != "MAIN":  # takes it for the keys of the page
            unseen.append(step["html"])
    return unseen, page.evaluate(LEFT)


def drawn_grid(basin: Basin) -> Grid:
    """Draw a grid of four cells on the quick worker."""
    axes = [Axis(field="step_size", values=(0.01, 0.1)), Axis(field="seed", values=(0, 1))]
    grid = records.define(basin.launch(steps=10).id, axes, {"num": 8})
    drawing.launch(grid)
    return grid


@pytest.mark.parametrize("name", list(shell.PAGES))
def test_a_page_is_for_everybody(basin: Basin, page: Page, name: str) -> None:
    run = make_run()
    queries = {"run": f"?id={run.id}", "compare": f"?runs={run.id}"}
    if name == "grid":
        queries[name] = f"?id={drawn_grid(basin).id}&cell=3"
    page.goto(f"{basin.address}/{name}{queries.get(name, '')}")
    page.locator(READY[name]).first.wait_for(timeout=60_000)
    wait_for(lambda: page.locator('[data-stale="true"]').count() == 0, "a page that is drawn")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_timeout(500)
        assert violations(page) == [], scheme
    unseen, left = walk(page)
    assert page.evaluate("() => window.reached.size") > 8  # the bar of the head alone has more
    assert unseen == []
    assert left == []
