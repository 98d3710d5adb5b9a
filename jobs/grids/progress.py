"""Progress of a grid: cells cost unequally, so cost counts, not cells. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from jobs.grids.records import Grid
from jobs.records.sample_sets import Request, SampleSet

State = Literal["refused", "done", "drawing", "stopped", "waiting"]
_GAP_SECONDS = 60.0
"""Between two cells: beyond it nothing was being drawn."""
_NUM_RECENT = 40


class Progress(NamedTuple):
    """State of a grid as a whole."""

    state: State
    num: int
    done: int
    failed: int
    share: float
    """of its cost that is done, from 0 to 1"""
    seconds_left: float | None
    """None before the first cells are drawn, and when none is left"""
    seconds: float
    """spent on drawing, all cells together"""
    joules: float | None


def num_steps(request: Request | SampleSet) -> int:
    """Return the sampler steps that were asked for; 0 where the run chooses them."""
    steps = request.config.get("num_steps")
    return steps if isinstance(steps, int) else 0


def progress(grid: Grid, cells: Sequence[SampleSet | None]) -> Progress:
    """Judge how far a grid is from its cells, as `Grid.cells` reads them."""
    ended = [cell for cell in cells if cell is not None and cell.state in ("done", "failed")]
    done = [cell for cell in ended if cell.state == "done"]
    steps = [_steps_at(grid, index, cell) for index, cell in enumerate(cells)]
    fixed, a_step = _cost(done)
    costs = [fixed + a_step * each for each in steps]
    is_ended = [cell is not None and cell.state in ("done", "failed") for cell in cells]
    left = sum(cost for cost, end in zip(costs, is_ended, strict=True) if not end)
    joules = [cell.joules for cell in done if cell.joules is not None]
    return Progress(
        _state(grid, cells),
        len(cells),
        len(done),
        len(ended) - len(done),
        1 - left / (sum(costs) or 1.0),
        left if done and left else None,
        sum(cell.seconds or 0.0 for cell in done),
        sum(joules) if joules else None,
    )


def _steps_at(grid: Grid, index: int, cell: SampleSet | None) -> int:
    if cell is not None:
        return num_steps(cell)
    steps = grid.settings(grid.places[index])["config"].get("num_steps")
    return steps if isinstance(steps, int) else 0


def _cost(done: Sequence[SampleSet]) -> tuple[float, float]:
    """Estimate the seconds of a cell: those of each, and those of a sampler step."""
    recent = sorted(done, key=lambda cell: cell.updated)[-_NUM_RECENT:]
    if not recent:
        return 1.0, 0.0
    seconds = sum(cell.seconds or 0.0 for cell in recent)
    steps = sum(map(num_steps, recent))
    gaps = [b.updated - a.updated for a, b in pairwise(recent)]
    gaps = [gap for gap in gaps if gap < _GAP_SECONDS]
    around = sum(gaps) / len(gaps) - seconds / len(recent) if gaps else 0.1
    a_step = seconds / steps if steps else 0.0
    each = 0.0 if steps else seconds / len(recent)
    return max(around, 0.01) + each, a_step


def _state(grid: Grid, cells: Sequence[SampleSet | None]) -> State:
    if grid.problems:
        return "refused"
    states = {cell.state if cell else "waiting" for cell in cells}
    if not states & {"waiting", "drawing"}:
        return "done"
    if grid.is_stopped:
        return "stopped"
    return "drawing" if "drawing" in states else "waiting"
