"""Who may import whom: `backend` knows no queue and no browser, `jobs` no pages, pages no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FORBIDDEN = {
    "backend": {"jobs", "dashboard", "streamlit", "redis", "rq", "plotly"},
    "jobs": {"dashboard", "streamlit", "plotly"},
    "dashboard": {"torch", "rq"},
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
    "jobs.records.run_store",
    "jobs.queueing.control",
    "jobs.queueing.enqueue",
    "jobs.queueing.redis_store",
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
