"""The HTML every page begins with, and addresses that hold below any path a proxy puts before."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from streamlit import file_util

from dashboard import shell, static_files
from tests.conftest import ROOT

DASHBOARD = ROOT / "dashboard"


def test_basin_has_the_first_word_in_the_installed_streamlit() -> None:
    html = shell._html("runs")
    assert "<title>Basin</title>" in html
    assert html.index("shell.js") < html.index("<script", html.index("shell.js"))
    assert html.index("shell.js") < html.index("./static/js/")
    with pytest.raises(ValueError, match="no <head>"):
        shell.with_ours("<html></html>", "", "")


def test_a_page_names_all_the_code_it_will_run() -> None:
    html = shell._html("run", has_charts=True)
    named = re.findall(r'modulepreload" href="\./live/static/v[0-9a-f]{12}/([^"]+)"', html)
    assert {"run.js", "charts/plotly.js", "parts/dom.js", "list/head.js"} <= set(named)
    assert all((static_files.LIVE / name).is_file() for name in named)
    assert len(named) == len(set(named)) > 30
    assert "./live/plotly.js" in html and "./live/plotly.js" not in shell._html("runs")
    for modules in shell.PAGES.values():
        assert all((static_files.LIVE / f"{name}.js").is_file() for name in modules)


def test_code_that_changed_has_another_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_files, "LIVE", tmp_path)
    (tmp_path / "run.js").write_text('import { make } from "./dom.js"\n')
    (tmp_path / "dom.js").write_text("export const make = 1\n")
    before = static_files.version()
    assert static_files.version() == before
    assert static_files.needed(("run",), before) == ["run.js", "dom.js"]
    (tmp_path / "dom.js").write_text("export const make = 22\n")
    assert static_files.version() != before


def test_streamlits_code_is_sent_compressed_to_who_takes_that() -> None:
    folder = Path(file_util.get_static_dir())
    largest = max(folder.glob("static/js/index.*.js"), key=lambda path: path.stat().st_size)
    passed_on = PlainTextResponse("Streamlit's own answer")
    client = TestClient(static_files.StreamlitsCode(passed_on))
    address = f"/static/js/{largest.name}"
    answer = client.get(address)
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == largest.read_bytes()
    assert 3 * int(answer.headers["content-length"]) < len(answer.content) + 100_000
    for other in (
        client.get(address, headers={"accept-encoding": "identity"}),
        client.get("/static/js/none.js"),
        client.get("/static/js/..%2F..%2Findex.html"),
        client.post(address),
    ):
        assert other.text == "Streamlit's own answer"


def test_the_room_of_an_element_is_there_before_its_module() -> None:
    views = "".join(path.read_text() for path in DASHBOARD.glob("views/*.py"))
    style = (static_files.LIVE / "live.css").read_text()
    pairs = re.findall(r"\.st-key-(\w+) \{ min-height: (\d+)px; \}", style)
    assert len(pairs) >= 5
    for key, height in pairs:
        assert re.search(rf'key="{key}",\s+height={height}\b', views), key


def test_every_page_begins_with_it() -> None:
    tree = ast.parse((DASHBOARD / "app.py").read_text())
    (pages,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PAGES"
    )
    assert {name for name, *_ in pages} == set(shell.PAGES)
    assert {route.path for route in shell.routes()} == {"/", *(f"/{name}" for name in shell.PAGES)}


def test_no_page_names_an_address_from_the_root_of_its_host() -> None:
    names = "|".join(("live", *shell.PAGES))
    absolute = re.compile(rf"""[\"'`(]/(?:{names})(?=[\"'`?/)])""")
    files = [*DASHBOARD.glob("views/*.py"), *DASHBOARD.glob("forms/*.py"), DASHBOARD / "app.py"]
    files += [*DASHBOARD.glob("live/**/*.js"), DASHBOARD / "live_view.py"]
    assert len(files) > 50
    listed = [
        f"{path.name}: {match[0]}"
        for path in files
        for match in absolute.finditer(path.read_text())
    ]
    assert listed == []


def test_each_word_of_an_address_has_one_writer() -> None:
    """Streamlit writes what its scripts knew as the page opened over what modules keep since."""
    of_scripts = set()
    for path in DASHBOARD.rglob("*.py"):
        text = path.read_text()
        of_scripts |= set(re.findall(r'st\.query_params\["(\w+)"\] = ', text))
        for given in re.findall(r"st\.query_params\.from_dict\(\{(.*?)\}\)", text, re.S):
            of_scripts |= set(re.findall(r'"(\w+)":', given))
    of_modules = set()
    for path in DASHBOARD.glob("live/**/*.js"):
        of_modules |= set(re.findall(r'keepInAddress\(\s*"(\w+)"', path.read_text()))
    assert {"id", "runs", "recipe", "answer"} <= of_scripts
    assert {"at", "axis", "zoom", "seeds"} <= of_modules
    assert not of_scripts & of_modules
