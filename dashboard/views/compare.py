"""Compare page: pictures on one scale, curves with bands over seeds, differences, figures,
floors."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import streamlit as st

from backend.errors import BasinError
from backend.metric_names import FIGURES
from dashboard import comparison
from dashboard.comparison import Group, Member
from dashboard.elements import as_typed, empty, figure, head, name_of
from dashboard.live_view import live_element
from jobs.records import run_store

SHOWN_POINTS, SHOWN_IMAGES = 500, 64
MOST_COLUMNS = 9


def main() -> None:
    """Draw the page."""
    head("Compare")
    statuses = run_store.list_runs()
    if not statuses:
        empty("There are no runs to compare yet.", "views/launch.py", "Launch a run")
        return
    labels = {
        item.id: f"{name_of(item)} · seed {item.seed} · {item.status} · {item.id}"
        for item in statuses
    }
    run_ids = [run for run in st.query_params.get("runs", "").split(",") if run]
    if st.session_state.get("compare_asked") != run_ids:
        known = list(dict.fromkeys(run for run in run_ids if run in labels))
        st.session_state["compare_runs"] = known[: comparison.MOST_RUNS]
    selection = st.multiselect(
        "Runs",
        list(labels),
        format_func=lambda run: labels.get(run, run),
        placeholder="Search for runs by name, method, seed or id",
        max_selections=comparison.MOST_RUNS,
        key="compare_runs",
        label_visibility="collapsed",
    )
    st.session_state["compare_asked"] = list(selection)
    if deleted := [run for run in run_ids if run not in labels]:
        st.warning(f"Not there any more: {', '.join(deleted)}.")
    if selection:
        st.query_params["runs"] = ",".join(selection)
    elif "runs" in st.query_params:
        del st.query_params["runs"]
    members, missing = comparison.load(list(selection))
    for sentence in missing:
        st.warning(sentence)
    if not members:
        empty(
            "Choose two or more runs above, or select them under **Runs** and press **C**. Runs "
            "that differ in nothing but their seed are drawn as one line with a band.",
            "views/runs.py",
            "See all runs",
        )
        return
    groups = comparison.groups(members)
    live_element(
        "compare",
        key="compare_live",
        height=700,
        groups=[{"title": g.title, "runs": [m.id for m in g.members]} for g in groups],
        figures={
            path: {"title": item.title, "unit": item.unit, "log": item.log}
            for path, item in FIGURES.items()
        },
    )
    _figures(groups)
    _differences(groups)
    _same_seed(groups)


def _figures(groups: list[Group]) -> None:
    st.subheader("Figures", anchor=False)
    rows = comparison.figures(groups)
    if not rows:
        st.caption("No figures yet: the first come a few seconds after a run starts.")
        return
    quality = [row for row in rows if row.path.startswith("quality/")]
    _figure_table(groups, quality or rows)
    rest = [row for row in rows if row not in quality]
    if quality and rest:
        with st.expander("All other figures"):
            _figure_table(groups, rest)
    st.caption(
        "Final figures, or the latest of a run that goes on; over several seeds the median and the "
        "range. Bold: better in every seed than all others in any, and beyond the floor; of single "
        "runs, whose spread is not known, none is. The floor is fresh real data of as many samples."
    )


def _figure_table(groups: list[Group], rows: list[comparison.Row]) -> None:
    several = len({group.data for group in groups}) > 1
    body = []
    for row in rows:
        cells = []
        for index, values in enumerate(row.values):
            text = comparison.written(values)
            cells.append(f"**{text}**" if index in row.best else text)
        floor = ", ".join(
            f"{figure(value)}{f' ({data})' if several else ''}"
            for data, value in row.floors.items()
        )
        body.append([row.title, *cells, floor])
    _table(["figure", *(as_typed(group.title) for group in groups), "floor"], body, "---:")


def _table(head: list[str], rows: list[list[str]], align: str) -> None:
    """Draw a table; of many runs, each is a row, since a page scrolls down more easily than
    sideways."""
    if len(head) > MOST_COLUMNS:
        turned = [list(column) for column in zip(head, *rows, strict=True)]
        head, rows = ["run", *turned[0][1:]], turned[1:]
    lines = [f"| {' | '.join(head)} |", "|---|" + f"{align}|" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    st.markdown("\n".join(lines))


def _differences(groups: list[Group]) -> None:
    st.subheader("Where they differ", anchor=False)
    rows = comparison.differences(groups)
    if not rows:
        same = "These runs were asked for the same work."
        st.caption(same if len(groups) == 1 else f"{same} They differ in their names alone.")
        return
    head = ["field", *(as_typed(group.title) for group in groups)]
    _table(head, [[f"`{name}`", *map(as_typed, values)] for name, values in rows], "---")


# ---------------------------------------------------------------------- one seed for all


def _same_seed(groups: list[Group]) -> None:
    st.subheader("Samples with one seed", anchor=False)
    st.caption(
        "Each run draws as it does under **Studio**, from the same numbers: where two runs learned "
        "the same and draw alike, the samples look alike."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, width=140)
        steps = st.number_input(
            "Sampler steps", 1, 100_000, None, step=100, placeholder="the run's own", width=160
        )
        pressed = st.button("Draw samples", icon=":material/casino:")
    members = [group.members[0] for group in groups]
    key = ("compare_samples", tuple(member.id for member in members))
    if pressed:
        st.session_state["compare_samples"] = (key, _draw(members, int(seed), steps))
    held = st.session_state.get("compare_samples")
    if held and held[0] == key and held[1]:
        live_element("previews", key="compare_drawn", height=300, sets=held[1])


def _draw(members: list[Member], seed: int, steps: int | None) -> list[dict[str, Any]]:
    sets = []
    progress = st.progress(0.0, "Drawing samples…")
    for index, member in enumerate(members):
        progress.progress(index / len(members), f"Drawing from {name_of(member.status)}…")
        try:
            x, energy = comparison.samples(member, SHOWN_POINTS, steps, seed)
            sets.append(_set(member, x, energy))
        except (BasinError, OSError) as error:
            st.warning(f"{name_of(member.status)}: {error}")
    progress.empty()
    return sets


def _set(member: Member, x: Any, energy: Any) -> dict[str, Any]:
    about = f"{len(x)} samples, mean energy {figure(float(energy.mean()))}"
    if x.ndim > 2:
        low, high = float(x.min()), float(x.max())
        if low >= -1.5 and high <= 1.5:
            low, high = -1.0, 1.0
        images = np.clip((x[:SHOWN_IMAGES] - low) / max(high - low, 1e-9), 0, 1)
        pixels = (images * 255).round().astype(np.uint8)
        preview = {"kind": "images", "shape": list(pixels.shape), "values": _base64(pixels)}
    else:
        points = np.ascontiguousarray(x[:SHOWN_POINTS], "<f4")
        preview = {"kind": "points", "shape": list(points.shape), "values": _base64(points)}
    return {"title": name_of(member.status), "about": about, "preview": preview}


def _base64(array: Any) -> str:
    return base64.b64encode(array.tobytes()).decode()


main()
