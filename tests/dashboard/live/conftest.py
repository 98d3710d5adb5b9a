"""Node, which runs the modules of dashboard/live that need no browser."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def node_path() -> str:
    """The system's node; `make test` installs one where there is none."""
    names = (os.environ.get("BASIN_NODE", ""), "node", "nodejs")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail("no node: `make test` installs one, or set BASIN_NODE to its path")
    return path
