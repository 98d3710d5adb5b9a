"""`basin grid`: sample sets of a run over two or three settings, here or in the queue; the grids
there are, and their deletion."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from backend.errors import BadInput, NotAvailable
from jobs.cli.common import DONE, FAILED, json_command, number, show, table
from jobs.cli.launch import apply
from jobs.formatting import duration
from jobs.grids import deletion, drawing, records
from jobs.grids.progress import progress
from jobs.grids.records import Grid
from jobs.records import run_store
from jobs.records.sample_sets import SampleSet

NONE = "There are no grids: `basin grid RUN --x FIELD=A,B --y FIELD=A,B`."
FIGURES = ("energy_distance", "frechet_features", "energy")
"""The first of them that a cell has is told."""


class _DrawGroup(click.Group):
    """Group whose command is `draw` where none is named: `basin grid RUN --x ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_named = not args or args[0] in self.commands or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if is_named else ["draw", *args])


@click.group("grid", cls=_DrawGroup)
def grid_command() -> None:
    """Draw, list and delete grids: sample sets of a run over two or three settings.

    `basin grid RUN --x FIELD=A,B --y FIELD=A,B` draws one; see `basin grid draw --help`.
    """


@grid_command.command()
@click.argument("run")
@click.option("--x", required=True, metavar="FIELD=A,B,...", help="What differs across.")
@click.option("--y", required=True, metavar="FIELD=A,B,...", help="What differs down.")
@click.option("--z", metavar="FIELD=A,B,...", help="What differs from grid to grid.")
@click.option("--n", "num", type=click.IntRange(2, 100_000), default=64, show_default=True)
@click.option("--step", type=click.IntRange(0), help="Of a kept checkpoint; else the newest.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--set", "changes", multiple=True, metavar="A.B=C", help="Give one field in all cells."
)
@click.option("--queue", is_flag=True, help="Leave it to the quick worker, and return.")
@json_command
def draw(
    run: str,
    x: str,
    y: str,
    z: str | None,
    num: int,
    step: int | None,
    seed: int,
    changes: tuple[str, ...],
    queue: bool,
    as_json: bool,
) -> None:
    """Draw sample sets of RUN, one for each pair of values (each triple with --z).

    FIELD is a setting of its sampler such as step_size, `sampler` itself, a field of the ability
    `sample` such as num_steps, or `step`, `seed`, `run`. Cells that are there are not drawn again.
    """
    config: dict[str, Any] = {"num": num}
    for change in changes:
        apply(config, change)
    axes = [
        records.axis_of(f"--{name}", text) for name, text in (("x", x), ("y", y), ("z", z)) if text
    ]
    grid = records.define(run, axes, config, seed=seed, step=step, origin="cli")
    if queue:
        drawing.launch(grid)
    else:
        drawing.check(grid)
        records.mark_stopped(grid.id, False)
        drawing.retry(grid)
        ended = _Line(grid, quiet=as_json)
        drawing.draw_here(grid, drawn=ended.tell)
        ended.close()
    cells = list(grid.cells())
    value = _value(grid, cells)
    show(value, as_json, lambda: _in_words(grid, cells, value))
    failed = not queue and value["done"] < value["num"]
    sys.exit(FAILED if failed else DONE)


@grid_command.command("list")
@click.option("--run", help="Those that a run takes part in.")
@json_command
def list_command(run: str | None, as_json: bool) -> None:
    """List grids, newest first."""
    grids = records.list_grids(run_store.open_run(run).id if run else None)
    states = [progress(each, list(each.cells())) for each in grids]
    value = [
        {
            "id": each.id,
            "address": f"/grid?id={each.id}",
            "run": each.run,
            "axes": [axis.model_dump(mode="json") for axis in each.axes],
            "created": each.created,
            "state": state.state,
            "num": state.num,
            "done": state.done,
        }
        for each, state in zip(grids, states, strict=True)
    ]
    rows = [
        (each.id, state.state, f"{state.done} of {state.num}", each.run, each.title)
        for each, state in zip(grids, states, strict=True)
    ]
    text = table(("grid", "state", "cells", "run", "axes"), rows) if rows else NONE
    show(value, as_json, text)


@grid_command.command()
@click.argument("grids", nargs=-1, required=True, metavar="GRID...")
@json_command
def delete(grids: tuple[str, ...], as_json: bool) -> None:
    """Delete grids for good, and their cells but those that another grid or an arena has or that
    have a name. All of them can be drawn again. GRID is an id or the start of one."""
    chosen = [_named(each) for each in grids]
    value = [{"id": each.id, "cells": len(deletion.delete(each))} for each in chosen]
    lines = [f"{each['id']}: deleted, with {each['cells']} cells" for each in value]
    show(value, as_json, "\n".join(lines))


def _named(start: str) -> Grid:
    fits = [each for each in records.list_grids() if start and each.id.startswith(start)]
    if not fits:
        raise NotAvailable(f"There is no grid `{start}`; see `basin grid list`.")
    if len(fits) > 1:
        raise BadInput.at("grid", f"`{start}` fits {len(fits)} grids, {fits[0].id} among them.")
    return fits[0]


class _Line:
    """Line of progress on a terminal's standard error, told in place."""

    def __init__(self, grid: Grid, quiet: bool) -> None:
        self.grid, self.is_told = grid, sys.stderr.isatty() and not quiet

    def tell(self, _: SampleSet) -> None:
        if not self.is_told:
            return
        state = progress(self.grid, list(self.grid.cells()))
        left = f", about {duration(state.seconds_left)} left" if state.seconds_left else ""
        click.echo(f"\r\x1b[K{state.done} of {state.num} cells{left}", err=True, nl=False)

    def close(self) -> None:
        if self.is_told:
            click.echo("", err=True)


def _value(grid: Grid, cells: Sequence[SampleSet | None]) -> dict[str, Any]:
    state = progress(grid, cells)
    rows = zip(grid.places, grid.sets, cells, strict=True)
    return {
        "id": grid.id,
        "address": f"/grid?id={grid.id}",
        "run": grid.run,
        "axes": [each.model_dump(mode="json") for each in grid.axes],
        "config": grid.config,
        "seed": grid.seed,
        "state": state.state,
        "num": state.num,
        "done": state.done,
        "failed": state.failed,
        "cells": [
            {
                **{axis.field: value for axis, value in zip(grid.axes, place, strict=True)},
                "set": set_id,
                "state": cell.state if cell else "waiting",
                "reason": cell.reason if cell else "",
                "figures": cell.figures if cell else {},
                "seconds": cell.seconds if cell else None,
                "joules": cell.joules if cell else None,
            }
            for place, set_id, cell in rows
        ],
    }


def _in_words(grid: Grid, cells: Sequence[SampleSet | None], value: dict[str, Any]) -> str:
    names = {name for cell in cells if cell for name in cell.figures}
    name = next((each for each in FIGURES if each in names), "")
    across, down, *beside = grid.axes
    width, size = len(across.values), len(across.values) * len(down.values)
    lines = []
    for index, part in enumerate(beside[0].values if beside else [None]):
        here = cells[index * size : (index + 1) * size]
        title = f", {records.words(beside[0].field)} {part}" if beside else ""
        head = [f"{records.words(down.field)} \\ {records.words(across.field)}"]
        rows = [
            [place, *(_figure(cell, name) for cell in here[row * width : (row + 1) * width])]
            for row, place in enumerate(down.values)
        ]
        words = name.replace("_", " ") or value["state"]
        lines += [f"{words}{title}", table([*head, *map(str, across.values)], rows), ""]
    reasons = {cell.reason for cell in cells if cell and cell.state == "failed"}
    lines += [f"failed: {reason}" for reason in sorted(reasons)]
    lines.append(f"{value['done']} of {value['num']} cells. Look at them at {value['address']}")
    return "\n".join(lines)


def _figure(cell: SampleSet | None, name: str) -> str:
    if cell is None or cell.state != "done":
        return cell.state if cell else "waiting"
    return number(cell.figures.get(name))
