"""The page of a run as one file: opened from the disk, with no network at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import basin
from backend.errors import BadInput
from jobs.exports import page
from jobs.records.run_directory import RunDirectory

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def made(name: str) -> RunDirectory:
    with basin.track(name=name) as run:
        for step in range(30):
            run.log({"loss": 1.0 / (step + 1)}, step)
        run.points(np.random.default_rng(0).normal(size=(50, 2)), "samples/model")
        run.images(np.arange(64, dtype=np.uint8).reshape(4, 4, 4), "samples/grid")
        run.field("look/landscape", np.ones((4, 5)), (0, 1), (0, 1))
    figures = {"quality/energy_distance": 0.5, "quality/energy_distance/floor": 0.25}
    run.directory.write_metrics(figures)
    return run.directory


def test_the_page_holds_figures_with_floors_and_what_runs_were_told(tmp_path: Path) -> None:
    runs = [made("<b>one</b>"), made("two")]
    assert page.write(runs, tmp_path / "page.html", lambda sentence: None) == ["page.html"]
    text = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;one&lt;/b&gt;" in text and "<b>one" not in text
    assert "<td>0.5</td><td>0.5</td><td>0.25</td>" in text and "method: tracked" in text
    with pytest.raises(BadInput, match="is a folder"):
        page.write(runs, tmp_path, lambda sentence: None)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_the_disk_without_a_request(
    scheme: str, tmp_path: Path, browser: Browser
) -> None:
    page.write([made("one"), made("two")], tmp_path / "page.html", lambda sentence: None)
    tab = browser.new_page(color_scheme=scheme)
    asked: list[str] = []
    troubles: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.goto((tmp_path / "page.html").as_uri())
    tab.locator("#chart-0 .scatterlayer path.js-line").nth(1).wait_for(state="attached")
    tab.locator("#chart-4 .main-svg").first.wait_for(state="attached")
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert troubles == []
    tab.close()
