"""The Gallery in a real browser: a claim is read, launched, stopped, and its past verdicts kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from jobs.claims import reproduction
from jobs.records import run_store
from tests.dashboard.conftest import Basin, address, wait_for
from tests.dashboard.reproduced import reproduced

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(180)


def open_gallery(basin: Basin, page: Page, query: str = "") -> None:
    page.goto(f"{basin.address}/gallery{query}")
    page.locator(".basin-claim").wait_for(timeout=60_000)


def test_a_verdict_its_picture_and_earlier_ones(basin: Basin, page: Page) -> None:
    old, new = reproduced(factor=0.01), reproduced()
    open_gallery(basin, page, "?recipe=short_run")
    banner = page.locator(".basin-verdict")
    banner.get_by_text("holds").wait_for()
    page.locator(".bl-claim svg").nth(1).wait_for()
    dots = page.locator(".bl-claim svg circle")
    wait_for(lambda: dots.count() >= 12 + 3, "a dot for each run")
    pictures = page.locator(".bl-claim svg")
    named = page.locator('.bl-claim svg[aria-label$="."]')
    wait_for(lambda: named.count() == pictures.count() > 1, "a sentence for each picture")
    page.get_by_text("Show as a table").first.click()
    assert page.locator(".bl-claim tbody tr").first.is_visible()
    # an earlier verdict has a link of its own
    page.goto(f"{basin.address}/gallery?recipe=short_run&reproduction={old.id}")
    page.locator(".basin-verdict").get_by_text("fails").wait_for(timeout=30_000)
    wait_for(lambda: page.get_by_text("shown above").count() == 1, "the list of verdicts")
    for made in (old, new):
        for run_id in made.run_ids():
            run_store.open_run(run_id).delete()
    # what was found outlives the runs
    page.reload()
    page.locator(".basin-verdict").get_by_text("fails").wait_for(timeout=30_000)


@pytest.mark.parametrize(
    ("width", "scheme"), [pytest.param(1440, "light", marks=pytest.mark.slow), (390, "dark")]
)
def test_no_gallery_is_wider_than_its_window(
    basin: Basin, page: Page, width: int, scheme: str
) -> None:
    reproduced()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    open_gallery(basin, page, "?recipe=short_run")
    page.locator(".bl-claim svg").first.wait_for()
    wide = "document.querySelector('[data-testid=stMain]').scrollWidth"
    wait_for(lambda: page.evaluate(wide) <= width, "a page that fits")


def test_a_claim_is_launched_and_stopped(basin: Basin, page: Page) -> None:
    before = {made.id for made in reproduction.list_reproductions()}
    open_gallery(basin, page, "?recipe=short_run")
    page.get_by_role("button", name=re.compile("Launch 6 runs")).click()
    made = wait_for(
        lambda: [m for m in reproduction.list_reproductions() if m.id not in before], "a record"
    )[0]
    page.get_by_text(re.compile("of 6 runs")).first.wait_for(timeout=30_000)
    card = page.locator(".st-key-recipe_short_run")  # the list follows, as the page does
    card.get_by_text(re.compile("of 6 runs done")).wait_for(timeout=30_000)
    page.get_by_text("No seed has ended yet").wait_for()
    page.get_by_text("Energy distance of long chains, ratio").wait_for()
    page.get_by_text(re.compile("About .* of training, ")).wait_for(timeout=60_000)
    wait_for(lambda: made.id in address(page), "the link")
    page.get_by_role("button", name="Stop").click()
    wait_for(lambda: reproduction.progress(made).is_over, "the end of all runs", 60)
    page.locator(".basin-verdict").get_by_text("undecided").wait_for(timeout=30_000)
    card.get_by_text("undecided").wait_for(timeout=30_000)
    assert reproduction.open_reproduction(made.id).is_settled
