"""Run page: one run, live. Head and actions are native; everything that moves is one element."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import streamlit as st

from backend.errors import BasinError, NotAvailable
from backend.metric_names import FIGURES, HEADLINES
from backend.system import yaml_reader
from dashboard import comparison
from dashboard.elements import (
    code,
    data_of,
    empty,
    head,
    moment,
    name_of,
    report_card,
    size,
    status_word,
)
from dashboard.live_view import live_element
from dashboard.run_acts.fork_settings import fork_marks, open_fork, related_runs
from dashboard.run_acts.keep_moment import say_what_was_kept, show_keep
from dashboard.run_acts.turn_settings import show_turn_settings, turned_lines
from dashboard.security import access
from jobs.claims import reproduction
from jobs.exports import formats
from jobs.models import fingerprints
from jobs.queueing import control, redis_store
from jobs.records import groups, run_store, trash
from jobs.records.run_directory import RunDirectory
from jobs.records.status import RESUMABLE, Status, went_on_in_words


def main() -> None:
    """Draw the page."""
    run_id = st.query_params.get("id", "")
    try:
        directory = run_store.open_run(run_id or "latest")
        status = directory.status()
        spec = directory.spec()
    except BasinError as error:
        head("Run")
        if run_id in trash.ids():
            _offer_to_restore(run_id)
            return
        words = "No runs yet. A first one on the ring of eight Gaussians takes about a minute."
        if run_id:
            words = str(error).replace("; see `basin ls`", "")
            empty(
                f"{words} It may have been deleted.", "views/runs.py", "See the runs that are there"
            )
            return
        empty(words, "views/launch.py", "Launch a run")
        return
    st.query_params["id"] = directory.id
    title, acts = st.columns(2, vertical_alignment="top")
    method = _catalogue().get("methods", {}).get(spec.method, {})
    with title:
        name = name_of(status)
        tab = f"{name}, seed {status.seed}, {status.id[-4:]}"
        facts = [*_facts(status, method), *related_runs(status)]
        head(name, status_word(status.status), facts, tab)
    with acts:
        _acts(directory, status)
    say_what_was_kept()
    outside = fingerprints.plugins_in_words(fingerprints.read(directory))
    for origin, since in outside:
        if since:
            st.warning(f"{origin} {since}", icon=":material/extension:")
    headline = list(dict.fromkeys([*method.get("headline", []), *HEADLINES["run"]]))
    event = live_element(
        "run",
        key="live",
        height=900,
        run=directory.id,
        status=status.status,
        headline=headline,
        figures=_figures(),
        forks=fork_marks(status),
        on_status_change=lambda: None,
        on_asked_change=lambda: None,
        on_looked_at_change=lambda: None,
        on_fork_change=lambda: None,
    )
    if event.asked == "pause":
        _do(control.pause if status.status == "running" else control.resume, directory.id)
    if event.looked_at:
        _look_at(directory, **event.looked_at)
    if event.fork is not None:
        open_fork(directory, event.fork)
    _about(directory, status, [origin for origin, _ in outside])


def _offer_to_restore(run_id: str) -> None:
    with st.container(border=True):
        st.markdown("This run was deleted. It can be restored for a day after that.")
        if st.button("Restore it", icon=":material/undo:"):
            _do(trash.restore, run_id)
        st.page_link("views/runs.py", label="See the runs that are there")


def _look_at(directory: RunDirectory, path: str, why: str | None) -> None:
    """Dismiss an alarm with a word, or raise it again without one; the page hears of it live."""
    try:
        if why is None:
            directory.raise_again(path)
        else:
            directory.dismiss(path, why, access.identity())
    except (BasinError, OSError) as error:
        st.toast(str(error), icon=":material/warning:")


def _facts(status: Status, method: dict[str, Any]) -> list[str]:
    facts = [
        "trained by a script of its own"
        if status.is_tracked
        else f"{method.get('title', status.method)}, {status.preset}",
        data_of(status),
        f"seed {status.seed}",
        status.device,
        f"by {status.by}" if status.by else "",
        moment(status.created),
        status.id,
    ]
    if status.products == "onednn":
        facts.append("linear layers by oneDNN")
    if status.attempt > 1:
        facts.append(f"attempt {status.attempt}")
    facts.append(went_on_in_words(status))
    return facts + [f"#{tag}" for tag in groups.of_user(status.tags)]


@st.cache_data(ttl=10, show_spinner=False)
def _catalogue() -> dict[str, Any]:
    try:
        return redis_store.catalogue()
    except NotAvailable:
        return {}


def _figures() -> dict[str, dict[str, Any]]:
    """Return title, unit and axis of every path; the catalogue adds a method's own."""
    known = {
        path: {"title": item.title, "unit": item.unit, "log": item.log, "help": item.help}
        for path, item in FIGURES.items()
    }
    return known | _catalogue().get("figures", {})


# ---------------------------------------------------------------------- what can be done


