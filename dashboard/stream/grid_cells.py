"""Grid as its page is told it: axes, progress, and the cells that changed since it last asked."""

from __future__ import annotations

import math
import time
from typing import Any

from backend.errors import BadInput
from jobs.grids import records
from jobs.grids.progress import progress
from jobs.grids.records import Grid
from jobs.records.sample_sets import SampleSet

_OVERLAP = 2.0
"""Seconds told again: a cell is dated a little before it is written."""


def told(grid: Grid, after: str) -> dict[str, Any]:
    """Describe a grid; `after`: the `now` of the last answer, "" for all cells.

    Raises BadInput, NotAvailable.
    """
    try:
        since = float(after or 0.0)
    except ValueError as error:
        raise BadInput.at("after", f"must be a number, got {after!r}.") from error
    now = time.time()
    cells = list(grid.cells())
    changed = [
        [index, _cell(cell)]
        for index, cell in enumerate(cells)
        if cell is not None and cell.updated >= since - _OVERLAP
    ]
    return {
        "id": grid.id,
        "axes": [
            {**axis.model_dump(mode="json"), "words": records.words(axis.field)}
            for axis in grid.axes
        ],
        "sets": grid.sets,
        "problems": grid.problems,
        "progress": progress(grid, cells)._asdict(),
        "cells": changed,
        "now": now,
    }


def _cell(cell: SampleSet) -> dict[str, Any]:
    figures = {name: value for name, value in cell.figures.items() if _is_finite(value)}
    return {
        "id": cell.id,
        "state": cell.state,
        "reason": cell.reason,
        "num": cell.num,
        "num_drawn": cell.num_drawn,
        "kind": cell.kind,
        "caveat": cell.caveat,
        "figures": figures,
        "seconds": cell.seconds,
        "joules": cell.joules,
        "run": cell.run,
        "step": cell.step,
        "seed": cell.seed,
        "config": cell.config,
    }


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
