"""Compare page: pictures on one scale, curves with bands over seeds, differences, figures,
floors."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from backend.errors import BasinError
from backend.metric_names import FIGURES
from dashboard import comparison, comparison_report
from dashboard.comparison import Group
from dashboard.elements import as_typed, empty, figure, head, plural, report_card
from dashboard.live_view import live_element
from jobs.records import run_store

MOST_COLUMNS = 9
MOST_SEED, MOST_STEPS = 2**31 - 1, 100_000


def main() -> None:
    """Draw the page."""
    head("Compare")
    statuses = run_store.list_runs()
    if not statuses:
        empty("There are no runs to compare yet.", "views/launch.py", "Launch a run")
        return
    labels = comparison.labels(statuses)
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
    if selection and st.query_params.get("runs") != ",".join(selection):
        st.query_params["runs"] = ",".join(selection)
    elif not selection and "runs" in st.query_params:
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
    parts = comparison.by_data(groups)
    _say_different_data(parts)
    drawn = _drawn(groups)
    event = live_element(
        "compare",
        key="compare_live",
        height=700,
        groups=[
            {"title": g.title, "data": g.data, "runs": [m.id for m in g.members]} for g in groups
        ],
        figures={
            path: {"title": item.title, "unit": item.unit, "log": item.log}
            for path, item in FIGURES.items()
        },
        drawn=drawn,
        report=comparison_report.report(groups),
        on_draw_change=lambda: None,
    )
    _figures(parts)
    _differences(groups)
    if event.draw:
        _note_question(event.draw)
        st.rerun()


def _say_different_data(parts: dict[str, list[Group]]) -> None:
    """Say what can and what cannot be compared of runs that learned different things."""
    if len(parts) < 2:
        return
    names = [f"**{as_typed(name)}**" for name in parts]
    st.info(
        f"These runs learned different data: {', '.join(names[:-1])} and {names[-1]}. "
        "Settings, speed and cost can be compared. Distances, likelihoods and energies cannot: "
        "each is measured against its own data. So figures stand apart below, one table for each, "
        "and pictures share a view within the same data alone.",
        icon=":material/call_split:",
    )


def _figures(parts: dict[str, list[Group]]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Figures", anchor=False)
        st.download_button(
            "CSV",
            "".join(
                comparison.as_csv(groups).partition("\n")[2] if index else comparison.as_csv(groups)
                for index, groups in enumerate(parts.values())
            ),
            "figures.csv",
            "text/csv",
            icon=":material/download:",
            help="Every figure of every run, at full precision",
            type="tertiary",
        )
        if st.button("Report card", icon=":material/receipt_long:", type="tertiary"):
            members = (
                each for groups in parts.values() for group in groups for each in group.members
            )
            report_card([member.id for member in members])
        if len(parts) == 1:
            runs = ",".join(
                each.id for group in next(iter(parts.values())) for each in group.members
            )
            st.link_button(
                "Vote blind", f"arena?runs={runs}", icon=":material/how_to_vote:", type="tertiary"
            )
    for data, groups in parts.items():
        if len(parts) > 1:
            st.markdown(f"**{as_typed(data)}**")
        _figures_of(groups)
    st.caption(
        "Final figures, or the latest of a run that goes on; over several seeds the median and the "
        "range. Bold: better in every seed than all others in any, and beyond the floor; of single "
        "runs, whose spread is not known, none is. The floor is fresh real data of as many samples."
    )


def _figures_of(groups: list[Group]) -> None:
    rows = comparison.figures(groups)
    if not rows:
        st.caption("No figures yet: the first come a few seconds after a run starts.")
        return
    quality = [row for row in rows if row.path.startswith("quality/")]
    main = [row for row in quality if all(row.values)] or quality or rows
    _figure_table(groups, main)
    if rest := [row for row in rows if row not in main]:
        with st.expander("All other figures"):
            _figure_table(groups, rest)


def _figure_table(groups: list[Group], rows: list[comparison.Row]) -> None:
    body = []
    for row in rows:
        cells = []
        for index, values in enumerate(row.values):
            text = comparison.written(values)
            cells.append(f"**{text}**" if index in row.best else text)
        body.append([row.title, *cells, *([figure(row.floor)] if row.floor is not None else [""])])
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
    st.header("Where they differ", anchor=False)
    rows = comparison.differences(groups)
    if not rows:
        same = "These runs were asked for the same work."
        st.caption(same if len(groups) == 1 else f"{same} They differ in their names alone.")
        return
    head = ["field", *(as_typed(group.title) for group in groups)]
    lines = {name: [f"`{name}`", *map(as_typed, values)] for name, values in rows}
    partly = [name for name, values in rows if "–" in values]
    if shared := [line for name, line in lines.items() if name not in partly]:
        _table(head, shared, "---")
    if partly:
        words = f"{plural(len(partly), 'field')} that only some of them have"
        with st.expander(words, expanded=not shared):
            _table(head, [lines[name] for name in partly], "---")


# ---------------------------------------------------------------------- one seed for all


def _note_question(question: dict[str, Any]) -> None:
    """Keep what is to be drawn: `seed`, `steps` (None leaves them to each run) and `runs`. The page
    keeps it in the link, which a rerun would otherwise take other choices out of."""
    st.session_state["compare_question"] = question
    st.session_state.pop("compare_sets", None)


def _question(groups: list[Group]) -> dict[str, Any] | None:
    """Return what is to be drawn, of this visit or else of the link; None where nothing is."""
    asked: dict[str, Any] | None = st.session_state.get("compare_question")
    if asked and set(asked["runs"]) <= {each.id for group in groups for each in group.members}:
        return asked
    seed = _number_of_link("draw_seed", MOST_SEED)
    if seed is None:
        return None
    steps = _number_of_link("draw_steps", MOST_STEPS) or None
    return {"seed": seed, "steps": steps, "runs": st.query_params.get("seeds", "").split(",")}


def _runs_drawn(groups: list[Group], named: list[str]) -> list[str]:
    """Find the run that stands for each group: its first, unless another one is named."""
    members = [[member.id for member in group.members] for group in groups]
    return [next((run for run in runs if run in named), runs[0]) for runs in members]


def _number_of_link(name: str, most: int) -> int | None:
    text = st.query_params.get(name, "")
    return min(int(text), most) if re.fullmatch("[0-9]{1,12}", text) else None


def _drawn(groups: list[Group]) -> dict[str, Any] | None:
    """Gather what is drawn with one seed: sample sets and failures by run; None where nothing is to
    be drawn. What was drawn before is there at once."""
    question = _question(groups)
    if question is None:
        return None
    seed, steps = question["seed"], question["steps"]
    sets, failed = {}, {}
    for run in _runs_drawn(groups, question["runs"]):
        try:
            sets[run] = _set_of(run, seed, steps)
        except (BasinError, OSError) as error:
            failed[run] = str(error)
    return {"seed": seed, "steps": steps, "sets": sets, "failed": failed}


def _set_of(run: str, seed: int, steps: int | None) -> str:
    """Have a set drawn, once a visit: a run that goes on is not drawn again at every rerun."""
    held: dict[tuple[str, int, int | None], str] = st.session_state.setdefault("compare_sets", {})
    if (run, seed, steps) not in held:
        held[run, seed, steps] = comparison.samples(run, seed, steps)
    return held[run, seed, steps]


main()
