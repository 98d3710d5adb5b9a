"""Runs page: the queue and every run. The list ticks by itself; deleted runs can be restored."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backend.errors import BasinError
from dashboard import comparison
from dashboard.elements import head, name_of, plural, size
from dashboard.live_view import live_element
from jobs.claims import reproduction
from jobs.queueing import control
from jobs.records import groups, run_store, trash

UNDO = {"pause": "Resume them to go on.", "stop": "Stopped runs can resume from their checkpoint."}


def main() -> None:
    """Draw the page."""
    title, acts = st.columns([5, 2])
    with title:
        head("Runs")
    with acts, st.container(horizontal=True, horizontal_alignment="right"):
        st.page_link("views/launch.py", label="Launch a run", icon=":material/add:")
    if deleted := st.session_state.pop("deleted_runs", None):  # on the page of a run
        _say_deleted(deleted)
    event = live_element(
        "runs",
        key="runs",
        height=420,
        figures=comparison.known_figures(),
        notice=st.session_state.get("runs_notice"),
        on_act_change=_on_act,
    )
    if event.act:
        _act(str(event.act["act"]), [str(run) for run in event.act["runs"]])


def _on_act() -> None:
    """Do at once, before the page is drawn, what it then says."""
    act = st.session_state["runs"].act or {}
    runs = [str(run) for run in act.get("runs", [])]
    if act.get("act") == "delete":
        _delete(runs)
    elif act.get("act") == "restore":
        _do(runs, trash.restore, "")
    elif act.get("act") == "move":
        _do(runs, lambda run: control.reorder(run, int(act["to"])), "")
    elif act.get("act") == "front":
        _do(runs[::-1], lambda run: control.reorder(run, 0), "")


def _act(act: str, runs: list[str]) -> None:
    if act == "edit":
        _edit(runs)
    elif act == "trash":
        _trash()
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


def _delete(runs: list[str]) -> None:
    """Put runs in the trash, all or none."""
    try:
        reproduction.delete_runs(runs)
    except (BasinError, OSError) as error:
        st.toast(f"Nothing was deleted. {error}", icon=":material/warning:")
        return
    _say_deleted(runs)


def _say_deleted(runs: list[str]) -> None:
    words = f"Deleted {plural(len(runs), 'run')}."
    number = st.session_state.get("runs_notices", 0) + 1
    st.session_state["runs_notices"] = number
    st.session_state["runs_notice"] = {"number": number, "words": words, "undo": runs}


@st.dialog("Deleted runs", width="large")
def _trash() -> None:
    """List the runs that can be restored, for a day after they were deleted."""
    deleted = trash.deleted()
    if not deleted:
        st.write("No deleted run is left.")
        return
    total = size(sum(entry.num_bytes for entry in deleted))
    st.caption(f"{plural(len(deleted), 'run')}, {total}. Each is removed a day after its deletion.")
    labels = {
        entry.status.id: f"{name_of(entry.status)} · seed {entry.status.seed} · {entry.status.id}"
        for entry in deleted
    }
    chosen = st.multiselect(
        "Runs to restore", list(labels), format_func=lambda run: labels.get(run, run)
    )
    with st.container(horizontal=True):
        label = f"Restore {plural(len(chosen), 'run')}" if chosen else "Restore all"
        if st.button(label, type="primary"):
            _do(chosen or list(labels), trash.restore, "")
            st.rerun()
        if st.button(f"Remove all for good, {total}", icon=":material/delete_forever:"):
            trash.empty()
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
        name = st.text_input("Name", first["name"])
        own = groups.of_user(first["tags"])
        tags = st.multiselect("Tags", own, own, accept_new_options=True)
        note = st.text_area("Note", first["note"])
    else:
        tags = st.multiselect("Tags to add", [], accept_new_options=True)
    if not st.button("Keep", type="primary"):
        return
    try:
        for directory in directories:
            if single:
                tags = groups.with_user_tags(first["tags"], tags)
                directory.set_labels(name=name, tags=tags, note=note)
            else:
                had = directory.labels()["tags"]
                directory.set_labels(tags=list(dict.fromkeys([*had, *tags])))
    except (BasinError, OSError) as error:
        st.error(str(error))
        return
    st.rerun()


main()
