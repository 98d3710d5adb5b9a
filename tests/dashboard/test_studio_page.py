"""The Studio in a real browser: a trained run answers, or says why it cannot."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from jobs.cli import main
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import Basin, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(180)

ASK = re.compile(r"\bAsk\b")


@pytest.fixture(scope="module")
def trained(running: Basin) -> RunDirectory:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASIN_HOME", str(running.home))
        patch.delenv("BASIN_REDIS_URL", raising=False)
        return running.launch(steps=30, name="for the studio")


def open_studio(basin: Basin, page: Page, query: str) -> None:
    page.goto(f"{basin.address}/studio?{query}")
    page.get_by_role("button", name=ASK).wait_for(timeout=60_000)


def test_samples_are_asked_for_kept_and_linked(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    open_studio(basin, page, f"run={trained.id}")
    steps = page.get_by_label("Number of steps", exact=True)
    steps.fill("20")
    steps.press("Enter")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer").wait_for(timeout=60_000)
    page.locator(".bl-answer", has_text="500 samples").wait_for()
    page.locator(".bl-card canvas").first.wait_for()
    [kept] = trained.answers()
    assert kept["config"]["num_steps"] == 20 and kept["file"]
    wait_for(lambda: kept["id"] in page.url, "a link to the answer")
    page.reload()
    page.locator(".bl-answer").wait_for(timeout=60_000)
    page.locator(".bl-answer", has_text="500 samples").wait_for()
    assert page.get_by_label("Number of steps", exact=True).input_value() == "20"
    page.get_by_role("button", name=ASK).click()  # what is asked again is there
    page.get_by_text("asked before").wait_for(timeout=60_000)
    assert len(trained.answers()) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    # an answer under the thumb is of the value that stands beside it, or there is none
    slider = page.get_by_role("slider", name="Number of steps of the answer")
    slider.press("ArrowRight")
    page.get_by_role("status").get_by_text("Asking for number of steps").wait_for()
    wait_for(lambda: len(trained.answers()) == 2, "the answer to the slider")
    command = page.locator(".bl-repeat pre").nth(1)
    page.locator(".bl-answer").wait_for(timeout=60_000)
    [swept, _] = trained.answers()
    assert swept["config"] == {**kept["config"], "num_steps": swept["config"]["num_steps"]}
    wait_for(lambda: f"num_steps={swept['config']['num_steps']}" in command.inner_text(), "it")
    wait_for(lambda: swept["id"] in page.evaluate("location.href"), "a link to it")
    slider.press("ArrowLeft")  # what was asked before is there at once
    wait_for(lambda: "num_steps=20" in command.inner_text(), "the answer before")
    wait_for(lambda: kept["id"] in page.evaluate("location.href"), "its link")
    assert len(trained.answers()) == 2
    words = shlex.split(command.inner_text())[1:]
    done = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    assert f'"{kept["id"]}"' in done.stdout and len(trained.answers()) == 2


def test_it_offers_what_the_run_can_be_asked_and_says_what_not(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    open_studio(basin, page, f"run={trained.id}&ability=sample")
    page.locator("summary", has_text="own sampler").click()
    for name in ("Label", "Guidance"):
        assert page.get_by_label(name, exact=True).is_disabled()
    page.get_by_text(re.compile("trained without classes")).locator("visible=true").first.wait_for()
    assert page.get_by_role("button", name="Classes", exact=True).count() == 0
    page.get_by_text(re.compile("more that this run cannot be asked")).click()
    page.get_by_text(re.compile("learned what events are like")).wait_for()
    # a sampler without effect is no field to fill in
    assert page.get_by_role("combobox", name="Sampler").is_disabled()


def test_what_makes_no_sense_is_said_in_sight_and_at_its_field(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    before = len(trained.answers())
    open_studio(basin, page, f"run={trained.id}&ability=sample")
    samples = page.get_by_label("How many", exact=True)
    samples.fill("1")
    samples.press("Enter")
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name=ASK).click()
    refusal = page.get_by_text("Not asked.")
    refusal.wait_for(timeout=60_000)
    assert (
        page.evaluate("node => node.getBoundingClientRect().bottom", refusal.element_handle()) < 900
    )
    assert len(trained.answers()) == before


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "query",
    ["seed=abc", pytest.param("seed=-1&ability=x&answer=x&config=[[", marks=pytest.mark.slow)],
)
def test_a_link_that_makes_no_sense_opens_the_form(
    basin: Basin, page: Page, trained: RunDirectory, query: str
) -> None:
    open_studio(basin, page, f"run={trained.id}&{query}")
    assert page.get_by_label("Seed", exact=True).input_value() == "0"
    assert page.get_by_test_id("stException").count() == 0


LINKS = [
    "studio?run=x",
    "run?id=../..",
    "run?id=%00",
    "compare?runs=,,x,latest,latest",
    "gallery?recipe=x",
    "gallery?reproduction=x",
    "lab?runs=x",
    "lab?from=x,,",
    "launch?from=x&preset=x",
    "launch?data=[",
]


@pytest.mark.slow
@pytest.mark.bad_input
@pytest.mark.parametrize("link", LINKS)
def test_no_link_breaks_a_page(basin: Basin, page: Page, trained: RunDirectory, link: str) -> None:
    page.goto(f"{basin.address}/{link}")
    page.locator(".basin-head").first.wait_for()
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.wait_for_timeout(1000)
    assert page.get_by_test_id("stException").count() == 0
