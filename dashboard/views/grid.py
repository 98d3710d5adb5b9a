"""Grid page: samples of a run over two or three settings, drawn cell by cell."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BadInput, BasinError, NotAvailable
from dashboard.comparison import trained_runs
from dashboard.elements import as_typed, empty, head, moment, name_of, plural, size
from dashboard.forms import schemas
from dashboard.live_view import live_element
from jobs.grids import deletion, drawing, records
from jobs.grids.records import Axis, Grid
from jobs.queueing import redis_store
from jobs.records import run_store

NONE = ""
FIRST = (
    ("across", "sampler.step_size", "0.003, 0.01, 0.03, 0.1"),
    ("down", "num_steps", "10, 30, 100, 300"),
    ("beside", NONE, ""),
)
"""Sides, with the field and the values each has at first."""
MOST_LISTED = 20
EXAMPLES = {
    "sampler.kind": "langevin, mala, hmc",
    "seed": "0, 1, 2",
    "label": "0, 1, 2",
    "own_sampler": "true, false",
}


def main() -> None:
    """Draw the page."""
    try:
        catalogue = redis_store.catalogue()
    except NotAvailable as error:
        head("Grid")
        empty(f"{error} This page shows what the workers can draw; it looks again when reloaded.")
        return
    grid = _grid_of_link()
    runs = trained_runs(catalogue)
    if grid is not None:
        _show(grid)
        if not runs:
            return
        with st.expander("Another grid", expanded=bool(grid.problems), key="grid_another"):
            _form(catalogue, runs, grid)
    elif runs:
        head("Grid", facts=["Samples of a trained run, one set for each pair of settings."])
        _form(catalogue, runs, None)
    else:
        head("Grid", facts=["Samples of a trained run, one set for each pair of settings."])
        empty(
            "No run has trained weights yet. The first checkpoint comes a few seconds after a run "
            "starts.",
            "views/launch.py",
            "Launch a run",
        )
    _all_grids(grid)


def _grid_of_link() -> Grid | None:
    if not (grid_id := st.query_params.get("id", "")):
        return None
    try:
        return records.open_grid(grid_id)
    except (BadInput, NotAvailable) as error:
        st.warning(str(error))
        return None


# ---------------------------------------------------------------------- what is drawn


def _show(grid: Grid) -> None:
    lengths = [len(axis.values) for axis in grid.axes]
    head(
        f"{_name(grid.run)}: {grid.title}",
        facts=[
            f"{' × '.join(map(str, lengths))} = {len(grid.sets)} cells",
            f"{grid.config.get('num', 0)} samples each",
            *(f"step {step:,}".replace(",", "\u2009") for step in grid.steps.values()),
            "the same starting noise and chain noise in every cell"
            if not any(axis.field == records.SEED for axis in grid.axes)
            else "each seed with the same noise in all its cells",
        ],
        tab=grid.title,
    )
    event = live_element(
        "comparing/grid/page",
        key="grid_live",
        height=640,
        grid=grid.id,
        run=grid.run,
        on_act_change=lambda: None,
    )
    if event.act:
        try:
            (drawing.stop if event.act["what"] == "stop" else drawing.launch)(grid)
        except (BasinError, OSError) as error:
            st.toast(str(error), icon=":material/warning:")


def _name(run_id: str) -> str:
    try:
        return name_of(run_store.open_run(run_id).written_status())
    except (BasinError, OSError):
        return run_id


# ---------------------------------------------------------------------- what is asked


def _form(catalogue: dict[str, Any], runs: dict[str, str], grid: Grid | None) -> None:
    ids = list(runs)
    wanted = grid.run if grid else st.query_params.get("run", "")
    run = st.selectbox(
        "Run",
        ids,
        index=ids.index(wanted) if wanted in ids else 0,
        format_func=lambda each: runs[each],
        key=f"grid_run:{wanted}",
    )
    fields = _fields(catalogue)
    axes = []
    for index, (side, field, values) in enumerate(FIRST):
        if grid:
            known = grid.axes[index] if index < len(grid.axes) else None
            field = known.field if known else NONE
            values = ", ".join(map(_written, known.values)) if known else ""
        axes.append(_side(side, field, values, fields, index, grid.id if grid else ""))
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    with left:
        num = int(
            st.number_input(
                "Samples in a cell", 2, 100_000, int(grid.config["num"]) if grid else 64
            )
        )
    with right:
        pressed = st.button("Draw the grid", type="primary", icon=":material/grid_on:")
    if pressed:
        _draw(run, axes, num, grid)


def _side(
    side: str, field: str, values: str, fields: list[str], index: int, key: str
) -> tuple[str, str]:
    options = fields if index < 2 else [NONE, *fields]
    if field not in options:
        options = [*options, field]
    left, right = st.columns([1, 3])
    with left:
        chosen = st.selectbox(
            side.capitalize(),
            options,
            index=options.index(field),
            format_func=lambda name: records.words(name) if name else "nothing",
            key=f"grid_field:{key}:{index}",
        )
    with right:
        text = st.text_input(
            "Values",
            values if chosen == field else EXAMPLES.get(chosen, ""),
            placeholder="two or more, with commas between",
            disabled=not chosen,
            key=f"grid_values:{key}:{index}:{chosen}",
        )
    return str(chosen), text


def _fields(catalogue: dict[str, Any]) -> list[str]:
    """List what an axis can be over: settings of the drawing, then those of any sampler."""
    schema = catalogue["abilities"]["sample"]["schema"]
    kinds = schemas.kinds_of(schema["properties"]["sampler"], schema)
    of_samplers = {
        name: None
        for kind in kinds.values()
        for name, part in kind["properties"].items()
        if name != "kind" and "type" in part
    }
    first = ["sampler.step_size", "num_steps", "sampler.kind", "seed", "step", "run"]
    rest = [name for name in records.OF_DRAWING if name not in first]
    rest += sorted(f"sampler.{name}" for name in of_samplers)
    return list(dict.fromkeys([*first, *rest]))


def _draw(run: str, sides: list[tuple[str, str]], num: int, grid: Grid | None) -> None:
    config = {**(grid.config if grid else {}), "num": num}
    try:
        axes: list[Axis] = [
            records.axis_of(side, f"{field}={text}")
            for (side, *_), (field, text) in zip(FIRST, sides, strict=True)
            if field
        ]
        made = records.define(run, axes, config, seed=grid.seed if grid else 0)
        drawing.launch(made)
    except (BasinError, OSError) as error:
        st.error(f"Not drawn. {as_typed(str(error))}", icon=":material/block:")
        return
    st.query_params.clear()
    st.query_params["id"] = made.id
    st.rerun()


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# ---------------------------------------------------------------------- those there are


def _all_grids(current: Grid | None) -> None:
    """List the grids there are, each with its deletion; the one on the page is the first."""
    grids = [each for each in records.list_grids() if not each.problems]
    if not grids:
        return
    if current:
        grids.sort(key=lambda each: each.id != current.id)
    with st.expander(f"All grids ({len(grids)})", key="grid_all"):
        for each in grids[:MOST_LISTED]:
            name = f"{_name(each.run)}: {each.title}"
            where = "shown here" if current and each.id == current.id else ""
            facts = [f"{len(each.sets)} cells", moment(each.created), where]
            link, act = st.columns([6, 1], vertical_alignment="center")
            link.markdown(
                f"[{as_typed(name)}](grid?id={each.id}) :gray[{', '.join(filter(None, facts))}]"
            )
            if act.button("Delete", key=f"grid_delete:{each.id}", icon=":material/delete:"):
                _delete(each, current)
        if len(grids) > MOST_LISTED:
            st.caption(f"and {len(grids) - MOST_LISTED} earlier ones: `basin grid list`")


@st.dialog("Delete this grid?")
def _delete(grid: Grid, current: Grid | None) -> None:
    cells = [cell for cell in grid.cells() if cell]
    own = deletion.own_cells(grid)
    st.write(
        f"**{as_typed(f'{_name(grid.run)}: {grid.title}')}** and {plural(len(own), 'drawn cell')}, "
        f"{size(sum(cell.num_bytes for cell in own))}, are deleted for good. The same grid can be "
        "drawn again."
    )
    if rest := len(cells) - len(own):
        st.caption(f"{plural(rest, 'cell')} stay: another grid or an arena has them, or a name.")
    if st.button("Delete it", type="primary"):
        try:
            deletion.delete(grid)
        except (BasinError, OSError) as error:
            st.error(f"Not all was deleted. {as_typed(str(error))}")
            return
        if current and current.id == grid.id:
            st.query_params.clear()
        st.rerun()


main()
