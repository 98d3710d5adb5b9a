"""The Studio in a real browser: a trained run answers, or says why it cannot."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from dashboard.security import viewers
from jobs.cli import main
from jobs.records import sample_sets
from jobs.records.run_directory import RunDirectory
from tests.dashboard.conftest import Basin, address, press, wait_for

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
    press(steps, "Enter")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer").wait_for(timeout=60_000)
    page.locator(".bl-answer", has_text="500 samples").wait_for()
    page.locator(".bl-card canvas").first.wait_for()
    [kept] = trained.answers()
    assert kept["config"]["num_steps"] == 20 and kept["file"]
    wait_for(lambda: kept["id"] in address(page), "a link to the answer")
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
    press(slider, "ArrowRight")
    page.get_by_role("status").get_by_text("Asking for number of steps").wait_for()
    wait_for(lambda: len(trained.answers()) == 2, "the answer to the slider")
    command = page.locator(".bl-repeat pre").nth(1)
    page.locator(".bl-answer").wait_for(timeout=60_000)
    [swept, _] = trained.answers()
    assert swept["config"] == {**kept["config"], "num_steps": swept["config"]["num_steps"]}
    wait_for(lambda: f"num_steps={swept['config']['num_steps']}" in command.inner_text(), "it")
    wait_for(lambda: swept["id"] in page.evaluate("location.href"), "a link to it")
    press(slider, "ArrowLeft")  # what was asked before is there at once
    wait_for(lambda: "num_steps=20" in command.inner_text(), "the answer before")
    wait_for(lambda: kept["id"] in page.evaluate("location.href"), "its link")
    assert len(trained.answers()) == 2
    page.get_by_role("button", name="Keep as a sample set").click()
    link = page.get_by_role("link", name="Kept as a sample set")
    link.wait_for(timeout=60_000)
    [known] = [each for each in sample_sets.list_sets(trained.id) if each.ability == "sample"]
    assert link.get_attribute("href") == f"compare?sets={known.id}"
    wait_for(lambda: sample_sets.open_set(known.id).state == "done", "the set to be drawn")
    with np.load(trained.path_of(kept["file"])) as arrays:
        np.testing.assert_array_equal(sample_sets.open_set(known.id).samples()["x"], arrays["x"])
    words = shlex.split(command.inner_text())[1:]
    done = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    assert f'"{kept["id"]}"' in done.stdout and len(trained.answers()) == 2


@pytest.mark.slow
def test_who_opens_a_run_here_has_seen_it_by_name(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    page.context.add_cookies(  # as the Arena gives it
        [{"name": viewers.COOKIE, "value": viewers.new_cookie(), "url": basin.address}]
    )
    open_studio(basin, page, f"run={trained.id}&ability=inpaint")

    def seen() -> bool:
        files = (basin.home / "sightings").glob("*.json")
        return any(trained.id in json.loads(path.read_text()) for path in files)

    for path in (basin.home / "sightings").glob("*.json"):
        path.unlink()
    page.reload()
    wait_for(seen, "a note that the run was seen")


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
    press(samples, "Enter")
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


@pytest.mark.slow
def test_a_mask_is_drawn_by_pointer_and_keyboard_and_filled_in(basin: Basin, page: Page) -> None:
    run = basin.launch(steps=10, name="digits to fill in", data={"name": "digits"})
    open_studio(basin, page, f"run={run.id}&ability=inpaint&config={{%22num%22:4}}")
    canvas, status = page.locator(".bl-mask"), page.locator(".bl-mask-editor [role=status]")
    canvas.wait_for(timeout=60_000)
    page.get_by_role("button", name="Row 3", exact=True).click()
    page.get_by_text("Row 3", exact=True).wait_for()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5)
    page.mouse.up()
    wait_for(lambda: status.inner_text() != "64 of 64 pixels known", "a drawn mask")
    drawn = status.inner_text()
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", " "):
        press(canvas, key)
    wait_for(lambda: status.inner_text() != drawn, "a dab by the keyboard")
    page.get_by_role("button", name="Undo").click()
    wait_for(lambda: status.inner_text() == drawn, "the mask before it")
    page.get_by_role("button", name="Invert").click()
    page.get_by_role("button", name="Invert").click()
    hidden = 64 - int(drawn.split()[0])

    def filled() -> list[dict[str, Any]]:  # the hand rests, and it is asked
        answers = [item for item in run.answers() if item["ability"] == "inpaint"]
        masks = [sum(map(int, re.findall(r"h(\d+)", item["config"]["mask"]))) for item in answers]
        return [item for item, num in zip(answers, masks, strict=True) if num == hidden]

    wait_for(filled, "an answer to what was drawn", 60)
    kept = filled()[0]
    wait_for(lambda: kept["id"] in page.evaluate("location.href"), "its link")
    assert kept["config"]["hidden"] == "drawn" and kept["config"]["row"] == 3
    with np.load(run.path_of(kept["file"])) as arrays:
        assert arrays["hidden"].sum() == hidden and len(arrays["filled"]) == 4
    # the strip says the mean energies of the fills and of what was hidden
    strip = page.locator(".bl-energies canvas")
    strip.wait_for(timeout=60_000)
    said = strip.get_attribute("aria-label") or ""
    for name, figure in (("filled in", "energy"), ("the whole itself", "energy/whole")):
        [number] = re.findall(rf"{name} ([−\d.e]+)", said)
        expected = kept["figures"][figure]
        assert float(number.replace("−", "-")) == pytest.approx(expected, rel=0.01)
    link = page.locator(".bl-repeat pre").first.inner_text()
    page.goto(link)  # the link draws the same mask
    wait_for(lambda: status.inner_text() == drawn, "the mask of the link")


@pytest.mark.slow
def test_both_ends_of_a_walk_are_picked_among_points(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    config = "%7B%22num_steps%22:5%7D"
    open_studio(basin, page, f"run={trained.id}&ability=interpolate&config={config}")
    canvas = page.locator(".bl-picked canvas")
    canvas.wait_for(timeout=60_000)
    picked = page.locator(".bl-picked header")
    before = picked.inner_text()
    canvas.click(position={"x": 177, "y": 55})  # the ring's top
    wait_for(lambda: picked.inner_text() != before, "the first end")
    first = picked.inner_text()
    page.wait_for_timeout(1000)
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    for key in ("ArrowDown", " "):
        press(canvas, key)
    wait_for(lambda: picked.inner_text() != first, "the second end")
    page.wait_for_timeout(1000)  # the hand rests
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer").wait_for(timeout=60_000)
    config = next(a for a in trained.answers() if a["ability"] == "interpolate")["config"]
    assert config["first"] != 0 and config["second"] != 1
    ends = [str(config["first"]), str(config["second"])]
    wait_for(lambda: all(end in picked.inner_text() for end in ends), "both ends, said")


@pytest.mark.slow
def test_a_file_of_ones_own_is_scored_beside_train_and_held_out(
    basin: Basin, page: Page, trained: RunDirectory, tmp_path: Path
) -> None:
    file = tmp_path / "mine.npy"
    np.save(file, np.random.default_rng(0).normal(size=(50, 2)))
    open_studio(basin, page, f"run={trained.id}&ability=detect")
    page.get_by_test_id("stFileUploader").locator("input[type=file]").set_input_files(file)
    path = page.get_by_label("Path", exact=True)
    wait_for(lambda: any("mine" in field.input_value() for field in path.all()), "the file's path")
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer").wait_for(timeout=60_000)
    kept = next(item for item in trained.answers() if item["ability"] == "detect")
    with np.load(trained.path_of(kept["file"])) as arrays:
        scores = [arrays["held_out_energy"], arrays["file_energy"]]
        assert len(arrays["train_energy"]) and len(scores[1]) == 50
    labels = np.repeat([0, 1], [len(part) for part in scores])
    expected = roc_auc_score(labels, np.concatenate(scores))
    assert kept["figures"]["file/energy"] == pytest.approx(expected, abs=1e-6)
    for name in ("energies", "roc/file"):
        page.locator(f".bl-card[data-path='{name}'] svg").wait_for()


@pytest.mark.slow
def test_runs_are_composed_by_a_formula_and_weights_move_under_a_slider(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    other = basin.launch(steps=10, name="to compose with")
    config = quote(json.dumps({"runs": [other.id], "how": "a and not b", "num": 100}))
    open_studio(basin, page, f"run={trained.id}&ability=compose&config={config}")
    page.get_by_role("button", name=ASK).click()
    refusal = page.get_by_text("Not asked.")
    answer = page.locator(".bl-answer", has_text="100 samples of a and not b")
    answer.or_(refusal).wait_for(timeout=60_000)
    answer.wait_for()
    page.locator(".bl-card[data-kind=field] canvas").wait_for()
    setting = page.get_by_label("Setting that the slider moves")
    setting.select_option(label="Weights, b")
    slider = page.get_by_role("slider", name="Weights, b of the answer")
    press(slider, "ArrowLeft")
    page.locator(".bl-answer", has_text="a and not 0.8 b").wait_for(timeout=60_000)
    composed = [item for item in trained.answers() if item["ability"] == "compose"]
    assert [item["config"]["weights"] for item in composed] == [[1, 0.8], [1, 1]]
    page.get_by_label("How", exact=True).fill("a or not b")
    press(page.get_by_label("How", exact=True), "Enter")
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name=ASK).click()
    refusal.wait_for(timeout=60_000)


@pytest.mark.slow
def test_a_slider_sends_more_to_the_larger_model_and_says_accuracy_and_cost(
    basin: Basin, page: Page
) -> None:
    data = {"name": "moons", "num": 400, "num_held_out": 300}
    run = basin.launch(steps=30, method="energy_routing", preset="default", data=data)
    open_studio(basin, page, f"run={run.id}&ability=route&config=%7B%22share%22:0.5%7D")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer", has_text="With 50% sent on by energy").wait_for(timeout=60_000)
    slider = page.get_by_role("slider", name="Share of the answer")
    press(slider, "ArrowRight")
    page.locator(".bl-answer", has_text="With 58% sent on by energy").wait_for(timeout=60_000)
    press(slider, "End")
    page.locator(".bl-answer", has_text="With 100% sent on by energy").wait_for(timeout=60_000)
    all_sent, some, half = run.answers()
    assert [item["config"]["share"] for item in (half, some, all_sent)] == [0.5, 0.58, 1.0]
    figures = all_sent["figures"]
    assert figures["accuracy"] == figures["accuracy/larger"]
    assert half["figures"]["cost"] < some["figures"]["cost"] < figures["cost"]


@pytest.mark.slow
def test_a_chain_is_traced_from_a_place_in_the_plane_and_played(
    basin: Basin, page: Page, trained: RunDirectory
) -> None:
    open_studio(basin, page, f"run={trained.id}&ability=trace&config=%7B%22num_steps%22:40%7D")
    canvas, picked = page.locator(".bl-picked canvas"), page.locator(".bl-picked header")
    canvas.wait_for(timeout=60_000)
    page.locator(".bl-picked").get_by_text("Place", exact=True).click()
    canvas.click(position={"x": 177, "y": 143})  # the middle of the ring, where no event is
    wait_for(lambda: "Place" in picked.locator(".bl-muted").inner_text(), "the place")
    page.wait_for_timeout(1000)  # the hand rests
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    page.get_by_role("button", name=ASK).click()
    page.locator(".bl-answer", has_text="from a chosen place").wait_for(timeout=60_000)
    trace = next(item for item in trained.answers() if item["ability"] == "trace")
    assert trace["config"]["begin"] == "place"
    with np.load(trained.path_of(trace["file"])) as arrays:
        assert arrays["x"][0] == pytest.approx(trace["config"]["place"], abs=1e-3)
        assert len(arrays["energy"]) == 41
    page.locator(".bl-card[data-path=energy] svg").wait_for()
    state = page.get_by_label("State of the path")
    press(state, "Home")
    page.get_by_text("state 0 of 40").wait_for()
    page.get_by_role("button", name="Play").click()
    page.get_by_text("state 40 of 40").wait_for(timeout=20_000)


@pytest.mark.slow
def test_a_part_is_drawn_by_pointer_and_its_log_probability_said(basin: Basin, page: Page) -> None:
    run = basin.launch(
        steps=5,
        name="a lattice",
        method="marginalization",
        preset="default",
        data={"name": "ising"},
    )
    open_studio(basin, page, f"run={run.id}&ability=marginal")
    canvas, status = page.locator(".bl-mask"), page.locator(".bl-mask-editor [role=status]")
    canvas.wait_for(timeout=60_000)
    wait_for(lambda: status.inner_text().startswith("16 of 16"), "the whole lattice")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6)

    def part() -> int:
        num = int(status.inner_text().split()[0])
        return num if 0 < num < 16 else 0

    known = wait_for(part, "a drawn part")

    def asked() -> list[dict[str, Any]]:  # the hand rests, and it is asked
        answers = [item for item in run.answers() if item["ability"] == "marginal"]
        parts = [sum(map(int, re.findall(r"k(\d+)", item["config"]["mask"]))) for item in answers]
        return [item for item, num in zip(answers, parts, strict=True) if num == known]

    wait_for(asked, "the answer to what was drawn", 60)
    kept = asked()[0]
    assert kept["config"]["known"] == "drawn"
    wait_for(lambda: kept["id"] in address(page), "its link")
    page.locator(".bl-answer", has_text=f"{known} of 16").wait_for(timeout=60_000)


@pytest.mark.slow
def test_a_policy_acts_from_a_clicked_place_and_is_shoved_by_hand(basin: Basin, page: Page) -> None:
    data = {"name": "reach", "num": 200, "num_held_out": 40}
    run = basin.launch(
        steps=5, name="a policy", method="energy_world_model", preset="policy", data=data
    )
    small = quote('{"num":8,"num_steps":2,"max_plans":2}')
    open_studio(basin, page, f"run={run.id}&ability=act&config={small}")
    page.get_by_role("button", name=ASK).click()
    canvas = page.locator(".bl-card[data-path=paths] canvas")
    page.get_by_text("Click: all start there. Drag: they are shoved so, too.").first.wait_for(
        timeout=60_000
    )

    def asked(has: str) -> list[dict[str, Any]]:
        return [
            item
            for item in run.answers()
            if item["ability"] == "act" and item["config"][has] is not None
        ]

    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    page.mouse.click(*middle)
    wait_for(lambda: asked("x"), "an answer from the clicked place", 60)
    [clicked] = asked("x")
    assert clicked["config"]["direction"] is None and clicked["config"]["shove"] == 0.3
    with np.load(run.path_of(clicked["file"])) as arrays:
        start = [clicked["config"]["x"], clicked["config"]["y"]]
        assert arrays["paths"][0] == pytest.approx(np.tile(start, (8, 1)), abs=1e-5)
    wait_for(lambda: clicked["id"] in address(page), "its link")
    page.wait_for_timeout(1500)  # the hand rests, and the answer is drawn
    page.get_by_test_id("stStatusWidget").wait_for(state="hidden")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.3, steps=4)
    page.mouse.up()
    wait_for(lambda: asked("direction"), "an answer to the shove", 60)
    [shoved] = asked("direction")
    assert shoved["config"]["direction"] == pytest.approx(0, abs=3)  # to the right
    assert 0.1 < shoved["config"]["shove"] <= 1 and shoved["config"]["shove"] != 0.3
