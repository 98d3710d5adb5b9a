"""Runs page: the queue and every run. The list ticks by itself; what destroys asks first."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BasinError
from backend.metric_names import FIGURES
from dashboard.elements import as_typed, head, name_of, plural, size
from dashboard.live_view import live_element
from jobs.claims import reproduction
from jobs.queueing import control
from jobs.records import run_store

UNDO = {"pause": "Resume them to go on.", "stop": "Stopped runs can resume from their checkpoint."}


def main() -> None:
    """Draw the page."""
    title, acts = st.columns([5, 2])
    with title:
        head("Runs")
    with acts, st.container(horizontal=True, horizontal_alignment="right"):
        st.page_link("views/launch.py", label="Launch a run", icon=":material/add:")
    figures = {path: {"title": item.title, "unit": item.unit} for path, item in FIGURES.items()}
    event = live_element(
        "runs", key="runs", height=420, figures=figures, on_act_change=lambda: None
    )
    if event.act:
        _act(str(event.act["act"]), [str(run) for run in event.act["runs"]])


def _act(act: str, runs: list[str]) -> None:
    if act == "delete":
        _delete(runs)
    elif act == "edit":
        _edit(runs)
    elif act in ("sooner", "later"):
        _do(runs, lambda run: _move(run, -1 if act == "sooner" else 1), "")
    elif act in ("pause", "stop", "resume"):
        _do(runs, getattr(control, act), UNDO.get(act, ""))


def _do(runs: list[str], act: Any, words: str) -> None:
    """Act on each run; say which refused, and why."""
    refused = []
    for run in runs:
        try:
            act(run)
        except (BasinError, OSError) as error:
            refused.append(str(error))
    for sentence in refused:
        st.toast(sentence, icon=":material/warning:")
    if words and len(refused) < len(runs):
        st.toast(f"Asked {plural(len(runs) - len(refused), 'run')}. {words}")


def _move(run: str, by: int) -> None:
    waiting = control.queued()
    if run in waiting:
        control.reorder(run, max(waiting.index(run) + by, 0))


@st.dialog("Delete runs?")
def _delete(runs: list[str]) -> None:
    total, names = 0, []
    for run in runs:
        try:
            directory = run_store.open_run(run)
            total += sum(num_bytes for _, num_bytes in directory.files())
            names.append(name_of(directory.status()))
        except (BasinError, OSError):
            continue  # gone already
    st.write(f"Delete **{plural(len(names), 'run')}** and {size(total)}? This cannot be undone.")
    st.caption(as_typed(", ".join(names)))
    if st.button(f"Delete {plural(len(names), 'run')}", type="primary"):
        try:
            reproduction.delete_runs(runs)
        except (BasinError, OSError) as error:
            st.error(f"Nothing was deleted. {error}")
            return
        st.rerun()


@st.dialog("Name, tags, note")
def _edit(runs: list[str]) -> None:
    """Edit one run's labels; of several runs the tags alone, added to what they have."""
    try:
        directories = [run_store.open_run(run) for run in runs]
        first = directories[0].labels()
    except (BasinError, OSError, IndexError) as error:
        st.error(str(error))
        return
    single = len(directories) == 1
    if single:
        name = st.text_input("Name", first["name"], max_chars=120)
        tags = st.multiselect("Tags", first["tags"], first["tags"], accept_new_options=True)
        note = st.text_area("Note", first["note"], max_chars=10_000)
    else:
        tags = st.multiselect("Tags to add", [], accept_new_options=True)
    if not st.button("Keep", type="primary"):
        return
    try:
        for directory in directories:
            if single:
                directory.set_labels(name=name, tags=list(tags), note=note)
            else:
                had = directory.labels()["tags"]
                directory.set_labels(tags=list(dict.fromkeys([*had, *tags])))
    except (BasinError, OSError) as error:
        st.error(str(error))
        return
    st.rerun()


main()
