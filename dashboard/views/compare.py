"""Compare page: pictures on one scale, curves with bands over seeds, differences, figures,
floors."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from dashboard import comparison
from dashboard.comparing import drawn, report, two_sample
from dashboard.comparing.drawn import Drawn, Question
from dashboard.comparing.two_sample import Pair
from dashboard.comparison import Group
from dashboard.elements import as_typed, empty, figure, head, plural, report_card
from dashboard.live_view import live_element
from jobs.records import run_store

MOST_COLUMNS = 9
MOST_SEED, MOST_STEPS = 2**31 - 1, 100_000


def main() -> None:
    """Draw the page: of runs, or of the sample sets that a link names."""
    head("Compare")
    set_ids = [each for each in st.query_params.get("sets", "").split(",") if each]
    groups, sets = _of_sets(set_ids) if set_ids else _of_runs()
    if not groups:
        return
    parts = comparison.by_data(groups)
    pair, tested = _pair(groups)
    _say_what_cannot_be_compared(parts)
    event = live_element(
        "compare",
        key="compare_live",
        height=700,
        groups=[
            {
                "title": g.title,
                "data": g.data,
                "runs": [m.id for m in g.members],
                "set": g.sample_set,
            }
            for g in groups
        ],
        figures={
            path: {part: item[part] for part in ("title", "unit", "log")}
            for path, item in comparison.known_figures().items()
        },
        drawn=drawn.as_json(groups, sets) if sets else None,
        report=report.report(groups, sets),
        tested={**pair._asdict(), "waiting": not tested, **tested} if pair else None,
        on_draw_change=lambda: None,
        on_test_change=lambda: None,
        on_settled_change=lambda: None,
    )
    _figures(groups, parts, sets)
    _differences(groups)
    if event.draw:
        _note_question(event.draw)
        st.rerun()
    if event.test:
        pair, tested = Pair(**event.test), {}
        st.session_state["compare_pair"] = pair
        st.session_state["compare_tests"].pop(pair, None)
    if pair and not tested:
        _test(pair)
        st.rerun()


def _pair(groups: list[Group]) -> tuple[Pair | None, dict[str, Any]]:
    """Return the pair that is tested, of this visit or else of the link, and what came of it."""
    held: dict[Pair, dict[str, Any]] = st.session_state.setdefault("compare_tests", {})
    asked: Pair | None = st.session_state.get("compare_pair")
    text = ",".join(asked) if asked else st.query_params.get("test", "")
    pair = two_sample.pair_of(groups, text)
    return pair, held.get(pair, {}) if pair else {}


def _test(pair: Pair) -> None:
    """Wait for the test of a pair, at the end of the page: all else is drawn and can be used."""
    place = st.empty()

    def wait(seconds: float) -> None:
        # what is drawn meanwhile lets a click end the wait, and with it the work
        place.empty()

    st.session_state["compare_tests"][pair] = two_sample.ask(pair, wait)


def _of_runs() -> tuple[list[Group], Drawn | None]:
    """Group the runs that are chosen, with what is drawn of them; says what to do where none is."""
    statuses = run_store.list_runs()
    if not statuses:
        empty("There are no runs to compare yet.", "views/launch.py", "Launch a run")
        return [], None
    members, missing = comparison.load(_choose(comparison.labels(statuses)))
    for sentence in missing:
        st.warning(sentence)
    if not members:
        empty(
            "Choose two or more runs above, or select them under **Runs** and press **C**. Runs "
            "that differ in nothing but their seed are drawn as one line with a band.",
            "views/runs.py",
            "See all runs",
        )
        return [], None
    groups = comparison.groups(members)
    question = _question(groups)
    known = st.session_state.setdefault("compare_drawn", {})
    return groups, drawn.draw(groups, question, known) if question else None


def _choose(labels: dict[str, str]) -> list[str]:
    """Draw the field of runs, which the link fills and follows; returns their ids."""
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
    return list(selection)


def _of_sets(ids: list[str]) -> tuple[list[Group], Drawn | None]:
    """Open the sample sets of the link, a group each; says what to do where none is left."""
    groups, sets, missing = drawn.open_sets(ids)
    for sentence in missing:
        st.warning(sentence)
    if not groups:
        empty(
            "None of the sample sets of this link is here. `basin samples list` names those that "
            "are; `basin samples draw RUN...` draws some. Runs can be compared without:",
            "views/runs.py",
            "See all runs",
        )
        return [], None
    runs = list(dict.fromkeys(member.id for group in groups for member in group.members))
    st.markdown(
        f"{plural(len(groups), 'sample set')} of {plural(len(runs), 'run')} "
        f":small[[Compare the {'runs' if len(runs) > 1 else 'run'}](compare?runs={','.join(runs)})]"
    )
    return groups, sets


def _say_what_cannot_be_compared(parts: dict[str, list[Group]]) -> None:
    """Say what can and what cannot be compared of runs that learned different things."""
    if sum(map(len, parts.values())) == 1:
        st.info(
            "There is nothing to compare it with yet: choose a run with other settings, best on "
            "the same data. Seeds of one setting are one row.",
            icon=":material/add:",
        )
    if len(parts) < 2:
        return
    names = [f"**{as_typed(name)}**" for name in parts]
    st.info(
        f"These runs learned different data: {', '.join(names[:-1])} and {names[-1]}. "
        "Settings, speed and cost can be compared. Distances, likelihoods and energies cannot: "
        "each is measured against its own data. So figures stand apart below, one table for each, "
        "and pictures share a view within the same data alone. To compare what was learned, leave "
        "those of one data set and take the others out above.",
        icon=":material/call_split:",
    )


def _figures(groups: list[Group], parts: dict[str, list[Group]], sets: Drawn | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Figures", anchor=False)
        if not any(group.sample_set for group in groups):
            _ways(parts)
    of_runs = {} if any(group.sample_set for group in groups) else parts
    for data, together in of_runs.items():
        if len(parts) > 1:
            st.markdown(f"**{as_typed(data)}**")
        _figures_of(together)
    if of_runs:
        st.caption(report.NOTE)
    if sets:
        _figures_of_sets(groups, parts, sets)


def _figures_of_sets(groups: list[Group], parts: dict[str, list[Group]], sets: Drawn) -> None:
    """Draw the figures of samples, each with its interval."""
    tables = {data: drawn.part(groups, sets, together) for data, together in parts.items()}
    rows = {data: drawn.figures(parts[data], own) for data, own in tables.items()}
    for data, own in tables.items():
        if rows[data]:
            of = f": {as_typed(data)}" if len(parts) > 1 else ""
            st.markdown(f"**{report.title_of_sets(own)}{of}**")
            _figure_table(parts[data], rows[data])
    if any(rows.values()):
        st.caption(report.NOTE_OF_SETS)
    elif any(group.sample_set for group in groups):
        st.caption(
            "These sets have no figures: of one class, or of few samples, none are measured."
        )


def _ways(parts: dict[str, list[Group]]) -> None:
    """Draw the ways that the figures of runs leave by."""
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
    ids = [each.id for groups in parts.values() for group in groups for each in group.members]
    if st.button("Report card", icon=":material/receipt_long:", type="tertiary"):
        report_card(ids)
    if len(parts) == 1:
        address = f"arena?runs={','.join(ids)}"
        st.link_button("Vote blind", address, icon=":material/how_to_vote:", type="tertiary")


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
    """Keep what is to be drawn: `seed`, `steps` (None leaves them to each run), `each_class` and
    `runs`. The page keeps it in the link, which a rerun would otherwise take other choices out of.
    """
    st.session_state["compare_question"] = Question(**{**question, "runs": tuple(question["runs"])})
    st.session_state.pop("compare_drawn", None)


def _question(groups: list[Group]) -> Question | None:
    """Return what is to be drawn, of this visit or else of the link; None where nothing is."""
    asked: Question | None = st.session_state.get("compare_question")
    if asked and set(asked.runs) <= {each.id for group in groups for each in group.members}:
        return asked
    seed = _number_of_link("draw_seed", MOST_SEED)
    if seed is None:
        return None
    steps = _number_of_link("draw_steps", MOST_STEPS) or None
    runs = tuple(st.query_params.get("seeds", "").split(","))
    return Question(seed, steps, st.query_params.get("draw_classes") == "each", runs)


def _number_of_link(name: str, most: int) -> int | None:
    text = st.query_params.get(name, "")
    return min(int(text), most) if re.fullmatch("[0-9]{1,12}", text) else None


main()