def _acts(directory: RunDirectory, status: Status) -> None:
    run_id, word = directory.id, status.status
    with st.container(horizontal=True, horizontal_alignment="right", key="run_acts"):
        if status.is_tracked:
            if word == "running" and st.button(
                "Stop", icon=":material/stop:", help="Its script ends when it asks run.should_stop"
            ):
                _do(control.stop, run_id)
            _more(directory, status)
            return
        if word == "running":
            if st.button("Pause", icon=":material/pause:", help="Keeps its place; also `P`"):
                _do(control.pause, run_id)
            if st.button("Stop", icon=":material/stop:", help="Ends it; a checkpoint is written"):
                _do(control.stop, run_id)
        if word == "queued" and st.button("Take off the queue", icon=":material/stop:"):
            _do(control.stop, run_id)
        if word in RESUMABLE:
            step = status.checkpoint_step
            label = (
                "Resume" if step is None else f"Resume from step {step:,}".replace(",", "\u2009")
            )
            if st.button(label, icon=":material/play_arrow:", type="primary"):
                _do(control.resume, run_id)
        show_turn_settings(directory, status)
        may_fork = word == "running" or status.checkpoint_step is not None
        if may_fork and st.button("Fork", icon=":material/fork_right:", help="A new run from here"):
            open_fork(directory)
        if status.checkpoint_step is not None:
            st.link_button("Ask it", f"studio?run={run_id}", icon=":material/question_answer:")
        st.link_button("Clone with edits", f"launch?from={run_id}", icon=":material/content_copy:")
        _more(directory, status)


def _more(directory: RunDirectory, status: Status) -> None:
    run_id, word = directory.id, status.status
    with st.popover("", icon=":material/more_horiz:"):
        st.link_button("Compare", f"compare?runs={run_id}", icon=":material/compare:")
        if not status.is_tracked:
            if status.checkpoint_step is not None:
                st.link_button("Sampler grid", f"grid?run={run_id}", icon=":material/grid_on:")
            show_keep(directory, status)
        if st.button("Name, tags, note", icon=":material/edit:"):
            _edit(directory, status)
        may_kill = word == "running" and not status.is_tracked
        if may_kill and st.button("Kill now", icon=":material/dangerous:"):
            _confirm_kill(run_id)
        if word != "running" and st.button("Delete", icon=":material/delete:"):
            _delete(directory)


def _do(act: Any, run_id: str) -> None:
    """Act and draw the page anew, or say why not."""
    try:
        act(run_id)
    except (BasinError, OSError) as error:
        st.toast(str(error), icon=":material/warning:")
        return
    # a running run obeys within a tenth of a second or so
    time.sleep(0.3)
    st.rerun()


@st.dialog("Kill this run?")
def _confirm_kill(run_id: str) -> None:
    st.write(
        "Its process ends at once. Everything shown is kept; what was trained since the last "
        "checkpoint is lost. **Stop** writes a checkpoint first."
    )
    if st.button("Kill it", type="primary"):
        _do(control.kill, run_id)


def _delete(directory: RunDirectory) -> None:
    """Put the run in the trash; Runs offers to restore it."""
    try:
        reproduction.delete_runs([directory.id])
    except (BasinError, OSError) as error:
        st.toast(str(error), icon=":material/warning:")
        return
    st.session_state["deleted_runs"] = [directory.id]
    st.switch_page("views/runs.py")


@st.dialog("Name, tags, note")
def _edit(directory: RunDirectory, status: Status) -> None:
    name = st.text_input("Name", status.name)
    own = groups.of_user(status.tags)
    tags = st.multiselect("Tags", own, own, accept_new_options=True)
    note = st.text_area("Note", status.note)
    if st.button("Keep", type="primary"):
        try:
            tags = groups.with_user_tags(status.tags, tags)
            directory.set_labels(name=name, tags=tags, note=note)
        except (BasinError, OSError) as error:
            st.error(str(error))
            return
        st.rerun()


# ---------------------------------------------------------------------- spec and files


def _about(directory: RunDirectory, status: Status, outside: list[str]) -> None:
    spec, files, note = st.tabs(["Spec", "Files", "Note"])
    with spec:
        try:
            text = directory.spec().to_yaml()
        except BasinError as error:
            st.error(str(error))
        else:
            code(text)
            with st.container(horizontal=True):
                st.download_button("Download", text, f"{directory.id}.yaml", "text/yaml")
                if st.button("Report card", icon=":material/receipt_long:"):
                    report_card([directory.id])
            again = "Its script" if status.is_tracked else "`basin run FILE`"
            st.caption(" ".join([f"{again} runs it again.", *outside]))
            if turns := directory.turns():
                st.markdown("\n".join(["Turned since", *(f"- {t}" for t in turned_lines(turns))]))
            st.markdown("Settings with those that the preset and defaults gave, as launched")
            code(yaml_reader.dump(comparison.settings_of(directory)))
    with files:
        token = access.issue()
        rows = []
        for name, num_bytes in directory.files():
            address = f"live/file?run={directory.id}&name={quote(name)}&token={token}"
            rows.append(f"| [{name}]({address}) | {size(num_bytes)} |")
        st.markdown("\n".join(["| file | size |", "|---|---:|", *rows]))
        st.caption(
            f"In `{directory.path}`. `basin export {directory.id} --as FORMAT --to PATH` writes "
            f"the run as {', '.join(formats.FORMATS)}."
        )
        if trace := directory.trace():
            with st.expander("Traceback"):
                code(trace)
    with note:
        written = status.note.replace("![", "!\\[")  # no pictures: they may lie elsewhere
        st.markdown(written or "No note. Add one under ⋯, *Name, tags, note*.")


main()
