"""Drawing of grids: cell by cell, on quick workers or in this process.

A worker draws cells in turns: a process of its own for each cell would take longer to begin than
the cell to draw. A turn ends as soon as somebody else's question waits.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable

from backend.errors import BadInput, BasinError, NotAvailable, Problem
from jobs.grids import records
from jobs.grids.progress import num_steps
from jobs.grids.records import Grid
from jobs.queueing import redis_store, sample_jobs
from jobs.queueing.job_calls import Job
from jobs.records import sample_sets
from jobs.records.sample_sets import Request, SampleSet

_LEAST_SECONDS, _MOST_SECONDS = 2.0, 60.0
"""Of a turn while others wait, and while nobody does."""
_JOB_SECONDS = 3600
_RESULT_SECONDS = 60


def launch(grid: Grid) -> None:
    """Have a quick worker draw the cells that are not drawn yet, those that failed among them.

    Raises NotAvailable without Redis or without such a worker.
    """
    with redis_store.reaching():
        queue = sample_jobs.quick_queue()
        records.mark_stopped(grid.id, False)
        retry(grid)
        if not any(each.startswith(_job_head(grid.id)) for each in queue.job_ids):
            _queue_turn(grid.id)


def retry(grid: Grid) -> None:
    """Let the cells that failed wait to be drawn again. Raises NotAvailable, OSError."""
    for cell in grid.cells():
        if cell is not None and cell.state == "failed":
            sample_sets.change(cell.id, state="waiting", reason="", num_drawn=0)


def stop(grid: Grid) -> None:
    """Draw no more of a grid; the cell being drawn is ended within a second. Raises
    NotAvailable."""
    records.mark_stopped(grid.id, True)
    with redis_store.reaching():
        connection = redis_store.connect()
        queue = redis_store.queue(redis_store.QUICK, connection)
        running = [str(worker.get("run") or "") for worker in redis_store.workers(connection)]
        for job_id in [*queue.job_ids, *running]:
            if job_id.startswith(_job_head(grid.id)):
                queue.remove(job_id)
                connection.delete(Job.key_for(job_id))  # its worker sees it, and ends the work


def take_turn(grid_id: str) -> int:
    """Draw cells of a grid for a while, another turn queued for the rest; returns how many.

    A grid that cannot be drawn says why in its record. Imports torch. Raises NotAvailable.
    """
    grid = records.open_grid(grid_id)
    try:
        check(grid)
    except BadInput as error:
        problems = tuple((each.field, each.message) for each in error.problems)
        records.keep(grid.model_copy(update={"problems": problems}))
        return 0
    if grid.is_stopped or not (left := _left(grid)):
        return 0
    _queue_turn(grid.id)  # before the work: a cell that ends this process ends no more than itself
    started = time.monotonic()

    def goes_on() -> bool:
        seconds = time.monotonic() - started
        return seconds < (_LEAST_SECONDS if _others_wait(grid.id) else _MOST_SECONDS)

    return _draw(grid, left, lambda _: None, goes_on)


def draw_here(
    grid: Grid,
    *,
    drawn: Callable[[SampleSet], None] = lambda _: None,
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Draw the cells that are left in this process; returns how many. One that cannot be drawn
    says why, and the next is drawn.

    drawn: called with each cell that has ended. goes_on: asked after each. Imports torch. Raises
    BadInput, NotAvailable for a run or a checkpoint that is gone.
    """
    return _draw(grid, _left(grid), drawn, goes_on)


def _draw(
    grid: Grid,
    left: list[Request],
    drawn: Callable[[SampleSet], None],
    goes_on: Callable[[], bool],
) -> int:
    from jobs.models import sample_drawing

    num = 0
    for request in left:
        if grid.is_stopped or (num and not goes_on()):
            break
        if _is_taken(request.id):
            continue
        num += 1
        with contextlib.suppress(Exception):  # the set says it
            sample_drawing.draw(request)
        with contextlib.suppress(NotAvailable):  # deleted meanwhile
            drawn(sample_sets.open_set(request.id))
    return num


def check(grid: Grid) -> None:
    """Look at each value of the axes once, where nothing is drawn yet. Imports torch. Raises
    BadInput with all that is wrong, NotAvailable for a run that is gone."""
    from backend.abilities.sample import SampleAbility, SampleConfig
    from backend.requests import asking
    from jobs.models import trained_run

    if any(cell is not None for cell in grid.cells()):
        return
    problems: dict[Problem, None] = {}
    runs = {}
    first = [axis.values[0] for axis in grid.axes]
    for index, axis in enumerate(grid.axes):
        for value in axis.values:
            cell = grid.settings([*first[:index], value, *first[index + 1 :]])
            try:
                _, config = asking.resolve_ability("sample", cell["config"])
                assert isinstance(config, SampleConfig)
                of = cell["run"], cell["step"]
                if of not in runs:
                    loaded = trained_run.load_trained(cell["run"], step=cell["step"] or None)
                    runs[of] = trained_run.asked_of(loaded)
                with asking.left_alone(runs[of].method):
                    objections = [
                        Problem(*each) for each in SampleAbility.problems(runs[of], config)
                    ]
            except BadInput as error:
                objections = error.problems
            problems |= dict.fromkeys(objections)
    if problems:
        raise BadInput(*problems)


def _left(grid: Grid) -> list[Request]:
    """List the cells to draw, those of few sampler steps first."""
    cells = zip(grid.requests(), grid.cells(), strict=True)
    waiting = [request for request, cell in cells if cell is None or cell.state == "waiting"]
    return sorted(waiting, key=num_steps)


def _is_taken(set_id: str) -> bool:
    """Tell that a set is drawn, or that another process draws it."""
    try:
        return sample_sets.open_set(set_id).state != "waiting"
    except BasinError:
        return False


def _job_head(grid_id: str) -> str:
    return f"grid-{grid_id}-"


def _queue_turn(grid_id: str) -> None:
    redis_store.queue(redis_store.QUICK).enqueue(
        "jobs.tasks.draw_grid_job",
        grid_id,
        job_id=f"{_job_head(grid_id)}{secrets.token_hex(4)}",
        job_timeout=_JOB_SECONDS,
        result_ttl=_RESULT_SECONDS,
        failure_ttl=_RESULT_SECONDS,
        description=f"draw the grid {grid_id}",
    )


def _others_wait(grid_id: str) -> bool:
    with redis_store.reaching():
        ids = redis_store.queue(redis_store.QUICK).job_ids
    return any(not each.startswith(_job_head(grid_id)) for each in ids)
