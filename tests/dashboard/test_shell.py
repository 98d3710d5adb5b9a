"""The HTML every page begins with, and addresses that hold below any path a proxy puts before."""

from __future__ import annotations

import ast
import re

import pytest

from dashboard import shell
from tests.conftest import ROOT

DASHBOARD = ROOT / "dashboard"


def test_basin_has_the_first_word_in_the_installed_streamlit() -> None:
    html = shell._html()
    assert "<title>Basin</title>" in html
    assert html.index("shell.js") < html.index("<script", html.index("shell.js"))
    assert html.index("shell.js") < html.index("./static/js/")
    with pytest.raises(ValueError, match="no <head>"):
        shell.with_script("<html></html>")


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
