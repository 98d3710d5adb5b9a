"""Discovery: files are imported once, and none asks for its own folder's classes meanwhile."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backend.system import discovery
from tests.conftest import ROOT


def test_a_file_that_imports_its_neighbour_asks_for_no_classes() -> None:
    code = "import sys; from backend.samplers import annealing; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "backend.samplers.ais" not in done.stdout.split()


def test_classes_asked_for_while_they_are_imported_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "_being_imported", {"backend.samplers"})
    discovery._own.cache_clear()
    with pytest.raises(RuntimeError, match=r"backend\.samplers is being imported"):
        discovery._own("backend.samplers")
