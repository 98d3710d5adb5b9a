"""Who may import whom: `backend` knows no queue and no browser, `jobs` no pages, pages no torch."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

FORBIDDEN = {
    "backend": {"basin", "jobs", "dashboard", "streamlit", "redis", "rq", "plotly"},
    "basin": {"dashboard", "streamlit", "rq"},
    "jobs": {"basin", "dashboard", "streamlit", "plotly"},
    "dashboard": {"basin", "torch", "rq"},
}
LIGHT = {
    "claims",
    "errors",
    "events",
    "former_names",
    "metric_names",
    "spec",
    "system",
}
"""What pages may import of `backend`."""
NO_TORCH = [
    "basin",
    "basin.reading",
    "jobs.records.run_store",
    "jobs.queueing.control",
    "jobs.queueing.enqueue",
    "jobs.queueing.redis_store",
    "jobs.queueing.sample_jobs",
    "jobs.services.supervision",
    "jobs.cli",
    "jobs.claims.reproduction",
    "dashboard.server",
    "dashboard.stream.hub",
    "dashboard.forms.form_fields",
    "dashboard.forms.draft",
    "dashboard.comparison",
    "dashboard.elements",
    "dashboard.gallery",
    "dashboard.live_view",
]


def imports(path: Path) -> Iterator[str]:
    """Every module a file names in an import, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_reaches_beyond_its_layer(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    found = {name.partition(".")[0] for name in imports(path)}
    assert not found & FORBIDDEN[package]
    if package == "dashboard":
        named = {name.split(".")[1] for name in imports(path) if name.startswith("backend.")}
        assert named <= LIGHT


@pytest.mark.parametrize("module", NO_TORCH)
def test_it_opens_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "scripts" / "rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_room_imports_from_below_alone() -> None:
    script = rooms()
    arrows = script.graph(script.files()) | script.live_graph()
    assert script.violations(arrows) == [] and script.circles(arrows) == []


def test_an_import_from_above_is_told() -> None:
    script = rooms()
    arrows = {room: set() for floor in script.FLOORS for room in floor}
    assert script.violations(arrows) == []
    arrows["backend.energy"] = {"backend.method"}
    (sentence,) = script.violations(arrows)
    assert sentence == "backend.energy imports backend.method, which is not below it"
    arrows["backend.method"] = {"backend.energy"}
    assert script.circles(arrows) == [{"backend.energy", "backend.method"}]


def test_no_folder_holds_more_than_can_be_taken_in_at_a_glance() -> None:
    assert rooms().crowded() == {}
