"""Whether a `basin up` looks after a home decides whether the dashboard must."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dashboard.stream import hub
from jobs.queueing import control, redis_store
from jobs.services import home_lock
from jobs.system.processes import identity


@pytest.mark.parametrize("is_there", [True, False])
def test_the_dashboard_looks_after_runs_where_no_supervisor_does(
    basin_home: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    who = identity(os.getpid()) if is_there else f"{identity(os.getpid())}0"
    written = {"pid": os.getpid(), "process": who}
    (basin_home / redis_store.CONNECTION).write_text(json.dumps(written))
    acts: list[Any] = []
    monkeypatch.setattr(control, "settle", lambda: acts.append(1))
    hub._settle()
    assert home_lock.is_supervised() is is_there
    assert len(acts) == (0 if is_there else 1)


def test_a_home_of_nobody_is_not_supervised(basin_home: Path) -> None:
    assert not home_lock.is_supervised()
