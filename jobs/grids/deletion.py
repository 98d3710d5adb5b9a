"""Deletion of grids, with the cells that nothing else has."""

from __future__ import annotations

import contextlib

from backend.errors import NotAvailable
from jobs.arena import arenas
from jobs.grids import drawing, records
from jobs.grids.records import Grid
from jobs.records import sample_sets
from jobs.records.sample_sets import SampleSet


def own_cells(grid: Grid) -> list[SampleSet]:
    """List the cells of a grid that go with it: of no other grid, in no arena, without a name.

    Raises NotAvailable.
    """
    elsewhere = {cell for each in records.list_grids() if each.id != grid.id for cell in each.sets}
    for arena in arenas.list_arenas():
        elsewhere |= {*arena.sets, arena.reference}
    return [cell for cell in grid.cells() if cell and cell.id not in elsewhere and not cell.name]


def delete(grid: Grid) -> list[str]:
    """Delete a grid and its own cells for good, and draw no more of it; returns the cells' ids.

    They can be drawn again. Raises NotAvailable, OSError.
    """
    with contextlib.suppress(NotAvailable):  # without Redis no worker draws it
        drawing.stop(grid)
    cells = [cell.id for cell in own_cells(grid)]
    records.remove(grid.id)
    for cell in cells:
        with contextlib.suppress(NotAvailable):  # deleted meanwhile
            sample_sets.delete(cell)
    return cells
