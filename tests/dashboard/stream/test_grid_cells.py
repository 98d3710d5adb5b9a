"""Grids as their pages are told them: all cells once, then those that changed."""

from __future__ import annotations

import json

import pytest

from backend.errors import BadInput, NotAvailable
from backend.spec import RunSpec
from dashboard.stream import grid_cells
from jobs.grids import records
from jobs.grids.records import Axis, Grid
from jobs.records import run_store, sample_sets
from jobs.records.run_directory import RunDirectory


@pytest.fixture
def run() -> RunDirectory:
    return run_store.create_run(RunSpec(method="contrastive_divergence", data={"name": "ring"}))


def defined(run: RunDirectory) -> Grid:
    axes = [Axis(field="seed", values=(0, 1)), Axis(field="step_size", values=(0.1, 0.2))]
    return records.define(run.id, axes, {"num": 8})


def test_a_page_is_told_the_cells_that_changed_since_it_last_asked(run: RunDirectory) -> None:
    grid = defined(run)
    told = grid_cells.told(grid, "")
    assert (told["cells"], told["progress"]["num"]) == ([], 4)
    assert [axis["words"] for axis in told["axes"]] == ["seed", "step size"]
    for request in grid.requests()[:2]:
        sample_sets.begin(request, 8)
    sample_sets.change(grid.sets[0], state="done", figures={"mmd": 0.1, "energy": None})
    told = grid_cells.told(grid, str(told["now"]))
    assert [(index, cell["state"]) for index, cell in told["cells"]] == [
        (0, "done"),
        (1, "waiting"),
    ]
    assert told["cells"][0][1]["figures"] == {"mmd": 0.1}
    assert grid_cells.told(grid, str(told["now"] + 60))["cells"] == []
    json.dumps(told, allow_nan=False)


def test_what_names_no_grid_is_refused(run: RunDirectory) -> None:
    with pytest.raises(BadInput, match="twelve hexadecimal"):
        records.open_grid("../runs")
    with pytest.raises(NotAvailable, match="no grid"):
        records.open_grid("0" * 12)
    with pytest.raises(BadInput, match="must be a number"):
        grid_cells.told(defined(run), "soon")
